"""The exact optima, against brute force, against the training loss and against each other."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from taumem.data import GaussianMixture
from taumem.diffusion import Cosine, Exploding, Flow, GaussianDiffusion, Linear
from taumem.models import EmpiricalDenoiser, MixtureDenoiser

F64 = torch.float64


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def brute_force(train: np.ndarray, xt: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
    """sum_i w_i x_i with w_i proportional to N(xt; alpha x_i, sigma^2 I), one item after another."""
    predictions = []
    for x in xt:
        log_weights = np.array([-((x - alpha * y) ** 2).sum() / (2 * sigma**2) for y in train])
        weights = np.exp(log_weights - logsumexp(log_weights))
        predictions.append(sum(w * y for w, y in zip(weights, train, strict=True)))
    return np.array(predictions)


@given(
    n_train=st.integers(1, 12),
    dimensions=st.integers(1, 5),
    t=st.floats(0.01, 0.99),
    schedule=st.sampled_from([Cosine(), Linear(), Flow(), Exploding(0.1)]),
    seed=st.integers(0, 1000),
)
def test_the_empirical_denoiser_is_the_posterior_mean(n_train, dimensions, t, schedule, seed):
    train, xt = normal(n_train, dimensions, seed=seed), normal(7, dimensions, seed=seed + 1)
    times = torch.full((7,), t, dtype=F64)
    found = EmpiricalDenoiser(GaussianDiffusion(schedule=schedule), train)(xt, times)
    alpha, sigma = (float(v[0]) for v in schedule(times))
    np.testing.assert_allclose(found, brute_force(train.numpy(), xt.numpy(), alpha, sigma), rtol=1e-8, atol=1e-8)


def test_the_empirical_denoiser_answers_each_item_at_its_own_time():
    diffusion, train = GaussianDiffusion(), normal(6, 2, 3)
    xt, t = normal(5, 2, 3, seed=1), torch.linspace(0.1, 0.9, 5, dtype=F64)
    together = EmpiricalDenoiser(diffusion, train)(xt, t)
    for i in range(5):
        torch.testing.assert_close(
            together[i : i + 1], EmpiricalDenoiser(diffusion, train)(xt[i : i + 1], t[i : i + 1])
        )


def test_a_large_training_set_is_compared_part_by_part(monkeypatch):
    compared = []

    class Watched(GaussianDiffusion):
        def log_prob(self, xt, x0, t):
            compared.append(len(x0))
            return super().log_prob(xt, x0, t)

    xt, t, train = normal(7, 3), torch.full((7,), 0.4, dtype=F64), normal(50, 3, seed=1)
    whole = EmpiricalDenoiser(Watched(), train)(xt, t)
    monkeypatch.setattr("taumem.models.empirical.CANDIDATES_AT_ONCE", 20)
    torch.testing.assert_close(EmpiricalDenoiser(Watched(), train)(xt, t), whole)
    assert compared == [50, 20, 20, 10]


def test_an_item_that_stands_twice_counts_twice():
    diffusion, xt, t = GaussianDiffusion(), normal(5, 3), torch.full((5,), 0.6, dtype=F64)
    a, b = normal(2, 1, 3, seed=1)
    doubled = EmpiricalDenoiser(diffusion, torch.cat([a, a, b]))(xt, t)
    weights = torch.softmax(
        diffusion.log_prob(xt, torch.cat([a, b]), t) + torch.tensor([2.0, 1.0], dtype=F64).log(), dim=1
    )
    torch.testing.assert_close(doubled, diffusion.average(weights, torch.cat([a, b])))


def test_at_small_noise_the_empirical_denoiser_snaps_to_the_item_and_at_large_noise_to_the_mean():
    diffusion, train = GaussianDiffusion(), normal(8, 16)
    denoiser = EmpiricalDenoiser(diffusion, train)
    xt = diffusion.corrupt(train, torch.full((8,), 0.02, dtype=F64), normal(8, 16, seed=1))
    torch.testing.assert_close(denoiser(xt, torch.full((8,), 0.02, dtype=F64)), train)
    far = denoiser(normal(8, 16, seed=2), torch.ones(8, dtype=F64))
    torch.testing.assert_close(far, train.mean(dim=0).expand(8, 16), rtol=0, atol=0.05)


@pytest.mark.parametrize("weighting", ["eps", "v", "x0"])
@pytest.mark.parametrize("schedule", [Cosine(), Flow(), Exploding(0.2, 5.0)], ids=repr)
@pytest.mark.parametrize("t", [0.4, 0.6, 0.8])
def test_no_other_denoiser_has_a_lower_training_loss_than_the_empirical_one(weighting, schedule, t):
    # The expected training loss itself, by quadrature over the noise: no Monte Carlo error hides a better one.
    diffusion = GaussianDiffusion(schedule, weighting=weighting)
    train = torch.tensor([[-1.2], [0.1], [0.4], [1.5]], dtype=F64)
    nodes, node_weights = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(80))
    x0, eps = train.repeat_interleave(80, dim=0), nodes.repeat(4)[:, None]
    weights = (node_weights / node_weights.sum()).repeat(4) / 4
    times = torch.full((320,), t, dtype=F64)
    optimum = EmpiricalDenoiser(diffusion, train)

    def expected_loss(amount: float, shape) -> float:
        losses = diffusion.loss(lambda xt, t: optimum(xt, t) + amount * shape(xt), x0, times, eps)
        return float((weights * losses).sum())

    for shape in (torch.ones_like, lambda x: x, torch.tanh, torch.sin, lambda x: torch.exp(-(x**2)), lambda x: x**2):
        least = expected_loss(0.0, shape)
        bends = [expected_loss(amount, shape) - least for amount in (-0.1, -0.01, 0.01, 0.1)]
        assert min(bends) > 0
        # The loss is exactly quadratic around its minimum: its slope there is zero.
        assert abs(bends[3] - bends[0]) < 1e-3 * bends[3]
        assert bends[3] == pytest.approx(100 * bends[2], rel=0.05)


def test_the_mixture_denoiser_is_what_the_empirical_one_approaches_on_ever_more_data():
    mixture, diffusion = GaussianMixture.two_modes(2, dtype=F64), GaussianDiffusion()
    t = torch.full((400,), 0.5, dtype=F64)
    generator = torch.Generator().manual_seed(1)
    xt = diffusion.corrupt(
        mixture.sample(400, generator), t, diffusion.noise(torch.zeros(400, 2, dtype=F64), generator)
    )
    exact = MixtureDenoiser(diffusion, mixture)(xt, t)

    def distance(n_train: int) -> float:
        train = mixture.sample(n_train, torch.Generator().manual_seed(2))
        return float((EmpiricalDenoiser(diffusion, train)(xt, t) - exact).square().mean().sqrt())

    few, many = distance(400), distance(40_000)
    assert many < 0.03
    # A Monte Carlo average over the training set: a hundred times the items, a tenth of the error.
    assert 4 < few / many < 25


@pytest.mark.parametrize("schedule", [Cosine(), Flow(), Exploding(0.05)], ids=repr)
def test_on_data_it_has_not_seen_the_empirical_denoiser_is_worse_than_the_exact_one_and_on_its_own_better(schedule):
    mixture, diffusion = GaussianMixture.two_modes(8), GaussianDiffusion(schedule)
    generator = torch.Generator().manual_seed(1)
    train, fresh = mixture.sample(64, generator), mixture.sample(64, generator)
    t = torch.full((64,), 0.3)
    eps = diffusion.noise(train, generator)
    memory, truth = EmpiricalDenoiser(diffusion, train), MixtureDenoiser(diffusion, mixture)
    assert diffusion.loss(memory, train, t, eps).mean() < 0.2 * diffusion.loss(truth, train, t, eps).mean()
    assert diffusion.loss(memory, fresh, t, eps).mean() > 1.2 * diffusion.loss(truth, fresh, t, eps).mean()
