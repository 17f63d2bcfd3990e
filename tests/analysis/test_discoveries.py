"""Discoveries against brute force, scipy, all orders of small sets, and simulations with planted copies."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import betabinom

from taumem.analysis.discoveries import (
    _envelope,
    _ranks,
    _stays_within,
    _tails,
    conformal_p,
    discovery_bounds,
    exchangeability_p,
    flagged,
    q_values,
)
from taumem.errors import ConfigError, DataError

scores = arrays.arrays(np.float64, st.integers(0, 40), elements=st.integers(0, 12).map(float))
p_values = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1))


@given(scores, scores)
def test_a_p_value_is_the_share_of_the_null_and_the_sample_that_is_as_suspicious(found, null):
    expected = [(1 + sum(other <= score for other in null)) / (len(null) + 1) for score in found]
    assert conformal_p(found, null).tolist() == expected


@pytest.mark.parametrize("shades", [4, 10**6])
def test_p_values_of_samples_that_copy_nothing_are_small_no_more_often_than_they_say(shades):
    rng = np.random.default_rng(1)
    both = np.floor(shades * rng.random((4000, 20))) / shades  # with ties where there are few shades
    p = np.array([conformal_p(row[:1], row[1:])[0] for row in both])
    for u in (0.05, 0.1, 0.5):
        assert (p <= u).mean() <= u + 3 * np.sqrt(u / len(p))


@given(p_values, st.floats(0.01, 0.99))
def test_what_is_flagged_are_the_discoveries_of_benjamini_and_hochberg(p, q):
    order = np.sort(p)
    passing = [k for k in range(1, len(p) + 1) if order[k - 1] <= q * k / len(p)]
    cut = order[passing[-1] - 1] if passing else -1.0
    near = any(abs(order[k - 1] - q * k / len(p)) < 1e-12 for k in range(1, len(p) + 1))  # a matter of rounding
    assert near or flagged(p, q).tolist() == (p <= cut).tolist()


@given(p_values)
def test_q_values_are_in_the_order_of_the_p_values_and_no_smaller(p):
    q = q_values(p)
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(q[order]) >= 0)
    assert np.all((q >= p) & (q <= 1))


def test_the_false_discovery_rate_is_kept_among_samples_that_share_their_null():
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(1500):
        found = np.concatenate([rng.random(60), 0.02 * rng.random(20)])
        named = flagged(conformal_p(found, rng.random(100)), 0.1)
        shares.append(named[:60].sum() / max(named.sum(), 1))
    assert np.mean(shares) <= 0.1 * 60 / 80 + 3 * np.std(shares) / np.sqrt(len(shares))


@pytest.mark.parametrize(("m", "n"), [(3, 4), (6, 5), (9, 2), (2, 9)])
def test_the_probability_to_stay_within_bounds_is_the_share_of_all_orders(m, n):
    rng = np.random.default_rng(m)
    before = np.array([np.array(places) - np.arange(n) for places in combinations(range(m + n), n)])
    for _ in range(5):
        most = np.sort(rng.integers(0, m + 1, size=n))
        assert _stays_within(m, n, _ranks(n), most) == pytest.approx((before <= most).all(axis=1).mean(), abs=1e-12)


def test_bounds_that_are_never_kept_have_no_probability():
    assert _stays_within(1000, 1000, _ranks(1000), np.zeros_like(_ranks(1000))) == 0


@pytest.mark.parametrize(("m", "n"), [(40, 60), (500, 70), (70, 500)])
def test_what_comes_before_each_rank_is_beta_binomial(m, n):
    ranks = _ranks(n)
    for k, start, tail in zip(ranks, *_tails(m, n, ranks), strict=True):
        a = np.arange(start, start + min(len(tail), 40))
        expected = betabinom(m, k, n + 1 - k).sf(a - 1)
        assert tail[: len(a)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("m", "n"), [(30, 12), (200, 200), (3000, 40), (40, 3000)])
def test_the_bounds_use_up_the_confidence_and_do_not_exceed_it(m, n):
    ranks, most = _envelope(m, n, 0.95)
    assert 0.95 <= _stays_within(m, n, ranks, most) < (0.98 if min(m, n) < 50 else 0.955)
    assert np.all(np.diff(most) >= 0)
    wider = _envelope(m, n, 0.99)[1]
    assert np.all(wider >= most)


def broken(found, null, is_true, confidence):
    """Whether some threshold has more samples that copy nothing than the bound says."""
    bounds = discovery_bounds(found, null, confidence)
    truly_false = np.searchsorted(np.sort(found[~is_true]), bounds.thresholds, side="right")
    return bool((truly_false > bounds.false).any())


@pytest.mark.parametrize("shades", [8, 10**9])
@pytest.mark.parametrize(("n_null", "n_false", "n_true"), [(10, 30, 0), (10, 20, 20), (60, 50, 0), (60, 40, 25)])
def test_the_bounds_hold_together_as_often_as_they_say(shades, n_null, n_false, n_true):
    rng = np.random.default_rng(n_null + n_true)
    is_true = np.arange(n_false + n_true) >= n_false
    runs, misses = 1500, 0
    for _ in range(runs):
        null, samples = rng.random(n_null), rng.random(n_false + n_true)
        samples[is_true] *= 0.1
        null, samples = (np.floor(shades * values) / shades for values in (null, samples))
        misses += broken(samples, null, is_true, 0.9)
    assert misses / runs <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / runs)
    if shades > 10 and not n_true:
        assert misses / runs >= 0.04  # they are no wider than they have to be


@given(scores, scores, st.floats(0.5, 0.99))
def test_bounds_are_possible_numbers(found, null, confidence):
    bounds = discovery_bounds(found, null, confidence)
    assert bounds.thresholds.tolist() == sorted(set(found.tolist()))
    assert bounds.found.tolist() == [(found <= t).sum() for t in bounds.thresholds]
    assert np.all((bounds.false >= 0) & (bounds.false <= bounds.found))
    assert np.all(np.diff(bounds.false) >= 0)
    # A sample that is added is false at most once.
    assert np.all(np.diff(bounds.false) <= np.diff(bounds.found))
    assert np.all(bounds.share <= 1)
    assert 0 <= bounds.copies_at_least <= len(found)


def test_blatant_copies_are_bounded_well():
    rng = np.random.default_rng(3)
    samples = np.concatenate([0.001 * rng.random(100), 0.1 + rng.random(900)])
    bounds = discovery_bounds(samples, 0.1 + rng.random(1000))
    assert bounds.found[99] == 100
    assert bounds.false[99] <= 6
    assert bounds.copies_at_least >= 94


def test_ties_with_the_null_count_against_a_discovery():
    null = np.full(50, 1.0)
    tied, below = discovery_bounds(np.full(20, 1.0), null), discovery_bounds(np.full(20, 0.9), null)
    assert tied.false.tolist() == [20]
    assert below.false.tolist() < [20]
    assert conformal_p(np.array([1.0]), null) == [1.0]


def test_without_a_null_nothing_is_bounded():
    bounds = discovery_bounds(np.array([0.1, 0.2]), np.array([]))
    assert bounds.false.tolist() == [1, 2]
    assert bounds.copies_at_least == 0
    assert discovery_bounds(np.array([]), np.array([0.5])).copies_at_least == 0


def test_samples_like_the_null_pass_for_it_and_others_do_not():
    rng = np.random.default_rng(4)
    alike = [exchangeability_p(np.r_[rng.random(60), 0.05 * rng.random(30)], rng.random(80)) for _ in range(400)]
    assert np.mean(np.array(alike) <= 0.1) <= 0.1 + 3 * np.sqrt(0.09 / 400)
    assert exchangeability_p(0.5 + 0.2 * rng.random(200), rng.random(200)) < 1e-6
    assert exchangeability_p(np.array([0.1]), rng.random(200)) is None
    assert exchangeability_p(np.array([0.1]), np.array([])) is None


@pytest.mark.parametrize("bad", [np.array([0.1, np.nan]), np.ones((2, 2))])
def test_scores_that_are_no_numbers_are_refused(bad):
    good = np.ones(3)
    for ask in (lambda: conformal_p(bad, good), lambda: discovery_bounds(good, bad), lambda: q_values(bad)):
        with pytest.raises(DataError, match="one number each"):
            ask()


def test_numbers_out_of_their_range_are_refused():
    with pytest.raises(DataError, match="between 0 and 1"):
        q_values(np.array([1.2]))
    with pytest.raises(ConfigError, match="between 0 and 1"):
        flagged(np.array([0.2]), 0)
    with pytest.raises(ConfigError, match="confidence"):
        discovery_bounds(np.ones(2), np.ones(2), 1.0)
