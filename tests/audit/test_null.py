"""The null: one item of each group, in two halves that share nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.audit.null import halves, one_of_each
from taumem.errors import DataError
from taumem.neighbors.matches import Matches


def matches(n):
    score, whole = np.arange(n, dtype=float), np.arange(n)
    return Matches(score, whole, score, score, whole * 0, ("as it is",), score[:, None])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 12), st.integers(0, 5))
def test_one_item_of_each_group_is_drawn(groups, most, seed):
    groups = np.array(groups)
    places = one_of_each(groups, most, seed)
    assert len(places) == min(most, len(np.unique(groups)))
    assert len(np.unique(groups[places])) == len(places)
    assert (np.diff(places) > 0).all()
    assert (places == one_of_each(groups, most, seed)).all()


def test_each_item_of_a_group_is_drawn_as_often():
    groups = np.array([0, 0, 0, 1, 1, 2])
    drawn = np.bincount(np.concatenate([one_of_each(groups, 3, seed) for seed in range(600)]), minlength=6)
    np.testing.assert_allclose(drawn, [200, 200, 200, 300, 300, 600], atol=60)


@given(st.integers(4, 40), st.integers(0, 5))
def test_the_halves_share_nothing_and_leave_nothing_out(n, seed):
    places = 10 + 2 * np.arange(n)
    null = halves(matches(n), places, "heldout", seed)
    both = np.concatenate([null.calibrated, null.evaluated])
    assert sorted(both.tolist()) == places.tolist()
    assert len(null.calibration) - len(null.evaluation) in (0, 1)
    assert (places[null.calibration.nearest] == null.calibrated).all()
    assert (places[null.evaluation.nearest] == null.evaluated).all()


def test_too_few_are_refused():
    with pytest.raises(DataError, match="at least 4 held-out items"):
        halves(matches(3), np.arange(3), "heldout", 0)
