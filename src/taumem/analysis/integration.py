"""The posterior of a law, integrated without a random number.

Sigma, the floor's share and rho on a grid; at each node the mode in log tau at the center of the design and in the
coefficients, which Newton's method finds since the likelihood is all but log-concave there; around it a multivariate t
proposal on a low-discrepancy sequence; importance weights make up the difference. Nothing but the weights knows of the
approximation.

Reference: Roberts (2018), the R_d sequence.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from taumem.analysis.design import Coefficient
from taumem.analysis.grid import SIGMA_HIGHEST, SIGMA_LOWEST, Grid
from taumem.analysis.likelihood import Bounds, log_likelihood, terms
from taumem.analysis.posterior import Floats, Pair, Posterior, Problem

__all__ = ["N_DRAWS", "integrate"]

N_DRAWS = 2**13
PROPOSAL_DOF = 6.0
ENOUGH = 0.25
"""Share of effective draws below which the proposal is widened and drawn again."""
ROOTS = (2, 3, 7, 11, 13)
"""Whose square roots, added up, spread draws evenly and unlike those of the sequence."""


def integrate(
    data: Bounds, known: Sequence[Coefficient], *, floor: Pair | None = None, log_sigma: Pair | None = None
) -> Posterior:
    """The posterior of the law's parameters.

    Args:
        data: the onsets. At least two exact or two-sided ones, and enough to tell apart the coefficients that are free.
        known: what is known of each coefficient beforehand, in the order of the design's columns. One whose column is 0
            everywhere keeps its prior, which has to be a Normal.
        floor: alpha and beta of the Beta of tau_0's share at the reference, (1, 1) for a uniform one; None for no
            tau_0.
        log_sigma: mean and standard deviation of the Normal prior of log sigma; None for 1 / sigma.
    """
    problem = Problem.of(data, known, floor=floor, log_sigma=log_sigma)
    twins = len(data.twins) > 0
    several = problem.moves.sum() > 1  # then the mode moves far within a cell of the floor's share
    coarse = (17 if floor or twins else 33, 8 if floor else 1, 5 if twins else 1)
    fine = (
        24 if floor and twins else 48 if floor or twins else 96,
        (36 if several else 12) if floor else 1,
        8 if twins else 1,
    )
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
    return _with_unseen(best, known, problem.unseen)


def _with_unseen(drawn: Posterior, known: Sequence[Coefficient], unseen: NDArray[np.bool_]) -> Posterior:
    """The coefficients of which the onsets say nothing, from their priors: in no way tied to the other draws."""
    coefficients = drawn.coefficients.copy()
    for k, root in zip(np.flatnonzero(unseen).tolist(), itertools.cycle(ROOTS)):
        u = (0.5 + np.arange(1, N_DRAWS + 1) * math.sqrt(root)) % 1.0
        coefficients[:, k] = known[k].mean + known[k].sd * special.ndtri(u)
    return replace(drawn, coefficients=coefficients)


def _resolution(data: Bounds) -> float:
    """Root mean square over the located onsets of what their intervals leave open: width / sqrt(12)."""
    width = data.high - data.low
    return min(math.sqrt(float(np.mean(width[np.isfinite(width)] ** 2)) / 12), SIGMA_HIGHEST / 4)


def _laplace(problem: Problem, grid: Grid) -> tuple[Floats, Floats, Floats]:
    """Mode in the unknowns in each cell, the precision there, and the log of the cell's mass, about."""
    center, hessian, height = _modes(problem, grid.nodes())
    mass = height + problem.log_prior_at(grid.nodes()) - 0.5 * np.linalg.slogdet(hessian)[1]
    return center, hessian, mass


def _modes(problem: Problem, nodes: Floats) -> tuple[Floats, Floats, Floats]:
    """Mode in the unknowns at each node, the proposal's precision there, and the log posterior's height.

    The curvature of an interval is not allowed to vanish inside it (a sigma far below its width): a uniform
    distribution of that width then sets the proposal's scale.
    """
    data, precision = problem.data, problem.precision
    width = data.high - data.low
    bounded = np.isfinite(width)
    ridge = 1e-9 * np.eye(len(precision))

    def evaluate(nodes: Floats, beta: Floats) -> tuple[Floats, Floats, Floats]:
        sigma, rho = nodes[:, [0]], nodes[:, [2]]
        mu, jacobian = problem.expected(beta, nodes[:, 1])
        value, slope, curvature = terms(data, mu, sigma, rho)
        least = np.where(bounded, 1 / (sigma**2 + np.where(bounded, width, 0) ** 2 / 12), 1e-6)
        curvature = np.maximum(curvature, least)
        height = value.sum(-1) - 0.5 * np.einsum("ki,ij,kj->k", beta, precision, beta)
        gradient = np.einsum("kn,kni->ki", slope, jacobian) - beta @ precision
        hessian = np.swapaxes(jacobian * curvature[..., None], 1, 2) @ jacobian + precision + ridge
        return height, gradient, hessian

    line = np.column_stack([np.ones(len(problem.x)), problem.x[:, problem.moves]])
    start = np.linalg.lstsq(line, data.middle - problem.x @ problem.mean, rcond=None)[0]
    beta = np.tile(np.where(np.diag(precision) > 0, 0.0, start), (len(nodes), 1))
    beta[:, 1:] = np.clip(beta[:, 1:], *problem.ends)
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
        candidate[:, 1:] = np.clip(candidate[:, 1:], *problem.ends)
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
    """Low-discrepancy points: uniforms for cell and place in it, normals for the unknowns, the t's common scale."""
    total = dimensions + sides + 2
    ratio = 2.0
    for _ in range(64):  # the positive root of r^(d + 1) = r + 1
        ratio = (1 + ratio) ** (1 / (total + 1))
    step = ratio ** -np.arange(1.0, total + 1)
    u = (0.5 + np.arange(1, N_DRAWS + 1)[:, None] * step) % 1.0
    scale = np.sqrt(PROPOSAL_DOF / (2 * special.gammaincinv(PROPOSAL_DOF / 2, u[:, 1])))
    return u[:, 0], u[:, 2 : 2 + sides], special.ndtri(u[:, 2 + sides :]), scale


def _draw(
    problem: Problem, grid: Grid, center: Floats, hessian: Floats, log_mass: Floats, widening: float
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
