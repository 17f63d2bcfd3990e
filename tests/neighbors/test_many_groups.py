"""Near-duplicates among many items: against the rule written out, on data whose dimension is known, and on pictures."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from taumem.data import load_fashion_mnist, resize
from taumem.neighbors import near_duplicates
from taumem.neighbors.groups import NearDuplicates
from taumem.randomness import generator_for

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from planted_kinds import IMAGE_KINDS, NEAR_KINDS, changed_images


@pytest.fixture(scope="module")
def pictures():
    return resize(load_fashion_mnist()[:1000], 16, pad_to=32)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed))


def merged(groups: torch.Tensor) -> int:
    return len(groups) - len(groups.unique())


def reach_by_the_rule(distances: np.ndarray, among: list[int], most: int, rare: float) -> tuple[np.ndarray, np.ndarray]:
    """What the rule says of each point, one after another: the reach, and 1 / D around it."""
    n, k = len(distances), min(most, len(among) // 4)
    near = [sorted((j for j in among if j != i), key=lambda j, i=i: distances[i, j])[:k] for i in range(n)]
    spread = [
        math.log(distances[i, near[i][-1]] / distances[i, near[i][k // 2 - 1]]) / math.log(k / (k // 2))
        for i in range(n)
    ]
    usual = sorted(spread)[(n - 1) // 2]
    spread = [min(max(value, usual / 2), 2 * usual) for value in spread]
    inverse = np.array([np.mean([spread[i], *(spread[j] for j in near[i])]) for i in range(n)])
    last = np.array([distances[i, near[i][-1]] for i in range(n)])
    return last * np.minimum(0.5, (rare * len(among) / n / k) ** inverse), inverse


def groups_by_the_rule(points: np.ndarray, threshold: float) -> list[int]:
    n = len(points)
    distances = cdist(points, points)
    everywhere = np.ma.masked_equal(distances, 0).min(axis=1)
    apart = sorted(everywhere)[(n - 1) // 2]
    local, inverse = reach_by_the_rule(distances, list(range(n)), 50, 0.01)
    drawn = torch.randperm(n, generator=generator_for(0, "near-duplicates"))[: max(64, n // 16)].tolist()
    sparse, _ = reach_by_the_rule(distances, drawn, 16, 0.002)
    dense = min(threshold, (0.002 / math.log(2)) ** sorted(inverse)[(n - 1) // 2]) * apart
    reach = np.maximum(np.maximum(local, sparse), dense)
    part = connected_components(distances <= np.minimum(reach[:, None], reach), directed=False)[1]
    sizes = np.bincount(part)
    assert sizes.max() <= math.isqrt(n)  # of larger ones other tests speak
    return [int(np.flatnonzero(part == p)[0]) for p in part]


@given(st.integers(66, 160), st.integers(1, 12), st.integers(0, 10**6), st.floats(0.001, 0.3))
@example(110, 3, 10**6, 0.1015625)  # the sparse neighbors decide, of an item that is not among those drawn
def test_groups_are_those_of_the_rule_written_out(n, dimensions, seed, noise):
    items = normal(n, dimensions, seed=seed).double()
    items[1::5] = items[0::5][: len(items[1::5])] + noise * normal(len(items[1::5]), dimensions, seed=seed + 1)
    assert near_duplicates(items).tolist() == groups_by_the_rule(items.numpy(), 1 / 3)


@pytest.mark.parametrize(("dimensions", "most"), [(1, 0.02), (2, 0.02), (3, 0.015), (8, 0.01), (32, 0.005)])
def test_one_in_a_hundred_fresh_items_is_near_by_accident_or_fewer(dimensions, most):
    found = NearDuplicates.of(normal(1500, dimensions))
    assert float(found.near(normal(4000, dimensions, seed=1)).float().mean()) < most
    assert merged(found.groups) < 0.01 * 1500


def test_different_pictures_are_apart_and_fresh_ones_are_not_near(pictures):
    found = NearDuplicates.of(pictures[:700])
    assert merged(found.groups) <= 1
    assert int(found.near(pictures[700:]).sum()) <= 1


@pytest.mark.parametrize("kind", ["noise 5/255", "compressed lightly", "brightened"])
@pytest.mark.parametrize("n_copies", [1, 8])
def test_near_copies_of_all_pictures_are_found_and_nothing_else(kind, n_copies):
    originals = load_fashion_mnist()[:100]
    copies = [changed_images(originals, NEAR_KINDS[kind], generator(k)) for k in range(n_copies)]
    groups = near_duplicates(torch.cat([originals, *copies]))
    assert groups.tolist() == list(range(100)) * (n_copies + 1)


@pytest.mark.parametrize(("kind", "least"), [("noise 8/255", 1.0), ("compressed", 0.9), ("noise 20/255", 0.3)])
def test_stronger_changes_of_some_pictures_are_found_as_often_as_is_said(kind, least):
    originals = load_fashion_mnist()[:600]
    copies = changed_images(originals[:60], IMAGE_KINDS[kind], generator())
    groups = near_duplicates(torch.cat([originals, copies]))
    assert float((groups[600:] == torch.arange(60)).float().mean()) >= least
    assert merged(groups[:600]) <= 1


@pytest.mark.parametrize("size", [20, 40, 70, 200])
def test_a_burst_is_one_group_however_large_and_swallows_nothing(pictures, size):
    burst = pictures[5:6] + 0.05 * normal(size, 1, 16, 16)
    groups = near_duplicates(torch.cat([pictures[:300], burst]))
    assert (groups[300:] == 5).all()
    assert len(groups.unique()) == 300


def test_a_near_duplicate_of_a_burst_belongs_to_it_although_it_is_not_as_near():
    items = normal(300, 24)
    burst = items[5] + 1e-3 * normal(150, 24, seed=1)
    outlier = items[5:6] + 2 / 24**0.5  # farther than is near everywhere, nearer than is rare here
    groups = near_duplicates(torch.cat([items, burst, outlier]))
    assert (groups[300:] == 5).all()
    assert len(groups.unique()) == 300


def test_a_chain_of_frames_is_one_group_unless_it_is_longer_than_the_root_of_all(pictures):
    first, last = pictures[:1], pictures[1:2]
    for length, n_groups in ((20, 1), (70, 70)):  # of 718 and 768 pictures
        weight = torch.linspace(0, 1, length)[:, None, None, None]
        groups = near_duplicates(torch.cat([pictures[2:700], (1 - weight) * first + weight * last]))
        assert len(groups[-length:].unique()) == n_groups
        assert merged(groups[:698]) <= 1


def test_a_dense_class_is_not_one_item():
    """Half of the points on a plane, much denser than the others, which fill 20 dimensions."""
    points = normal(600, 20)
    points[:300, 2:], points[:300, 0] = 0, points[:300, 0] + 30
    assert int(near_duplicates(points).bincount().max()) < 10


def test_equal_items_are_one_group_even_if_there_are_more_of_them_than_neighbors_asked_for():
    items = normal(200, 6)
    items[50:140] = items[3]
    items[150:153] = items[7]
    groups = near_duplicates(items)
    assert groups[50:140].unique().tolist() == [3]
    assert groups[150:153].unique().tolist() == [7]
    assert len(groups.unique()) == 107
    assert near_duplicates(torch.zeros(100, 3)).unique().tolist() == [0]


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_no_scale_enters_where_there_are_many(scale):
    items = torch.cat([normal(150, 12), normal(50, 12) + 0.01 * normal(50, 12, seed=1)]).double()
    assert torch.equal(near_duplicates(scale * items), near_duplicates(items))


@pytest.mark.parametrize("n", [10, 200])
def test_other_items_are_near_if_they_would_be_near_duplicates(n):
    items = normal(n, 24)
    queries = torch.cat([items + 0.02 * normal(n, 24, seed=1), normal(n, 24, seed=2)])
    assert NearDuplicates.of(items).near(queries).tolist() == [True] * n + [False] * n


def test_items_may_lie_on_disk(tmp_path, pictures):
    items = torch.cat([pictures[:200], pictures[:90] + 0.01])
    np.save(tmp_path / "items.npy", items.numpy())
    on_disk = np.load(tmp_path / "items.npy", mmap_mode="r")
    assert torch.equal(near_duplicates(on_disk), near_duplicates(items))
