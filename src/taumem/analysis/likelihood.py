"""The log-normal likelihood of onsets of which some are known only as bounds, and some are twins.

An onset's log step y is Normal(mu, sigma). Each is known to lie in [low, high]:

    exact (low = high)    log f = -z^2 / 2 - log(sigma) - log(2 pi) / 2,   z = (y - mu) / sigma
    otherwise             log f = log(Phi((high - mu) / sigma) - Phi((low - mu) / sigma))

with low = -infinity for a left-censored and high = infinity for a right-censored onset. Both are log-concave
in mu. Twins are correlated by rho: the second of a pair is what it would be alone, but for

    mu + rho (y_first - mu)   and   sigma sqrt(1 - rho^2)

in the places of mu and sigma. Where the first is known by its bounds, that is averaged over where it may be.

Reference: Meeker and Escobar, Statistical Methods for Reliability Data (1998), section 2.4.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

__all__ = ["Bounds", "log_likelihood", "terms"]

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
AT, WEIGHTS = (1 + _NODES) / 2, _WEIGHTS / 2
"""Where a twin may be within its bounds: quantiles of Gauss and Legendre, and what each counts."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """Onsets as the likelihood sees them: natural logarithms of steps, [onsets] each, and what they may depend on.

    Attributes:
        design: of each onset the logarithm of its size, and what else its law depends on, [onsets, coefficients].
        low: lower ends; -infinity where nothing bounds an onset from below.
        high: upper ends.
        twins: the places of the two onsets of each pair, [pairs, 2]; the first is exact if one of them is.
    """

    design: Floats
    low: Floats
    high: Floats
    twins: NDArray[np.intp] = field(default_factory=lambda: np.empty((0, 2), dtype=np.intp))

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

    def given_twins(self, mu: Floats, sigma: Floats, rho: Floats) -> tuple[Floats, Floats, Floats]:
        """Center and scatter of each onset given its twin, taken to be at its middle; and d center / d mu."""
        if not len(self.twins):
            return mu, sigma, np.ones(1)
        first, second = self.twins.T
        center, scatter, own = mu.copy(), np.broadcast_to(sigma, mu.shape).copy(), np.ones_like(mu)
        center[..., second] += rho * (self.middle[first] - mu[..., first])
        scatter[..., second] *= np.sqrt(1 - rho**2)
        own[..., second] -= rho
        return center, scatter, own


def terms(data: Bounds, mu: Floats, sigma: Floats, rho: Floats | float = 0.0) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood of each onset, its slope in mu, and its curvature (minus the second derivative) in mu.

    A twin that is known by its bounds is taken to be at their middle here, which is near enough to find the mode.

    Args:
        data: the onsets.
        mu: expected log steps, [..., onsets].
        sigma: scatter of the log steps, positive, [..., 1].
        rho: correlation of twins, in [0, 1), [..., 1].
    """
    mu, sigma, own = data.given_twins(mu, sigma, np.asarray(rho))
    sigma = np.broadcast_to(sigma, mu.shape)
    value, slope, curvature = np.empty_like(mu), np.empty_like(mu), np.empty_like(mu)

    exact = data.exact
    s = sigma[..., exact]
    z = (data.low[exact] - mu[..., exact]) / s
    value[..., exact] = -0.5 * z * z - np.log(s) - 0.5 * math.log(2 * math.pi)
    slope[..., exact] = z / s
    curvature[..., exact] = 1 / s**2

    s = sigma[..., ~exact]
    a, b = (data.low[~exact] - mu[..., ~exact]) / s, (data.high[~exact] - mu[..., ~exact]) / s
    log_mass = _log_mass(a, b)
    density_a, density_b = _density_over_mass(a, log_mass), _density_over_mass(b, log_mass)
    first = (density_a - density_b) / s
    moment = _times_finite(a, density_a) - _times_finite(b, density_b)
    value[..., ~exact] = log_mass
    slope[..., ~exact] = first
    curvature[..., ~exact] = np.clip(first**2 - moment / s**2, 0, 1 / s**2)
    return value, slope * own, curvature * own**2


def log_likelihood(data: Bounds, mu: Floats, sigma: Floats, rho: Floats | float = 0.0) -> Floats:
    """Log-likelihood of all onsets together, of their log steps: shape of ``mu`` without its last axis.

    Args:
        data: the onsets.
        mu: expected log steps, [..., onsets].
        sigma: scatter of the log steps, positive, [..., 1].
        rho: correlation of twins, in [0, 1), [..., 1].
    """
    center, scatter, _ = data.given_twins(mu, sigma, np.asarray(rho))
    scatter = np.broadcast_to(scatter, mu.shape)
    exact = data.exact
    z = (data.low[exact] - center[..., exact]) / scatter[..., exact]
    total = np.sum(-0.5 * z * z - np.log(scatter[..., exact]) - 0.5 * math.log(2 * math.pi), axis=-1)
    bounded = data.twins[~exact[data.twins[:, 0]]]
    rest = np.setdiff1d(np.flatnonzero(~exact), bounded[:, 1])
    if len(rest):
        s = scatter[..., rest]
        mass = _log_mass((data.low[rest] - center[..., rest]) / s, (data.high[rest] - center[..., rest]) / s)
        total = total + mass.sum(axis=-1)
    for first, second in bounded:
        total = total + _log_mass_of_second(data, first, second, mu, sigma, np.asarray(rho))
    return np.asarray(total, dtype=float)


def _log_mass_of_second(data: Bounds, first: int, second: int, mu: Floats, sigma: Floats, rho: Floats) -> Floats:
    """Log probability of the second twin's bounds, given that the first lies within its own."""
    center, mu = mu[..., [second]], mu[..., [first]]
    a, b, mirrored = _in_lower_tail((data.low[first] - mu) / sigma, (data.high[first] - mu) / sigma)
    below, within = ndtr(a), ndtr(b) - ndtr(a)
    z = np.clip(ndtri(np.maximum(below + AT * within, 1e-300)), a, b)
    center = center + rho * sigma * np.where(mirrored, -z, z)
    scatter = sigma * np.sqrt(1 - rho**2)
    log_mass = _log_mass((data.low[second] - center) / scatter, (data.high[second] - center) / scatter)
    most = log_mass.max(axis=-1)
    return np.asarray(most + np.log(np.exp(log_mass - most[..., None]) @ WEIGHTS))


def _log_mass(a: Floats, b: Floats) -> Floats:
    """Log of the normal mass between two bounds, in units of sigma from mu."""
    lower, upper, _ = _in_lower_tail(a, b)
    log_upper = log_ndtr(upper)
    with np.errstate(divide="ignore"):
        log_mass = log_upper + np.log(-np.expm1(np.minimum(log_ndtr(lower) - log_upper, -1e-300)))
    return np.maximum(log_mass, -1e300)


def _in_lower_tail(a: Floats, b: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The bounds, mirrored where both are above mu: Phi(b) - Phi(a) loses all digits in the upper tail."""
    above = np.asarray(a > 0)
    return np.where(above, -b, a), np.where(above, -a, b), above


def _density_over_mass(z: Floats, log_mass: Floats) -> Floats:
    exponent = -0.5 * z * z - 0.5 * math.log(2 * math.pi) - log_mass
    return np.asarray(np.exp(np.minimum(exponent, 700)), dtype=float)


def _times_finite(z: Floats, density: Floats) -> Floats:
    return np.where(np.isfinite(z), np.where(np.isfinite(z), z, 0) * density, 0)
