"""Comparisons find what brute force finds, whatever holds the training items and however little memory there is."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from taumem.errors import ConfigError
from taumem.neighbors.comparison import NearestComparison
from taumem.neighbors.views import coarse, orbit, standardized


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(70, 3, 6, 6, generator=generator) * 2 - 1
    return functional.interpolate(rough, (20, 20), mode="bicubic").clamp(-1, 1)


GROUPS = torch.arange(40) // 2 * 2


def by_hand(queries, train, own=None):
    """Score, training item and way of each query: view by view, item by item, in double precision."""
    found = []
    for row, query in enumerate(queries):
        best = (np.inf, -1, -1)
        for place, view in enumerate(orbit("full")):
            rows, inside = (query.flatten()[None], None) if view.is_plain else view.of(query[None])
            images = coarse(train) if view.is_coarse else train
            known = images.flatten(1) if inside is None else images[:, :, inside].flatten(1)
            known = standardized(known) if view.relit else known
            distance = (known.double() - rows.double()).norm(dim=1)
            if own is not None:
                distance[own[row] == GROUPS] = np.inf
            nearest = int(distance.argmin())
            second = float(distance[GROUPS[nearest] != GROUPS].min())
            score = view.handicap * float(distance[nearest]) / second
            if score < best[0]:
                best = (score, nearest, place)
        found.append(best)
    return [np.array(column) for column in zip(*found, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("memory", [2**29, 2**20])
def test_scores_neighbors_and_views_are_those_of_brute_force(pictures, memory):
    train, queries = pictures[:40], torch.cat([pictures[40:52], pictures[:4].flip(3), torch.roll(pictures[4:8], 1, 2)])
    scores, nearest, ways = by_hand(queries, train)
    for held in (train, train.numpy()):
        found = NearestComparison(held, groups=GROUPS, views=orbit("full"), memory=memory).compare(queries)
        np.testing.assert_allclose(found.score, scores, rtol=1e-5)
        assert found.nearest.tolist() == nearest.tolist()
        assert found.way.tolist() == ways.tolist()


@pytest.mark.slow
def test_a_training_item_of_its_own_is_left_out_with_its_group(pictures):
    train = pictures[:40]
    own = GROUPS[:10].numpy()
    scores, nearest, _ = by_hand(train[:10], train, own)
    found = NearestComparison(train, groups=GROUPS, views=orbit("full")).compare(train[:10], own)
    np.testing.assert_allclose(found.score, scores, rtol=1e-5)
    assert found.nearest.tolist() == nearest.tolist()
    assert (GROUPS[found.nearest].numpy() != own).all()


def test_progress_ends_with_all_and_never_goes_back(pictures):
    told = []
    comparison = NearestComparison(pictures[:40], views=orbit("light"), memory=2**20)
    comparison.compare(pictures[40:], progress=lambda done, total: told.append(done / total))
    assert told == sorted(told)
    assert told[-1] == 1


def test_one_group_has_nothing_to_stand_out_from(pictures):
    with pytest.raises(ConfigError, match="at least 2 distinct ones"):
        NearestComparison(pictures[:5], groups=torch.zeros(5, dtype=torch.long))
