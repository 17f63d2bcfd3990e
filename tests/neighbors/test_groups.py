"""Near-duplicates, against all subsets of a few items, and on data of which it is known what they hold."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taumem.data import GaussianMixture, load_fashion_mnist, resize
from taumem.data.stored import Stored, Together
from taumem.errors import ConfigError
from taumem.neighbors import gap_ratio, near_duplicates, nearest, nearest_groups


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def copies_of(items: torch.Tensor, k: int, noise: float) -> torch.Tensor:
    """The items and k - 1 near-copies of each, side by side."""
    n, *shape = items.shape
    return (items[:, None] + noise * normal(n, k, *shape, seed=9)).reshape(n * k, *shape)


def expected(points: np.ndarray, threshold: float) -> list[int]:
    """The definition: the largest of all sets that are one from outside, and denser than the rest if they are large."""
    n, few = len(points), math.isqrt(len(points))
    distances = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))

    def diameter(members):
        return distances[np.ix_(list(members), list(members))].max()

    def groups_of(sets):
        maximal = [s for s in sets if not any(s < other for other in sets)]
        groups = maximal + [{i} for i in range(n) if not any(i in s for s in maximal)]
        assert sum(map(len, groups)) == n  # no two of them have an item in common
        return [next(s for s in groups if i in s) for i in range(n)]

    isolated = []
    for size in range(2, n // 2 + 1):
        for members in map(set, itertools.combinations(range(n), size)):
            others = [i for i in range(n) if i not in members]
            if diameter(members) < threshold * distances[np.ix_(list(members), others)].min():
                isolated.append(members)
    small = [s for s in isolated if len(s) <= few]
    group = groups_of(small)
    apart = [min((distances[i, j] for j in range(n) if j not in group[i]), default=np.inf) for i in range(n)]
    for members in isolated:
        others = sorted(apart[i] for i in range(n) if i not in members)
        if len(members) > few and diameter(members) < threshold * others[(len(others) - 1) // 2]:
            small.append(members)
    return [min(s) for s in groups_of(small)]


points = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 30, 31, 90, 95, 300, 301, 900]), st.sampled_from([0, 1, 40])),
    min_size=1,
    max_size=8,
    unique=True,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(points, st.sampled_from([1 / 3, 0.1, 0.6]), st.sampled_from([2**16, 2**29]))
def test_groups_are_those_of_all_subsets_that_are_one_from_outside(rows, threshold, memory):
    items = torch.tensor(rows, dtype=torch.float64)
    assert near_duplicates(items, threshold, memory=memory).tolist() == expected(items.numpy(), threshold)


@given(st.integers(2, 40), st.integers(1, 3), st.integers(0, 100))
def test_the_second_nearest_is_the_nearest_of_another_group_by_brute_force(n, dimensions, seed):
    references, queries = normal(n, dimensions, seed=seed), normal(7, dimensions, seed=seed + 1)
    groups = torch.randint(3, (n,), generator=torch.Generator().manual_seed(seed))
    groups[:2] = torch.tensor([0, 1])
    distances, positions = nearest_groups(queries, references, groups)
    exact = torch.cdist(queries.double(), references.double(), compute_mode="donot_use_mm_for_euclid_dist")
    first = exact.argmin(dim=1)
    others = torch.where(groups != groups[first][:, None], exact, torch.inf)
    assert torch.equal(positions, torch.stack([first, others.argmin(dim=1)], dim=1))
    torch.testing.assert_close(distances, exact.gather(1, positions))


@pytest.mark.parametrize("k", [2, 3, 5, 8])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2,), (300,)])
def test_each_item_and_its_near_copies_are_one_group_however_many_they_are(shape, k):
    groups = near_duplicates(copies_of(normal(9, *shape, scale=100), k, 1e-3))
    assert groups.tolist() == [k * (i // k) for i in range(9 * k)]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_no_scale_enters(scale):
    items = copies_of(normal(20, 12), 2, 0.01)
    assert torch.equal(near_duplicates(scale * items), near_duplicates(items))
    assert len(near_duplicates(items).unique()) == 20


def test_near_copies_of_different_strength_are_one_group_with_their_item():
    items = normal(16, 64)
    variants = [items[:1] + noise * normal(1, 64, seed=k) for k, noise in enumerate((0.01, 0.02, 0.04, 0.08), 5)]
    groups = near_duplicates(torch.cat([items, *variants]))
    assert groups.tolist() == [*range(16), 0, 0, 0, 0]


def test_one_picture_with_many_near_copies_is_one_group_beside_others_that_have_none():
    items = normal(60, 32)
    many = items[:1] + 1e-3 * normal(40, 32, seed=1)
    sizes = near_duplicates(torch.cat([items, many])).unique(return_counts=True)[1]
    assert sorted(sizes.tolist()) == [1] * 59 + [41]


@pytest.mark.parametrize("dimensions", [2, 3, 64])
@pytest.mark.parametrize("n", [16, 64, 300])
def test_the_clusters_of_a_mixture_are_no_near_duplicates(dimensions, n):
    """Two tight clusters far apart: what is rare in dense data may be a pair, but no cluster is one item."""
    means = torch.stack([torch.full((dimensions,), 10.0), torch.full((dimensions,), -10.0)])
    mixture = GaussianMixture(torch.tensor([0.5, 0.5]), means, torch.tensor([0.01, 0.01]))
    sizes = near_duplicates(mixture.sample(n, torch.Generator().manual_seed(0))).unique(return_counts=True)[1]
    assert sizes.max() <= 3
    assert len(sizes) > 0.8 * n


def test_a_chain_of_items_each_near_to_the_next_is_no_group():
    line = torch.arange(50.0)[:, None]
    assert len(near_duplicates(line).unique()) == 50
    assert len(near_duplicates(torch.cat([line, 1e4 + 1e4 * torch.arange(60.0)[:, None]])).unique()) == 61


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_items_are_each_their_own_group(n):
    assert near_duplicates(torch.tensor([[0.0], [1.0], [100.0]])[:n]).tolist() == list(range(n))


def test_the_built_in_images_of_a_study_hold_no_near_duplicates():
    images = resize(load_fashion_mnist(), 16, pad_to=32)
    assert len(near_duplicates(images[:512]).unique()) == 512


def test_where_all_items_are_apart_the_numbers_are_those_of_the_two_nearest():
    references, queries = normal(100, 20), normal(50, 20, seed=1)
    groups = near_duplicates(references)
    for found, plain in zip(
        nearest_groups(queries, references, groups), nearest(queries, references, k=2), strict=True
    ):
        assert torch.equal(found, plain)


def test_near_copies_hide_no_copy():
    items = normal(8, 48)
    train, samples = torch.cat([items, items + 1e-3 * normal(8, 48, seed=1)]), items + 2e-3 * normal(8, 48, seed=2)
    hidden = gap_ratio(nearest(samples, train)[0])
    found = gap_ratio(nearest_groups(samples, train, near_duplicates(train))[0])
    assert (hidden > 1 / 3).all()
    assert (found < 0.01).all()


def test_a_threshold_that_is_no_ratio_and_a_single_group_are_refused():
    with pytest.raises(ConfigError, match="ratio of distances between 0 and 1; got 1"):
        near_duplicates(normal(5, 2), 1.0)
    with pytest.raises(ConfigError, match="at least 2 groups; got 1"):
        nearest_groups(normal(5, 2), normal(5, 2), torch.zeros(5, dtype=torch.long))


def test_items_that_stay_where_they_are_have_the_same_near_duplicates():
    generator = np.random.default_rng(0)
    items = generator.normal(size=(400, 3, 4, 4)).astype(np.float32)
    items[200:260] = items[:60] + 0.01 * generator.normal(size=(60, 3, 4, 4)).astype(np.float32)
    items[300:340] = items[7]  # many of one: compared once more
    stored = Stored(items, torch.from_numpy)
    expected = near_duplicates(torch.from_numpy(items))
    assert (expected != torch.arange(400)).sum() >= 90
    assert torch.equal(near_duplicates(stored), expected)
    assert torch.equal(
        near_duplicates(Together(stored.only(np.arange(150)), stored.only(np.arange(150, 400)))), expected
    )
