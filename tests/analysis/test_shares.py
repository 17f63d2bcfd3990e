"""The exact interval of a share, against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from taumem.analysis import exact_interval
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
