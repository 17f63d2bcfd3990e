"""What the onsets say about the law: weighted draws of its parameters, without a random number.

    log tau_i ~ Normal(log(tau_0 + c P_i^a), sigma),   correlated by rho within a pair of twins

Prior: flat in log c and in a, and 1 / sigma for 0.01 <= sigma <= 2 (a scatter below 1 % or above a factor of 7 between
seeds is not expected of any law). It is the right-Haar prior, under which the intervals of coefficients and of
predictions are the exact t intervals of regression when nothing is censored; its two ends only matter with fewer than
about 2 degrees of freedom, where they stand in for the data. Onsets known only as intervals cannot tell a scatter finer
than these from none, and 1 / sigma would believe in none: the lower end is then the width of the intervals over
sqrt(12), root mean square over the located onsets. An exponent known to within an uncertainty has a normal prior
instead. With a floor, its share of tau at the smallest size with a located onset is uniform between 0 and 1, log tau
there is flat in the place of log c, and 0 <= a <= 3: without those ends the likelihood would leave c and a unbounded.
What forecasts assume (see :mod:`taumem.analysis.prior`) puts a Beta in the place of that uniform share, and a Normal
for log sigma in the place of 1 / sigma. Of twins, the scatter within a pair as a share of all scatter, sqrt(1 - rho),
is uniform between 0 and 1, which keeps intervals wide enough up to rho = 0.9; a uniform rho does not.

Integration: sigma, the floor's share and rho on a grid; at each node the mode in log tau at the center of the sizes and
a, which Newton's method finds since the likelihood is all but log-concave there; around it a multivariate t proposal on
a low-discrepancy sequence; importance weights make up the difference. Nothing but the weights knows of the
approximation.

Reference: Severini, Mukerjee and Ghosh, Biometrika 89 (2002), on right-Haar priors; Roberts (2018), the R_d sequence.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from taumem.analysis.grid import SIGMA_HIGHEST, SIGMA_LOWEST, Grid
from taumem.analysis.likelihood import Bounds, log_likelihood, terms

__all__ = ["Posterior", "integrate"]

STEEPEST = 3.0
"""The highest exponent beside a floor."""
N_DRAWS = 2**13
PROPOSAL_DOF = 6.0
ENOUGH = 0.25
"""Share of effective draws below which the proposal is widened and drawn again."""

Floats = NDArray[np.float64]
Pair = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws of the law's parameters, [draws] each; the weights add up to 1."""

    log_prefactor: Floats
    exponent: Floats
    floor: Floats
    sigma: Floats
    rho: Floats
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
    """The onsets with their sizes centered, and the prior of the exponent.

    The coefficients beta are log tau at the center of the sizes, and, unless the exponent is fixed, how far it is from
    ``exponent``: nearly independent of one another.
    """

    data: Bounds
    center: float  # of the log sizes
    x: Floats  # [onsets], log sizes, centered
    smallest: float  # of the located ones, centered
    exponent: float  # the fixed value, or the prior's mean
    precision: Floats  # [coefficients, coefficients], of the prior
    floor: Pair | None  # of the Beta of its share; None without a floor
    log_sigma: Pair | None  # mean and standard deviation; None for 1 / sigma

    @property
    def has_floor(self) -> bool:
        return self.floor is not None

    def slope(self, beta: Floats) -> Floats:
        """The exponent a."""
        free = beta[..., 1] if beta.shape[-1] == 2 else np.zeros(beta.shape[:-1])
        return np.asarray(self.exponent + free)

    def expected(self, beta: Floats, floor: Floats) -> tuple[Floats, Floats]:
        """Expected log steps and their slope in a, [..., onsets] each, for a floor of this share of the smallest."""
        a, floor = self.slope(beta)[..., None], floor[..., None]
        if not self.has_floor:
            return beta[..., :1] + a * self.x, np.broadcast_to(self.x, (*beta.shape[:-1], len(self.x)))
        at_center, slope_at_center = _growth(a, floor, np.array(-self.smallest))
        growth, slope = _growth(a, floor, self.x - self.smallest)
        return beta[..., :1] + growth - at_center, slope - slope_at_center

    def log_prior(self, beta: Floats) -> Floats:
        value = -0.5 * np.einsum("...i,ij,...j->...", beta, self.precision, beta)
        if self.has_floor:
            a = self.slope(beta)
            value = np.where((a < 0) | (a > STEEPEST), -np.inf, value)
        return np.asarray(value)

    def log_prior_at(self, nodes: Floats) -> Floats:
        """What the prior adds to a flat one in log sigma and in the floor's share."""
        sigma, share, _ = np.moveaxis(nodes, -1, 0)
        value: Floats = np.zeros_like(sigma)
        if self.floor is not None:
            value += special.xlogy(self.floor[0] - 1, share) + special.xlog1py(self.floor[1] - 1, -share)
        if self.log_sigma is not None:
            mean, sd = self.log_sigma
            value -= 0.5 * ((np.log(sigma) - mean) / sd) ** 2
        return value

    def draws(self, beta: Floats, nodes: Floats, weight: Floats) -> Posterior:
        """The law's parameters where these are the coefficients."""
        a, (sigma, floor, rho) = self.slope(beta), nodes.T
        log_smallest = beta[:, 0] - _growth(a, floor, np.array(-self.smallest))[0]  # log tau at the smallest size
        log_prefactor = log_smallest + np.log1p(-floor) - a * (self.smallest + self.center)
        return Posterior(log_prefactor, a, floor * np.exp(log_smallest), sigma, rho, weight)


def _growth(a: Floats, floor: Floats, distance: Floats) -> tuple[Floats, Floats]:
    """log(floor + (1 - floor) exp(a distance)), and its slope in a."""
    with np.errstate(divide="ignore"):
        power = np.log1p(-floor) + a * distance
        value = np.logaddexp(np.log(floor), power)
    return value, distance * np.exp(power - value)


def integrate(
    data: Bounds,
    *,
    exponent: float,
    exponent_sd: float,
    floor: Pair | None = None,
    log_sigma: Pair | None = None,
) -> Posterior:
    """The posterior of the law's parameters.

    Args:
        data: the onsets. At least two exact or two-sided ones, at different sizes where the exponent is free.
        exponent: its fixed value, or the mean of its normal prior.
        exponent_sd: 0 to fix the exponent, infinite to leave it free, else the standard deviation of its
            prior.
        floor: alpha and beta of the Beta of tau_0's share at the smallest size, (1, 1) for a uniform one; None for no
            tau_0.
        log_sigma: mean and standard deviation of the Normal prior of log sigma; None for 1 / sigma.
    """
    problem = _state(data, exponent, exponent_sd, floor, log_sigma)
    twins = len(data.twins) > 0
    coarse = (17 if floor or twins else 33, 8 if floor else 1, 5 if twins else 1)
    fine = (24 if floor and twins else 48 if floor or twins else 96, 12 if floor else 1, 8 if twins else 1)
    lowest = math.log(max(SIGMA_LOWEST, _resolution(data)))
    grid = Grid(
        (lowest, math.log(SIGMA_HIGHEST)), (0.0, float(problem.has_floor)), (0.0 if twins else 1.0, 1.0), coarse
    )
    # From all that the prior admits to where the mass is, so that a sharp posterior is resolved too.
    for _ in range(3):
        before = grid.size
        grid = grid.where(_laplace(problem, grid)[2])
        if grid.size > before / 2:
            break
    grid = replace(grid, counts=fine)
    center, hessian, log_mass = _laplace(problem, grid)
    best: Posterior | None = None
    for widening in (1.0, 1.6, 2.5, 4.0):
        drawn = _draw(problem, grid, center, hessian, log_mass, widening)
        if best is None or drawn.effective_share > best.effective_share:
            best = drawn
        if best.effective_share >= ENOUGH:
            break
    assert best is not None
    return best


def _state(data: Bounds, exponent: float, exponent_sd: float, floor: Pair | None, log_sigma: Pair | None) -> _Problem:
    bounded = np.isfinite(data.low) & np.isfinite(data.high)
    center = float(data.log_size[bounded].mean())
    x = data.log_size - center
    precision = np.zeros((1, 1)) if exponent_sd == 0 else np.diag([0.0, 1 / exponent_sd**2])
    return _Problem(data, center, x, float(x[bounded].min()), exponent, precision, floor, log_sigma)


def _resolution(data: Bounds) -> float:
    """Root mean square over the located onsets of what their intervals leave open: width / sqrt(12)."""
    width = data.high - data.low
    return min(math.sqrt(float(np.mean(width[np.isfinite(width)] ** 2)) / 12), SIGMA_HIGHEST / 4)


def _laplace(problem: _Problem, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Mode in the coefficients in each cell, the precision there, and the log of the cell's mass, about."""
    center, hessian, height = _modes(problem, grid.nodes())
    mass = height + problem.log_prior_at(grid.nodes()) - 0.5 * np.linalg.slogdet(hessian)[1]
    return center, hessian, mass


def _modes(problem: _Problem, nodes: Floats) -> tuple[Floats, Floats, Floats]:
    """Mode in the coefficients at each node, the proposal's precision there, and the log posterior's height.

    The curvature of an interval is not allowed to vanish inside it (a sigma far below its width): a uniform
    distribution of that width then sets the proposal's scale.
    """
    data, precision = problem.data, problem.precision
    width = data.high - data.low
    bounded = np.isfinite(width)
    ridge = 1e-9 * np.eye(len(precision))

    def evaluate(nodes: Floats, beta: Floats) -> tuple[Floats, Floats, Floats]:
        sigma, rho = nodes[:, [0]], nodes[:, [2]]
        mu, slope_in_a = problem.expected(beta, nodes[:, 1])
        jacobian = np.stack([np.ones_like(mu), slope_in_a][: len(precision)], axis=-1)
        value, slope, curvature = terms(data, mu, sigma, rho)
        least = np.where(bounded, 1 / (sigma**2 + np.where(bounded, width, 0) ** 2 / 12), 1e-6)
        curvature = np.maximum(curvature, least)
        height = value.sum(-1) - 0.5 * np.einsum("ki,ij,kj->k", beta, precision, beta)
        gradient = np.einsum("kn,kni->ki", slope, jacobian) - beta @ precision
        hessian = np.swapaxes(jacobian * curvature[..., None], 1, 2) @ jacobian + precision + ridge
        return height, gradient, hessian

    line = np.stack([np.ones_like(problem.x), problem.x], axis=1)[:, : len(precision)]
    start = np.linalg.lstsq(line, data.middle - problem.exponent * problem.x, rcond=None)[0]
    beta = np.tile(start if precision.max() == 0 else start * [1, 0], (len(nodes), 1))
    ends = (-problem.exponent, STEEPEST - problem.exponent) if problem.has_floor else (-np.inf, np.inf)
    beta[:, 1:] = np.clip(beta[:, 1:], *ends)
    height, gradient, hessian = evaluate(nodes, beta)
    pace = np.ones(len(nodes))
    moving = np.arange(len(nodes))
    for _ in range(40):
        move = np.linalg.solve(hessian[moving], gradient[moving][..., None])[..., 0]
        to_gain = np.einsum("ki,ki->k", move, gradient[moving])
        move, moving = move[to_gain > 1e-4], moving[to_gain > 1e-4]
        if not len(moving):
            break
        candidate = beta[moving] + pace[moving, None] * move
        candidate[:, 1:] = np.clip(candidate[:, 1:], *ends)
        found = evaluate(nodes[moving], candidate)
        better = found[0] >= height[moving]
        pace[moving] = np.where(better, np.minimum(2 * pace[moving], 1), pace[moving] / 4)
        risen = moving[better]
        beta[risen] = candidate[better]
        height[risen], gradient[risen], hessian[risen] = (part[better] for part in found)
    # With twins at their exact weight, where terms() took them to be at the middle of their bounds.
    mu, _ = problem.expected(beta, nodes[:, 1])
    height = log_likelihood(data, mu, nodes[:, [0]], nodes[:, [2]])
    return beta, hessian, height - 0.5 * np.einsum("ki,ij,kj->k", beta, precision, beta)


@lru_cache(maxsize=8)
def _points(dimensions: int, sides: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Low-discrepancy points: uniforms for cell and place in it, normals for the coefficients, the t's common scale."""
    total = dimensions + sides + 2
    ratio = 2.0
    for _ in range(64):  # the positive root of r^(d + 1) = r + 1
        ratio = (1 + ratio) ** (1 / (total + 1))
    step = ratio ** -np.arange(1.0, total + 1)
    u = (0.5 + np.arange(1, N_DRAWS + 1)[:, None] * step) % 1.0
    scale = np.sqrt(PROPOSAL_DOF / (2 * special.gammaincinv(PROPOSAL_DOF / 2, u[:, 1])))
    return u[:, 0], u[:, 2 : 2 + sides], special.ndtri(u[:, 2 + sides :]), scale


def _draw(
    problem: _Problem, grid: Grid, center: Floats, hessian: Floats, log_mass: Floats, widening: float
) -> Posterior:
    p = center.shape[1]
    share = np.exp(log_mass - log_mass.max())
    share = 0.98 * share / share.sum() + 0.02 / len(share)  # a little everywhere, should Laplace misjudge a cell
    coarse = np.array([False, grid.counts[1] > 1, grid.counts[2] > 1])  # sides on which a cell is not small
    u, inside, normal, scale = _points(p, int(coarse.sum()))
    place = np.full((N_DRAWS, 3), 0.5)
    place[:, coarse] = inside
    cell = np.minimum(np.searchsorted(np.cumsum(share), u), len(share) - 1)
    cholesky = np.linalg.cholesky(hessian)
    t = normal * scale[:, None]
    # precision = L L', so L'^-1 t has the precision's inverse as covariance
    offset = np.linalg.solve(np.swapaxes(cholesky, 1, 2)[cell], t[..., None])[..., 0]
    beta, nodes = center[cell] + widening * offset, grid.inside(cell, place)
    mu, _ = problem.expected(beta, nodes[:, 1])
    log_target = log_likelihood(problem.data, mu, nodes[:, [0]], nodes[:, [2]])
    log_target += problem.log_prior(beta) + problem.log_prior_at(nodes)
    log_det = np.log(np.diagonal(cholesky, axis1=1, axis2=2)).sum(1)[cell]
    log_t = -0.5 * (PROPOSAL_DOF + p) * np.log1p(np.sum(t * t, axis=1) / PROPOSAL_DOF)
    log_weight = log_target - (np.log(share[cell]) + log_det + log_t)
    weight = np.exp(log_weight - log_weight.max())
    return problem.draws(beta, nodes, weight / weight.sum())
