from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taumem.errors import ConfigError
from taumem.monitor.subsets import as_labels, as_sizes, subsets


def drawn(n=40, sizes=(5, 10), repeats=2, nested=True, groups=None, n_heldout=256, seed=0):
    return subsets(n, sizes, repeats=repeats, nested=nested, groups=groups, n_heldout=n_heldout, seed=seed)


@given(
    n=st.integers(30, 90),
    sizes=st.lists(st.integers(2, 10), min_size=1, max_size=3, unique=True).map(sorted),
    repeats=st.integers(1, 3),
    nested=st.booleans(),
    labels=st.one_of(st.none(), st.integers(1, 3)),
)
def test_subsets_never_share_an_item_with_what_they_hold_out(n, sizes, repeats, nested, labels):
    groups = None if labels is None else [place // labels for place in range(n)]
    units = n if groups is None else len(set(groups))
    if (sizes[-1] if nested else sum(sizes)) * (labels or 1) > n - 8 or sizes[-1] >= units:
        return
    found = drawn(n, sizes, repeats, nested, groups)
    assert [s.size for s in found] == sorted(s for s in sizes for _ in range(repeats))
    for subset in found:
        label = groups.__getitem__ if groups else int
        inside, outside = set(map(label, subset.train)), set(map(label, subset.heldout))
        assert not inside & outside
        assert len(inside) == subset.size
        assert len(subset.train) + len(subset.heldout) == n
    for repeat in range(repeats):
        own = [set(s.train) for s in found if s.repeat == repeat]
        for small, large in pairwise(own):
            assert small < large if nested else not small & large


def test_subsets_are_the_same_when_drawn_again_and_other_ones_for_another_seed():
    assert drawn() == drawn()
    assert drawn(seed=1) != drawn()
    assert [s.train for s in drawn(sizes=(5, 10))][:2] == [s.train for s in drawn(sizes=(5, 12))][:2]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sizes": (10, 40)}, "such as 20"),
        ({"sizes": (10, 35)}, "leaves 5 items.*may be 32"),
        ({"sizes": (15, 30), "nested": False}, "take 45"),
        ({"groups": [0] * 39}, "one label for each of the 40 items"),
        ({"groups": [0, 1] * 20}, "2 groups"),
        ({"repeats": 0}, "repeats"),
    ],
)
def test_sizes_that_cannot_be_drawn_are_refused_with_what_would_do(wrong, told):
    with pytest.raises(ConfigError, match=told):
        drawn(**wrong)


@pytest.mark.parametrize("wrong", [(), (10, 5), (5, 5), (5.5,), (1, 5), (True, 5), 10, "10", None, (5, None)])
def test_sizes_are_ascending_whole_numbers(wrong):
    with pytest.raises(ConfigError, match=r"ascending whole numbers of training examples, from 2"):
        as_sizes(wrong)


@pytest.mark.parametrize("given", [[5, 10], (5, 10), range(5, 11, 5), np.array([5, 10]), torch.tensor([5, 10])])
def test_sizes_may_be_held_by_anything(given):
    assert as_sizes(given) == (5, 10)


@pytest.mark.parametrize(
    "hold", [list, np.array, torch.tensor, lambda labels: [torch.tensor(label) for label in labels]]
)
def test_groups_stay_together_whatever_holds_their_labels(hold):
    labels = [place // 4 for place in range(40)]
    for subset in drawn(sizes=(2, 5), groups=hold(labels)):
        inside, outside = ({labels[place] for place in side} for side in (subset.train, subset.heldout))
        assert not inside & outside
        assert len(inside) == subset.size


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([[1]] * 4, "a word or a number; got \\[1\\] \\(list\\)"),
        ([{}] * 4, "a word or a number; got {} \\(dict\\)"),
        ([1, None, 2, 3], "1 of the 4 items have no label"),
        ([1.0, float("nan"), 2.0, float("nan")], "2 of the 4 items have no label"),
        ("abcd", "one label for each"),
        (4, "one label for each"),
    ],
)
def test_what_is_no_label_of_a_group_is_refused(wrong, told):
    with pytest.raises(ConfigError, match=told):
        as_labels(wrong, 4)


def test_a_size_that_is_added_changes_no_other_draw():
    assert [s for s in drawn(sizes=(5, 8, 10)) if s.size != 8] == drawn(sizes=(5, 10))
    assert [s for s in drawn(repeats=3) if s.repeat < 2] == drawn(repeats=2)
