"""What the onsets say about the law: weighted draws of its parameters, without a random number.

    log tau_i ~ Normal(log(tau_0 + c P_i^a), sigma)

Prior: flat in log c and in a, and 1 / sigma for 0.01 <= sigma <= 2 (a scatter below 1 % or above a factor of
7 between seeds is not expected of any law). It is the right-Haar prior, under which the intervals of
coefficients and of predictions are the exact t intervals of regression when nothing is censored; its two ends
only matter with fewer than about 2 degrees of freedom, where they stand in for the data. Onsets known only as
intervals cannot tell a scatter finer than these from none, and 1 / sigma would believe in none: the lower end
is then the width of the intervals over sqrt(12), root mean square over the located onsets. An exponent known
to within an uncertainty has a normal prior instead. With a floor, tau_0 is uniform between 0 and twice the
smallest onset, 0 <= a <= 3, and tau_0 <= c P^a at the largest size: without those ends the likelihood would
leave c and a unbounded.

Integration: sigma (and tau_0) on a grid; at each node the mode in (log c, a), which Newton's method finds
since the likelihood is log-concave there; around it a multivariate t proposal on a low-discrepancy sequence;
importance weights make up the difference. Nothing but the weights knows of the approximation.

Reference: Severini, Mukerjee and Ghosh, Biometrika 89 (2002), on right-Haar priors; Roberts (2018), the R_d
sequence.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from taumem.analysis.likelihood import Bounds, log_likelihood, terms

__all__ = ["SIGMA_HIGHEST", "SIGMA_LOWEST", "Posterior", "integrate"]

SIGMA_LOWEST, SIGMA_HIGHEST = 0.01, 2.0
"""The scatter of log tau that the prior admits."""
N_DRAWS = 2**13
PROPOSAL_DOF = 6.0
ENOUGH = 0.25
"""Share of effective draws below which the proposal is widened and drawn again."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws of the law's parameters, [draws] each; the weights add up to 1."""

    log_prefactor: Floats
    exponent: Floats
    floor: Floats
    sigma: Floats
    weight: Floats

    @property
    def effective_share(self) -> float:
        """Effective sample size over the number of draws, in (0, 1]."""
        return float(1 / np.sum(self.weight**2) / len(self.weight))

    def quantiles(self, draws: Floats, at: tuple[float, ...]) -> tuple[float, ...]:
        """Weighted quantiles of a function of the parameters, given at each draw."""
        order = np.argsort(draws, kind="stable")
        below = np.cumsum(self.weight[order]) - self.weight[order] / 2
        return tuple(float(q) for q in np.interp(at, below, draws[order]))

    def log_law(self, log_size: float) -> Floats:
        """log(tau_0 + c P^a) at each draw."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(np.log(self.floor), self.log_prefactor + self.exponent * log_size))


@dataclass(frozen=True, eq=False)
class _Problem:
    """The onsets with their sizes centered, the linear design, and the prior of the exponent."""

    data: Bounds
    center: float  # of the log sizes, so that intercept and exponent are nearly independent
    x: Floats  # [onsets], centered
    design: Floats  # [onsets, coefficients]: 1, and x unless the exponent is fixed
    exponent: float  # the fixed value, or the prior's mean
    precision: Floats  # [coefficients, coefficients], of the prior
    largest: float  # log size, centered
    has_floor: bool

    def eta(self, beta: Floats) -> Floats:
        """log(c P^a): [..., onsets]."""
        return np.asarray(beta @ self.design.T + self.exponent * self.x)

    def slope(self, beta: Floats) -> Floats:
        """The exponent a."""
        free = beta[..., 1] if beta.shape[-1] == 2 else np.zeros(beta.shape[:-1])
        return np.asarray(self.exponent + free)

    def log_prior(self, beta: Floats, log_floor: Floats) -> Floats:
        value = -0.5 * np.einsum("...i,ij,...j->...", beta, self.precision, beta)
        if self.has_floor:
            a = self.slope(beta)
            refused = (a < 0) | (a > 3) | (log_floor > beta[..., 0] + a * self.largest)
            value = np.where(refused, -np.inf, value)
        return np.asarray(value)


def integrate(data: Bounds, *, exponent: float, exponent_sd: float, floor: bool = False) -> Posterior:
    """The posterior of the law's parameters.

    Args:
        data: the onsets. At least two exact or two-sided ones, at different sizes where the exponent is free.
        exponent: its fixed value, or the mean of its normal prior.
        exponent_sd: 0 to fix the exponent, infinite to leave it free, else the standard deviation of its
            prior.
        floor: whether tau_0 is fitted; else it is 0.
    """
    problem = _state(data, exponent, exponent_sd, floor)
    floors = _floor_nodes(data) if floor else np.zeros(1)
    # Twice: over all that the prior admits, then over where the mass is, so that a sharp posterior is
    # resolved too.
    coarse, fine = 33, 48 if floor else 96
    sigmas = np.geomspace(max(SIGMA_LOWEST, _resolution(data)), SIGMA_HIGHEST, coarse)
    for count in (coarse, fine):
        nodes = np.array([(s, f) for s in sigmas for f in floors])
        center, hessian, height = _modes(problem, nodes[:, 0], nodes[:, 1])
        _, log_det = np.linalg.slogdet(hessian)
        log_mass = height - 0.5 * log_det  # Laplace
        if count == coarse:
            sigmas = _where_the_mass_is(sigmas, log_mass.reshape(len(sigmas), -1).max(axis=1), fine)
    best: Posterior | None = None
    for widening in (1.0, 1.6, 2.5, 4.0):
        drawn = _draw(problem, nodes, center, hessian, log_mass, widening)
        if best is None or drawn.effective_share > best.effective_share:
            best = drawn
        if best.effective_share >= ENOUGH:
            break
    assert best is not None
    return best


def _state(data: Bounds, exponent: float, exponent_sd: float, floor: bool) -> _Problem:
    bounded = np.isfinite(data.low) & np.isfinite(data.high)
    center = float(data.log_size[bounded].mean())
    x = data.log_size - center
    fixed = exponent_sd == 0
    precision = np.zeros((1, 1)) if fixed else np.diag([0.0, 1 / exponent_sd**2])
    design = np.ones((len(x), 1)) if fixed else np.stack([np.ones_like(x), x], axis=1)
    return _Problem(data, center, x, design, exponent, precision, float(x[bounded].max()), floor)


def _resolution(data: Bounds) -> float:
    """Root mean square over the located onsets of what their intervals leave open: width / sqrt(12)."""
    width = data.high - data.low
    return min(math.sqrt(float(np.mean(width[np.isfinite(width)] ** 2)) / 12), SIGMA_HIGHEST / 4)


def _floor_nodes(data: Bounds) -> Floats:
    bounded = np.isfinite(data.low) & np.isfinite(data.high)
    return 2 * math.exp(float(data.middle[bounded].min())) * (np.arange(24) + 0.5) / 24


def _where_the_mass_is(sigmas: Floats, log_mass: Floats, count: int) -> Floats:
    kept = np.flatnonzero(log_mass > log_mass.max() - 16)
    first, last = max(kept[0] - 1, 0), min(kept[-1] + 1, len(sigmas) - 1)
    return np.geomspace(sigmas[first], sigmas[last], count)


def _modes(problem: _Problem, sigma: Floats, floor: Floats) -> tuple[Floats, Floats, Floats]:
    """Mode in the coefficients at each node, the proposal's precision there, and the log posterior's height.

    The curvature of an interval is not allowed to vanish inside it (a sigma far below its width): a uniform
    distribution of that width then sets the proposal's scale.
    """
    data, design = problem.data, problem.design
    with np.errstate(divide="ignore"):
        log_floor = np.log(floor)[:, None]
    sd = sigma[:, None]
    width = data.high - data.low
    least = np.where(np.isfinite(width), 1 / (sd**2 + np.where(np.isfinite(width), width, 0) ** 2 / 12), 1e-6)

    def evaluate(beta: Floats) -> tuple[Floats, Floats, Floats]:
        eta = problem.eta(beta)
        mu = np.logaddexp(log_floor, eta)
        share = np.exp(eta - mu)  # d mu / d eta
        value, slope, curvature = terms(data, mu, sd)
        curvature = np.maximum(curvature, least) * share**2
        height = value.sum(-1) - 0.5 * np.einsum("ki,ij,kj->k", beta, problem.precision, beta)
        gradient = (slope * share) @ design - beta @ problem.precision
        hessian = np.einsum("kn,ni,nj->kij", curvature, design, design) + problem.precision
        return height, gradient, hessian + 1e-9 * np.eye(design.shape[1])

    start = np.linalg.lstsq(design, data.middle - problem.exponent * problem.x, rcond=None)[0]
    beta = np.tile(start if problem.precision.max() == 0 else start * [1, 0], (len(sigma), 1))
    height, gradient, hessian = evaluate(beta)
    pace = np.ones(len(sigma))
    for _ in range(40):
        move = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        candidate = beta + pace[:, None] * move
        new_height, new_gradient, new_hessian = evaluate(candidate)
        better = new_height >= height
        gain = np.where(better, new_height - height, 0)
        height = np.where(better, new_height, height)
        beta = np.where(better[:, None], candidate, beta)
        gradient = np.where(better[:, None], new_gradient, gradient)
        hessian = np.where(better[:, None, None], new_hessian, hessian)
        pace = np.where(better, np.minimum(2 * pace, 1), pace / 4)
        if gain.max() < 1e-6 and better.all():
            break
    return beta, hessian, height


@lru_cache(maxsize=8)
def _points(dimensions: int) -> tuple[Floats, Floats, Floats]:
    """Low-discrepancy points: a uniform for the node, normals for the coefficients, the t's common scale."""
    total = dimensions + 2
    ratio = 2.0
    for _ in range(64):  # the positive root of r^(d + 1) = r + 1
        ratio = (1 + ratio) ** (1 / (total + 1))
    step = ratio ** -np.arange(1.0, total + 1)
    u = (0.5 + np.arange(1, N_DRAWS + 1)[:, None] * step) % 1.0
    scale = np.sqrt(PROPOSAL_DOF / (2 * special.gammaincinv(PROPOSAL_DOF / 2, u[:, -1])))
    return u[:, 0], special.ndtri(u[:, 1:-1]), scale


def _draw(
    problem: _Problem, nodes: Floats, center: Floats, hessian: Floats, log_mass: Floats, widening: float
) -> Posterior:
    p = center.shape[1]
    share = np.exp(log_mass - log_mass.max())
    share = 0.98 * share / share.sum() + 0.02 / len(share)  # a little everywhere, should Laplace misjudge a node
    u, normal, scale = _points(p)
    node = np.minimum(np.searchsorted(np.cumsum(share), u), len(share) - 1)
    cholesky = np.linalg.cholesky(hessian)
    t = normal * scale[:, None]
    # precision = L L', so L'^-1 t has the precision's inverse as covariance
    offset = np.linalg.solve(np.swapaxes(cholesky, 1, 2)[node], t[..., None])[..., 0]
    beta = center[node] + widening * offset
    sigma, floor = nodes[node, 0], nodes[node, 1]
    with np.errstate(divide="ignore"):
        log_floor = np.log(floor)
    mu = np.logaddexp(log_floor[:, None], problem.eta(beta))
    log_target = log_likelihood(problem.data, mu, sigma[:, None]) + problem.log_prior(beta, log_floor)
    log_det = np.log(np.diagonal(cholesky, axis1=1, axis2=2)).sum(1)[node]
    log_t = -0.5 * (PROPOSAL_DOF + p) * np.log1p(np.sum(t * t, axis=1) / PROPOSAL_DOF)
    log_weight = log_target - (np.log(share[node]) + log_det + log_t)
    weight = np.exp(log_weight - log_weight.max())
    exponent = problem.slope(beta)
    return Posterior(beta[:, 0] - exponent * problem.center, exponent, floor, sigma, weight / weight.sum())
