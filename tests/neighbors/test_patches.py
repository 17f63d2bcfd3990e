"""Partial copies of images, against all pairs of patches one after another, and on patches that were put in."""

from itertools import product

import numpy as np
import pytest
import torch

from taumem.data import load_fashion_mnist
from taumem.errors import ConfigError, DataError
from taumem.neighbors.patches import FLOOR, PatchComparison


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pictures():
    return load_fashion_mnist()[:600]


def windows(length: int, side: int) -> list[int]:
    return sorted({*range(0, length - side, max(1, side // 2)), length - side})


def best_of_all_pairs(query, train, groups, side, away, own=None):
    """The smallest ratio of a patch's distances, its place, and where the nearest patch is: by four loops."""
    height, width = query.shape[1:]
    best = (np.inf,)
    for row, column in product(windows(height, side), windows(width, side)):
        patch, found = query[:, row : row + side, column : column + side], []
        for k, image in enumerate(train):
            for r, c in product(range(height - side + 1), range(width - side + 1)):
                if abs(r - row) <= away and abs(c - column) <= away and groups[k] != own:
                    other = image[:, r : r + side, c : c + side]
                    found.append((float(np.sqrt(np.mean((patch - other) ** 2))), k, r, c))
        first = min(found)
        second = min(pair for pair in found if groups[pair[1]] != groups[first[1]])
        ratio = (first[0] + FLOOR) / (second[0] + FLOOR)
        if ratio < best[0]:
            best = ratio, first, (row, column)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("own", [None, 2])
@pytest.mark.parametrize("anywhere", [False, True])
def test_the_patch_that_stands_out_is_that_of_all_pairs(anywhere, own):
    train, groups = normal(6, 2, 9, 11).double(), np.array([0, 1, 2, 2, 4, 4])
    queries = normal(4, 2, 9, 11, seed=1).double()
    found = PatchComparison(train, groups=groups, shares=(1 / 3, 2 / 3), anywhere=anywhere).compare(
        queries, None if own is None else np.full(4, own)
    )
    assert found.sides == (3, 6)
    for row, (place, side) in product(range(4), enumerate(found.sides)):
        ratio, (distance, image, *at), where = best_of_all_pairs(
            queries[row].numpy(), train.numpy(), groups, side, 11 if anywhere else 1, own
        )
        assert found.ratio[row, place] == pytest.approx(ratio, rel=1e-5)
        assert found.distance[row, place] == pytest.approx(distance, rel=1e-5)
        assert (found.nearest[row, place], *found.train_at[row, place]) == (image, *at)
        assert tuple(found.at[row, place]) == where


@pytest.mark.slow
@pytest.mark.parametrize("moved", [(0, 0), (2, 0), (0, -2), (1, 1)])
def test_a_patch_that_was_put_in_is_found_with_its_source_and_its_places(pictures, moved):
    train, samples = pictures[:150], pictures[300:320].clone()
    down, right = moved
    for k, sample in enumerate(samples):
        sample[:, 4 + down : 24 + down, 4 + right : 24 + right] = train[k, :, 4:24, 4:24]
    comparison = PatchComparison(train, shares=(1 / 2, 2 / 3))
    found, null = comparison.compare(samples), comparison.compare(pictures[400:450])
    thresholds = null.thresholds(0.02)
    size = found.largest(thresholds)
    assert (size > 0).mean() >= 0.9
    assert (null.largest(thresholds) > 0).mean() <= 0.02
    best = found.ratio.argmin(axis=1)
    rows = np.flatnonzero(size)
    assert (found.nearest[rows, best[rows]] == rows).mean() > 0.95
    offset = (found.at - found.train_at)[rows, best[rows]]
    assert (np.abs(offset - moved).max(axis=1) <= 1).mean() > 0.8


@pytest.mark.slow
def test_what_was_moved_far_is_found_if_it_may_come_from_anywhere(pictures):
    train, samples = pictures[:100], pictures[300:310].clone()
    samples[:, :, :14, :14] = train[:10, :, 10:24, 10:24]
    near, anywhere = (PatchComparison(train, shares=(1 / 2,), anywhere=where) for where in (False, True))
    assert anywhere.cost > near.cost
    assert (anywhere.compare(samples).nearest[:, 0] == np.arange(10)).mean() >= 0.8
    assert (near.compare(samples).nearest[:, 0] == np.arange(10)).mean() <= 0.3


def test_plain_patches_do_not_stand_out_however_near_they_are():
    train = normal(30, 1, 16, 16).clamp(-1, 1)
    train[:20] = -1
    sample = torch.full((1, 1, 16, 16), -1.0)
    found = PatchComparison(train).compare(sample)
    assert (found.ratio == 1).all()
    assert (found.distance == 0).all()


@pytest.mark.slow
def test_near_duplicates_hide_a_patch_unless_they_count_as_one(pictures):
    train = torch.cat([pictures[:50], pictures[:50] + 0.01])
    samples = pictures[100:110].clone()
    samples[:, :, 6:24, 6:24] = train[:10, :, 6:24, 6:24]
    hidden = PatchComparison(train).compare(samples)
    found = PatchComparison(train, groups=np.arange(100) % 50).compare(samples)
    assert (found.score < 0.8 * hidden.score).all()
    assert (found.score < 0.35).all()


def test_thresholds_are_passed_by_the_share_that_was_asked_for():
    rng = np.random.default_rng(0)
    train = normal(20, 1, 16, 16)
    found = PatchComparison(train).compare(normal(200, 1, 16, 16, seed=1))
    for rare in (0.01, 0.05, 0.2):
        passed = (found.largest(found.thresholds(rare)) > 0).mean()
        assert rare - 0.02 <= passed <= rare
    some = found[rng.permutation(200)[:50]]
    assert len(some) == len(some.score) == 50


@pytest.mark.slow
def test_images_may_lie_on_disk_and_progress_is_told(tmp_path, pictures):
    np.save(tmp_path / "train.npy", pictures[:100].numpy())
    on_disk = np.load(tmp_path / "train.npy", mmap_mode="c")
    told = []
    found = PatchComparison(on_disk, shares=(1 / 2,), memory=2**22).compare(
        pictures[100:120], progress=lambda *work: told.append(work)
    )
    expected = PatchComparison(pictures[:100], shares=(1 / 2,)).compare(pictures[100:120])
    assert np.array_equal(found.ratio, expected.ratio)
    assert np.array_equal(found.nearest, expected.nearest)
    assert told[-1][0] == told[-1][1] == len(told)


def test_what_cannot_be_compared_is_refused(pictures):
    with pytest.raises(DataError, match="at least 2 different training images"):
        PatchComparison(pictures[:4], groups=np.zeros(4, np.int64))
    with pytest.raises(DataError, match=r"got 5 of shape \(3,\)"):
        PatchComparison(torch.zeros(5, 3))
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        PatchComparison(pictures[:4], shares=(1.5,))
