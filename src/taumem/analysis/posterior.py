"""What is believed of a law before and after its onsets are seen: its prior, and weighted draws of its parameters.

    log tau_i ~ Normal(log(tau_0 + c exp(x_i b)), sigma),   correlated by rho within a pair of twins

where x_i, a row of the design, holds log P_i and what else the law depends on, and b the coefficients: the exponent a,
and, where they are in the law, the exponent of the batch size and those of other settings.

Prior: flat in log c and in each coefficient, and 1 / sigma for 0.01 <= sigma <= 2 (a scatter below 1 % or above a
factor of 7 between seeds is not expected of any law). It is the right-Haar prior, under which the intervals of
coefficients and of predictions are the exact t intervals of regression when nothing is censored; its two ends only
matter with fewer than about 2 degrees of freedom, where they stand in for the data. Onsets known only as intervals
cannot tell a scatter finer than these from none, and 1 / sigma would believe in none: the lower end is then the width
of the intervals over sqrt(12), root mean square over the located onsets. A coefficient known to within an uncertainty
has a normal prior instead. With a floor, its share of tau at the reference (the smallest size with a located onset, at
the mean of the other columns over the located onsets of that size) is uniform between 0 and 1, log tau there is flat in
the place of log c, and 0 <= a <= 3, with ends for the other free coefficients too: without those the likelihood would
leave c and a unbounded. What forecasts assume (see :mod:`taumem.analysis.prior`) puts a Beta in the place of that
uniform share, and a Normal for log sigma in the place of 1 / sigma. Of twins, the scatter within a pair as a share of
all scatter, sqrt(1 - rho), is uniform between 0 and 1, which keeps intervals wide enough up to rho = 0.9; a uniform rho
does not.

Reference: Severini, Mukerjee and Ghosh, Biometrika 89 (2002), on right-Haar priors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from taumem.analysis.design import Coefficient
from taumem.analysis.likelihood import Bounds

__all__ = ["Floats", "Pair", "Posterior", "Problem"]

Floats = NDArray[np.float64]
Pair = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Weighted draws of the law's parameters, [draws] each and [draws, coefficients]; the weights add up to 1."""

    log_prefactor: Floats
    coefficients: Floats
    floor: Floats
    sigma: Floats
    rho: Floats
    weight: Floats

    @property
    def exponent(self) -> Floats:
        """The coefficient of log P."""
        return self.coefficients[:, 0]

    @property
    def effective_share(self) -> float:
        """Effective sample size over the number of draws, in (0, 1]."""
        return float(1 / np.sum(self.weight**2) / len(self.weight))

    def quantiles(self, draws: Floats, at: tuple[float, ...]) -> tuple[float, ...]:
        """Weighted quantiles of a function of the parameters, given at each draw."""
        order = np.argsort(draws, kind="stable")
        below = np.cumsum(self.weight[order]) - self.weight[order] / 2
        return tuple(float(q) for q in np.interp(at, below, draws[order]))

    def log_law(self, row: Floats) -> Floats:
        """log(tau_0 + c exp(row b)) at each draw, for a row of the design [coefficients]."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(np.log(self.floor), self.log_prefactor + self.coefficients @ row))


@dataclass(frozen=True, eq=False)
class Problem:
    """The onsets with their design centered, and the priors of all but scatter and twins' likeness.

    The unknowns beta are log tau at the center of the design, and of each coefficient that is not fixed how far it is
    from its mean: nearly independent of one another.
    """

    data: Bounds
    center: Floats  # [coefficients], of the rows of the located onsets
    x: Floats  # [onsets, coefficients], centered
    reference: Floats  # [coefficients], centered: where the floor's share is one of tau
    mean: Floats  # [coefficients], the fixed values, or the priors' means
    moves: NDArray[np.bool_]  # [coefficients], which the onsets may move
    unseen: NDArray[np.bool_]  # [coefficients], of which they say nothing: columns of zeros
    precision: Floats  # [unknowns, unknowns], of the prior
    ends: tuple[Floats, Floats]  # of the unknowns but the first; infinite without a floor
    floor: Pair | None  # of the Beta of its share; None without a floor
    log_sigma: Pair | None  # mean and standard deviation; None for 1 / sigma

    @classmethod
    def of(cls, data: Bounds, known: Sequence[Coefficient], *, floor: Pair | None, log_sigma: Pair | None) -> "Problem":
        """Center the design on the located onsets."""
        located = np.isfinite(data.low) & np.isfinite(data.high)
        rows = data.design[located]
        center = rows.mean(axis=0)
        x = data.design - center
        smallest = rows[:, 0] == rows[:, 0].min()
        mean, sd = np.array([[each.mean, each.sd] for each in known]).T
        low, high = np.array([each.ends if floor else (-math.inf, math.inf) for each in known]).T
        unseen = (sd > 0) & (data.design == 0).all(axis=0)
        moves = (sd > 0) & ~unseen
        return cls(
            data,
            center,
            x,
            x[located][smallest].mean(axis=0),
            mean,
            moves,
            unseen,
            np.diag([0.0, *1 / sd[moves] ** 2]),
            ((low - mean)[moves], (high - mean)[moves]),
            floor,
            log_sigma,
        )

    @property
    def has_floor(self) -> bool:
        """Whether there is a tau_0."""
        return self.floor is not None

    def coefficients(self, beta: Floats) -> Floats:
        """All of them, the fixed ones too: [..., coefficients]."""
        found = np.broadcast_to(self.mean, (*beta.shape[:-1], len(self.mean))).copy()
        found[..., self.moves] += beta[..., 1:]
        return found

    def expected(self, beta: Floats, floor: Floats) -> tuple[Floats, Floats]:
        """Expected log steps [..., onsets], and their slopes [..., onsets, unknowns], for a floor of this share."""
        b = self.coefficients(beta)
        x = self.x[:, self.moves]
        shape = (*beta.shape[:-1], len(x))
        if not self.has_floor:
            mu, slope = beta[..., :1] + b @ self.x.T, np.broadcast_to(x, (*shape, x.shape[1]))
        else:
            floor, start = floor[..., None], self.reference[self.moves]
            at_center, share_at_center = _growth(floor, -(b @ self.reference)[..., None])
            growth, share = _growth(floor, b @ (self.x - self.reference).T)
            mu = beta[..., :1] + growth - at_center
            slope = (x - start) * share[..., None] + start * share_at_center[..., None]
        return mu, np.concatenate([np.ones((*shape, 1)), slope], axis=-1)

    def log_prior(self, beta: Floats) -> Floats:
        """Of the unknowns, but for a constant."""
        value = -0.5 * np.einsum("...i,ij,...j->...", beta, self.precision, beta)
        low, high = self.ends
        return np.where(((beta[..., 1:] < low) | (beta[..., 1:] > high)).any(axis=-1), -np.inf, value)

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
        """The law's parameters where these are the unknowns."""
        b, (sigma, floor, rho) = self.coefficients(beta), nodes.T
        log_reference = beta[:, 0] - _growth(floor, -(b @ self.reference))[0]  # log tau there
        log_prefactor = log_reference + np.log1p(-floor) - b @ (self.reference + self.center)
        return Posterior(log_prefactor, b, floor * np.exp(log_reference), sigma, rho, weight)


def _growth(floor: Floats, distance: Floats) -> tuple[Floats, Floats]:
    """log(floor + (1 - floor) exp(distance)), and its slope in the distance."""
    with np.errstate(divide="ignore"):
        power = np.log1p(-floor) + distance
        value = np.logaddexp(np.log(floor), power)
    return value, np.exp(power - value)
