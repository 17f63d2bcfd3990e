import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm

from taumem.analysis.likelihood import Bounds, log_likelihood, terms


def bounds(*pairs):
    low, high = np.array(pairs, dtype=float).T
    return Bounds(np.arange(len(low), dtype=float), low, high)


@given(mu=st.floats(-8, 8), sigma=st.floats(0.05, 3))
def test_the_likelihood_of_each_kind_of_onset_is_the_textbook_one(mu, sigma):
    data = bounds((1.0, 1.0), (0.5, 1.5), (2.0, math.inf), (-math.inf, -1.0))
    value, _, _ = terms(data, np.full(4, mu), np.array([sigma]))
    law = norm(mu, sigma)
    expected = [law.logpdf(1.0), _log_mass(mu, sigma), law.logsf(2.0), law.logcdf(-1.0)]
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert log_likelihood(data, np.full(4, mu), np.array([sigma])) == pytest.approx(value.sum(), rel=1e-9)


def _log_mass(mu, sigma):
    """In the tail where it keeps its digits."""
    a, b = (0.5 - mu) / sigma, (1.5 - mu) / sigma
    if a > 0:
        a, b = -b, -a
    return norm.logcdf(b) + math.log1p(-math.exp(norm.logcdf(a) - norm.logcdf(b)))


def test_the_slope_and_the_curvature_are_the_derivatives():
    data = bounds((1.0, 1.0), (0.5, 1.5), (2.0, math.inf), (-math.inf, -1.0))
    h = 1e-4
    for mu in (-1.0, 0.3, 1.1, 3.0):
        at = [terms(data, np.full(4, mu + d), np.array([0.7])) for d in (-h, 0.0, h)]
        assert at[1][1] == pytest.approx((at[2][0] - at[0][0]) / (2 * h), abs=1e-5)
        assert at[1][2] == pytest.approx(-(at[2][1] - at[0][1]) / (2 * h), abs=1e-5)


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.9])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0.5, 0.5), (0.9, 0.9)),
        ((0.5, 0.5), (0.2, 1.1)),
        ((0.5, 0.5), (0.7, math.inf)),
        ((0.1, 0.6), (0.2, 1.1)),
        ((0.3, math.inf), (0.3, math.inf)),
        ((-math.inf, 0.4), (0.2, 0.9)),
    ],
)
def test_the_likelihood_of_twins_is_that_of_two_correlated_normals(one, other, rho):
    mu, sigma = 0.3, 0.6
    low, high = np.array([one, other]).T
    data = Bounds(np.zeros(2), low, high, np.array([[0, 1]]))
    found = log_likelihood(data, np.full(2, mu), np.array([sigma]), np.array([rho]))
    both = multivariate_normal([mu, mu], sigma**2 * np.array([[1, rho], [rho, 1]]))
    given = norm(mu + rho * (one[0] - mu), sigma * math.sqrt(1 - rho**2))
    if low[1] == high[1]:
        expected = both.logpdf([one[0], other[0]])
    elif low[0] == high[0]:
        expected = norm.logpdf(one[0], mu, sigma) + math.log(given.cdf(other[1]) - given.cdf(other[0]))
    else:
        expected = math.log(both.cdf(high, lower_limit=low))
    assert found == pytest.approx(expected, abs=0.01)


def test_twins_that_are_not_alike_are_two_runs():
    data = bounds((1.0, 1.0), (0.5, 1.5), (2.0, math.inf), (-math.inf, -1.0))
    paired = Bounds(data.design, data.low, data.high, np.array([[0, 1], [2, 3]]))
    mu, sigma = np.array([0.1, 0.5, 1.0, 1.2]), np.array([0.7])
    assert log_likelihood(paired, mu, sigma, np.zeros(1)) == pytest.approx(log_likelihood(data, mu, sigma))


@pytest.mark.parametrize("rho", [0.3, 0.95])
def test_the_slope_of_twins_is_the_derivative_where_one_of_them_is_located(rho):
    low, high = np.array([(1.0, 1.0), (0.5, 1.5), (0.2, 0.2), (0.9, math.inf)]).T
    data = Bounds(np.zeros(4), low, high, np.array([[0, 1], [2, 3]]))
    h = 1e-4
    values = [log_likelihood(data, np.full(4, 0.4 + d), np.array([0.7]), np.array([rho])) for d in (-h, 0.0, h)]
    _, slope, curvature = terms(data, np.full(4, 0.4), np.array([0.7]), np.array([rho]))
    assert slope.sum() == pytest.approx((values[2] - values[0]) / (2 * h), abs=1e-5)
    assert curvature.sum() == pytest.approx((2 * values[1] - values[0] - values[2]) / h**2, abs=1e-4)


@pytest.mark.parametrize("mu", [-300.0, 300.0])
def test_bounds_far_in_the_tail_stay_finite(mu):
    data = bounds((0.0, 0.2), (0.0, math.inf), (-math.inf, 0.0))
    assert all(np.isfinite(part).all() for part in terms(data, np.full(3, mu), np.array([0.01])))
    twins = Bounds(data.design[:2], data.low[1:], data.high[1:], np.array([[0, 1]]))
    assert np.isfinite(log_likelihood(twins, np.full(2, mu), np.array([0.01]), np.array([0.9])))


def test_its_maximum_is_the_one_that_lifelines_finds():
    lifelines = pytest.importorskip("lifelines")
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(5)
    log_size = np.log(np.repeat([16.0, 32.0, 64.0, 128.0], 6))
    y = math.log(8) + 1.1 * log_size + 0.25 * rng.standard_normal(24)
    low, high = y.copy(), y.copy()
    low[:8], high[:8] = np.floor(y[:8] / 0.3) * 0.3, np.floor(y[:8] / 0.3) * 0.3 + 0.3
    late = (np.arange(24) >= 18) & (y > 7.3)
    assert late.any()
    low[late], high[late] = 7.3, np.inf
    data = Bounds(log_size, low, high)

    found = minimize(
        lambda p: -log_likelihood(data, p[0] + p[1] * log_size, np.array([math.exp(p[2])])),
        [2.0, 1.0, -1.0],
        tol=1e-10,
    )

    fitter = lifelines.LogNormalAFTFitter()
    frame = pandas.DataFrame({"low": np.exp(low), "high": np.exp(high), "log_size": log_size, "e": low == high})
    fitter.fit_interval_censoring(frame, "low", "high", event_col="e")
    theirs = fitter.params_
    assert found.x[0] == pytest.approx(theirs["mu_", "Intercept"], abs=2e-3)
    assert found.x[1] == pytest.approx(theirs["mu_", "log_size"], abs=1e-3)
    assert found.x[2] == pytest.approx(theirs["sigma_", "Intercept"], abs=2e-3)
    # theirs is the density of tau itself where it is known exactly: a Jacobian apart
    jacobian = y[low == high].sum()
    assert -found.fun == pytest.approx(fitter.log_likelihood_ + jacobian, abs=1e-3)
