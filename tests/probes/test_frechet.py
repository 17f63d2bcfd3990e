"""The Fréchet distance against its closed form and other libraries; manifolds against brute force."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from taumem.errors import ConfigError
from taumem.probes.frechet import frechet_distance, lie_among


def drawn(n, d, seed=0, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return shift + scale * torch.randn(n, d, generator=generator, dtype=torch.float64)


def textbook(a, b):
    """By a matrix square root, as the definition has it."""
    a, b = a.numpy(), b.numpy()
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(sqrtm(ca @ cb))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * np.trace(root))


@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 5), (30, 300, 8), (200, 25, 3)])
def test_it_is_that_of_a_matrix_square_root(n, m, d):
    a, b = drawn(n, d, 0), drawn(m, d, 1, scale=1.7, shift=0.3)
    assert frechet_distance(a, b).value == pytest.approx(textbook(a, b), rel=1e-8)


def test_between_many_draws_it_is_that_of_the_two_gaussians():
    scale_a, scale_b = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([1.5, 1.0, 0.5])
    a, b = drawn(40_000, 3, 0) * scale_a + 1, drawn(40_000, 3, 1) * scale_b
    exact = 3 + float((scale_a - scale_b).square().sum())
    assert frechet_distance(a, b).value == pytest.approx(exact, rel=0.03)


def test_more_dimensions_than_vectors_are_no_trouble():
    a, b = drawn(10, 60, 0), drawn(7, 60, 1)
    x, y = (v - v.mean(0) for v in (a, b))
    overlap = float(torch.linalg.matrix_norm(x @ y.T, "nuc")) / (9 * 6) ** 0.5
    spread = float(x.square().sum() / 9 + y.square().sum() / 6)
    exact = float((a.mean(0) - b.mean(0)).square().sum()) + spread - 2 * overlap
    assert frechet_distance(a, b).value == pytest.approx(exact, rel=1e-9)


def test_a_set_is_at_distance_0_from_itself_in_any_order():
    a = drawn(50, 6)
    assert frechet_distance(a, a.flip(0)).value == pytest.approx(0, abs=1e-9)


def test_the_parts_of_samples_have_the_distance_as_mean_and_its_scatter_as_error():
    reference = drawn(2000, 4, 99)
    found = [frechet_distance(drawn(400, 4, seed, scale=1.3, shift=0.2), reference) for seed in range(60)]
    assert all(each.value == pytest.approx(float(each.items.mean())) for each in found)
    scatter = np.std([each.value for each in found], ddof=1)
    error = np.mean([float(each.items.std()) / 400**0.5 for each in found])
    assert error == pytest.approx(scatter, rel=0.3)


def test_a_part_is_what_removing_its_sample_changes():
    a, b = drawn(300, 4, 0, scale=1.2), drawn(200, 4, 1)
    whole = frechet_distance(a, b)
    without = torch.tensor([frechet_distance(torch.cat([a[:k], a[k + 1 :]]), b).value for k in range(40)])
    removed = (whole.value - without) * (len(a) - 1)  # the jackknife
    parts = whole.items[:40] - whole.value
    assert float(torch.corrcoef(torch.stack([removed, parts]))[0, 1]) > 0.995


def test_sets_that_cannot_be_compared_are_refused():
    with pytest.raises(ConfigError, match=r"2 vectors or more.*got \(1, 3\) and \(5, 3\)"):
        frechet_distance(drawn(1, 3), drawn(5, 3))
    with pytest.raises(ConfigError, match="as many dimensions"):
        frechet_distance(drawn(5, 2), drawn(5, 3))


@pytest.mark.parametrize("k", [1, 3])
def test_a_manifold_is_that_of_brute_force(k):
    asked, others = drawn(40, 3, 0, scale=1.5), drawn(30, 3, 1)
    radii = torch.cdist(others, others).sort(dim=1).values[:, k]
    brute = (torch.cdist(asked, others) <= radii).any(dim=1)
    assert 0 < int(brute.sum()) < 40
    assert torch.equal(lie_among(asked, others, k=k), brute)


def test_of_few_others_the_farthest_is_the_neighbor():
    others = torch.tensor([[0.0], [1.0]])
    assert lie_among(torch.tensor([[1.9], [2.1], [-1.0]]), others, k=3).tolist() == [True, False, True]
