"""The exact interval of a share, against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from taumem.analysis import exact_interval
from taumem.analysis.shares import difference_interval
from taumem.errors import ConfigError

shares = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.floats(0.5, 0.999)


@given(shares, confidences)
def test_the_interval_is_scipys(share, confidence):
    exact = binomtest(*share).proportion_ci(confidence, method="exact")
    assert exact_interval(*share, confidence) == pytest.approx((exact.low, exact.high), abs=1e-9)


@given(st.lists(shares, min_size=1, max_size=20))
def test_of_many_shares_the_intervals_are_those_of_each(many):
    counts, n = np.array(many).T
    low, high = exact_interval(counts, n)
    assert list(zip(low, high, strict=True)) == [exact_interval(int(k), int(m)) for k, m in many]
    of_one_n, _ = exact_interval(np.array([0, 5, 10]), 10)
    assert of_one_n.tolist() == [exact_interval(k, 10)[0] for k in (0, 5, 10)]


@pytest.mark.parametrize("truth", [0.003, 0.1, 0.5, 0.98])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_it_holds_the_truth_at_least_as_often_as_it_says(truth, confidence):
    counts = np.arange(61)
    low, high = exact_interval(counts, 60, confidence)
    assert binom(60, truth).pmf(counts[(low <= truth) & (truth <= high)]).sum() >= confidence


def test_of_nothing_nothing_is_known():
    assert exact_interval(0, 0) == (0.0, 1.0)


def test_numbers_give_numbers():
    assert [type(end) for end in exact_interval(np.int64(3), np.int64(7))] == [float, float]


@pytest.mark.parametrize("confidence", [0.0, 1.0, float("nan")])
def test_a_confidence_that_is_no_probability_is_refused(confidence):
    with pytest.raises(ConfigError, match="confidence"):
        exact_interval(1, 5, confidence)


@pytest.mark.parametrize(
    ("counts", "ends"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((0, 10, 0, 10), (-0.2775, 0.2775)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
        ((10, 10, 0, 10), (0.6075, 1.0)),
    ],
)
def test_the_interval_of_a_difference_is_that_of_newcombes_table(counts, ends):
    assert difference_interval(*counts) == pytest.approx(ends, abs=6e-5)  # Newcombe 1998, table II, method 10


def test_the_difference_to_a_share_of_nothing_is_as_wide_as_can_be():
    low, high = difference_interval(3, 10, 0, 0, 0.9)
    assert low < -0.6
    assert high > 0.3
    with pytest.raises(ConfigError, match="a share counts from 0 to all"):
        difference_interval(3, 2, 0, 1)
