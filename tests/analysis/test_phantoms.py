"""Exact tests of counts, against scipy and against all draws."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact

from taumem.analysis.phantoms import phantom_test, samples_needed, share_test, smallest_excluded
from taumem.errors import ConfigError

counts = st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, counts)
def test_the_test_of_shares_is_scipys(one, other):
    (count, n), (by_chance, n_chance) = one, other
    expected = fisher_exact([[count, n - count], [by_chance, n_chance - by_chance]], alternative="greater").pvalue
    assert share_test(count, n, by_chance, n_chance) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=5))
def test_of_many_shares_the_tests_are_those_of_each(many):
    each = [share_test(*one, *other) for one, other in many]
    (k, n), (k_chance, n_chance) = np.array(many).transpose(1, 2, 0)
    assert share_test(k, n, k_chance, n_chance).tolist() == each


@pytest.mark.parametrize(("n_train", "n_heldout", "ours", "theirs"), [(5, 4, 3, 0), (4, 6, 2, 2), (3, 3, 3, 2)])
def test_the_p_of_phantoms_is_the_share_of_all_draws(n_train, n_heldout, ours, theirs):
    draws = list(combinations(range(n_train + n_heldout), ours + theirs))
    on_train = [sum(item < n_train for item in draw) for draw in draws]
    test = phantom_test(n_train, n_heldout, ours, theirs)
    assert test.p == pytest.approx(sum(k >= ours for k in on_train) / len(draws))
    assert test.expected_heldout == pytest.approx(ours + theirs - sum(on_train) / len(draws))
    assert test.best_p == pytest.approx(sum(k == max(on_train) for k in on_train) / len(draws))
    assert (test.matched_train, test.matched_heldout) == (ours, theirs)


def test_by_strata_the_p_is_the_share_of_all_draws_in_each():
    sides = [(3, 2), (2, 4), (4, 0)]  # the last has nothing held out, and says nothing
    drawn, ours = (2, 3, 2), (2, 1, 2)
    ways = [
        [sum(item < n_train for item in draw) for draw in combinations(range(n_train + n_heldout), n)]
        for (n_train, n_heldout), n in zip(sides, drawn, strict=True)
    ]
    sums = [sum(each) for each in product(*ways)]
    n_train, n_heldout = np.array(sides).T
    test = phantom_test(n_train, n_heldout, np.array(ours), np.array(drawn) - ours)
    assert test.p == pytest.approx(sum(k >= sum(ours) for k in sums) / len(sums))
    assert test.best_p == pytest.approx(sum(k == max(sums) for k in sums) / len(sums))
    assert test.expected_heldout == pytest.approx(sum(drawn) - sum(sums) / len(sums))
    assert (
        phantom_test(*(column[:2] for column in (n_train, n_heldout, np.array(ours), np.array(drawn) - ours))).p
        == test.p
    )


@given(counts, counts)
def test_the_p_of_phantoms_in_one_stratum_is_fishers(one, other):
    test = phantom_test(one[1], other[1], one[0], other[0])
    assert test.p == pytest.approx(share_test(*one, *other), rel=1e-6)


@given(counts, counts)
def test_no_p_of_phantoms_is_below_the_best(one, other):
    test = phantom_test(one[1], other[1], one[0], other[0])
    assert test.best_p <= test.p * (1 + 1e-9) <= 1 + 1e-6


def test_with_no_match_there_is_nothing_to_find():
    assert (phantom_test(10, 10, 0, 0).p, phantom_test(10, 10, 0, 0).best_p) == (1, 1)
    assert phantom_test(0, 0, 0, 0).expected_heldout == 0


@given(counts, st.floats(0.5, 0.999))
def test_what_is_excluded_is_scipys_one_sided_end(count, confidence):
    assume(count[1] > 0)
    expected = binomtest(*count, alternative="less").proportion_ci(confidence, method="exact").high
    assert smallest_excluded(count[1], count[0], confidence) == pytest.approx(expected, abs=1e-9)


def test_of_no_samples_nothing_is_excluded():
    assert smallest_excluded(0) == 1


@given(st.floats(1e-4, 0.9), st.floats(0.5, 0.999))
def test_so_many_samples_are_enough_and_one_fewer_is_not(rate, confidence):
    n = samples_needed(rate, confidence)
    assert smallest_excluded(n, 0, confidence) <= rate * (1 + 1e-6)
    assert n == 1 or smallest_excluded(n - 1, 0, confidence) > rate * (1 - 1e-6)


def test_numbers_out_of_their_range_are_refused():
    for ask in (lambda: share_test(3, 2, 0, 1), lambda: smallest_excluded(2, 3), lambda: phantom_test(5, 5, 0, -1)):
        with pytest.raises(ConfigError, match="counts from 0"):
            ask()
    with pytest.raises(ConfigError, match="rate"):
        samples_needed(0)
    with pytest.raises(ConfigError, match="confidence"):
        smallest_excluded(5, 0, 1)
