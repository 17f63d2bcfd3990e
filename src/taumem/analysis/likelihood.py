"""The log-normal likelihood of onsets of which some are known only as bounds.

An onset's log step y is Normal(mu, sigma). Each is known to lie in [low, high]:

    exact (low = high)    log f = -z^2 / 2 - log(sigma) - log(2 pi) / 2,   z = (y - mu) / sigma
    otherwise             log f = log(Phi((high - mu) / sigma) - Phi((low - mu) / sigma))

with low = -infinity for a left-censored and high = infinity for a right-censored onset. Both are log-concave
in mu.

Reference: Meeker and Escobar, Statistical Methods for Reliability Data (1998), section 2.4.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

__all__ = ["Bounds", "log_likelihood", "terms"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bounds:
    """Onsets as the likelihood sees them: natural logarithms of sizes and of steps, [onsets] each."""

    log_size: Floats
    low: Floats
    high: Floats

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which onsets are known as a step rather than as bounds."""
        return np.asarray(self.low == self.high)

    @property
    def middle(self) -> Floats:
        """One finite log step for each onset: its middle, or its only bound."""
        low = np.where(np.isfinite(self.low), self.low, self.high)
        high = np.where(np.isfinite(self.high), self.high, self.low)
        return (low + high) / 2


def terms(data: Bounds, mu: Floats, sigma: Floats) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood of each onset, its slope in mu, and its curvature (minus the second derivative) in mu.

    Args:
        data: the onsets.
        mu: expected log steps, [..., onsets].
        sigma: scatter of the log steps, positive, [..., 1].
    """
    sigma = np.broadcast_to(sigma, mu.shape)
    value, slope, curvature = np.empty_like(mu), np.empty_like(mu), np.empty_like(mu)

    exact = data.exact
    s = sigma[..., exact]
    z = (data.low[exact] - mu[..., exact]) / s
    value[..., exact] = -0.5 * z * z - np.log(s) - 0.5 * math.log(2 * math.pi)
    slope[..., exact] = z / s
    curvature[..., exact] = 1 / s**2

    s = sigma[..., ~exact]
    a, b, log_mass = _standardized(data, mu[..., ~exact], s)
    density_a, density_b = _density_over_mass(a, log_mass), _density_over_mass(b, log_mass)
    first = (density_a - density_b) / s
    moment = _times_finite(a, density_a) - _times_finite(b, density_b)
    value[..., ~exact] = log_mass
    slope[..., ~exact] = first
    curvature[..., ~exact] = np.clip(first**2 - moment / s**2, 0, 1 / s**2)
    return value, slope, curvature


def log_likelihood(data: Bounds, mu: Floats, sigma: Floats) -> Floats:
    """Log-likelihood of all onsets together, of their log steps: shape of ``mu`` without its last axis.

    Args:
        data: the onsets.
        mu: expected log steps, [..., onsets].
        sigma: scatter of the log steps, positive, [..., 1].
    """
    exact = data.exact
    z = (data.low[exact] - mu[..., exact]) / sigma
    total = -0.5 * np.sum(z * z, axis=-1) - exact.sum() * (np.log(sigma[..., 0]) + 0.5 * math.log(2 * math.pi))
    if not exact.all():
        total = total + _standardized(data, mu[..., ~exact], sigma)[2].sum(axis=-1)
    return np.asarray(total, dtype=float)


def _standardized(data: Bounds, mu: Floats, sigma: Floats) -> tuple[Floats, Floats, Floats]:
    """Both bounds in units of sigma from mu, and the log of the normal mass between them."""
    a = (data.low[~data.exact] - mu) / sigma
    b = (data.high[~data.exact] - mu) / sigma
    # In the upper tail Phi(b) - Phi(a) loses all digits: mirror it into the lower tail.
    above = a > 0
    lower, upper = np.where(above, -b, a), np.where(above, -a, b)
    log_upper = log_ndtr(upper)
    with np.errstate(divide="ignore"):
        log_mass = log_upper + np.log(-np.expm1(np.minimum(log_ndtr(lower) - log_upper, -1e-300)))
    return a, b, np.maximum(log_mass, -1e300)


def _density_over_mass(z: Floats, log_mass: Floats) -> Floats:
    exponent = -0.5 * z * z - 0.5 * math.log(2 * math.pi) - log_mass
    return np.asarray(np.exp(np.minimum(exponent, 700)), dtype=float)


def _times_finite(z: Floats, density: Floats) -> Floats:
    return np.where(np.isfinite(z), np.where(np.isfinite(z), z, 0) * density, 0)
