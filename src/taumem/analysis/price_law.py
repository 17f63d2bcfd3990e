"""How the loss at tau_mem falls with the training set: L(P) = L_inf + A P^-b, as some runs determine it.

    L(P) = L(P_max) + D g_b(P),    g_b(P) = (P^-b - P_max^-b) / (P_min^-b - P_max^-b)

D is how much is won from the smallest size to the largest; b is the exponent. In these terms the law has a limit as
b goes to 0 (a logarithm), so that a prior that is flat in L(P_max), D and log sigma leaves a proper posterior of b:
flat in b over (0, MOST), times what least squares leaves at each b. L(P_max) is another one for each seed: what the
runs of a seed share, as they meet the same held-out items, says nothing of D and b.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import stdtr

from taumem.analysis.interval import Interval
from taumem.errors import ConfigError

__all__ = ["MOST", "PriceLaw", "fit_price_law"]

Floats = NDArray[np.float64]

MOST = 3.0
"""The largest exponent that is sought: a loss that falls faster is at its floor from the second size on."""
N_CELLS = 600
"""Exponents at which the posterior is taken, evenly spaced."""


@dataclass(frozen=True)
class PriceLaw:
    """The law of the loss at tau_mem.

    Attributes:
        exponent: b; between 0 and ``MOST``, so that ends near these say that the runs do not bound it.
        won: D, the fall of the loss from the smallest to the largest size.
        at_largest: L(P_max) at the median b.
        sizes: the distinct P, ascending.
        n_runs: runs that it rests on, twins as one.
    """

    exponent: Interval
    won: Interval
    at_largest: float
    sizes: tuple[int, ...]
    n_runs: int

    def at(self, n_train: float) -> float:
        """The loss at tau_mem, by the medians of b and D.

        Args:
            n_train: number of training examples, above 0.
        """
        shape = _shape(np.array([float(n_train)]), self.exponent.value, self.sizes[0], self.sizes[-1])
        return self.at_largest + self.won.value * float(shape[0])

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        intervals = {"exponent": self.exponent.to_json(), "won": self.won.to_json()}
        return {**intervals, "at_largest": self.at_largest, "sizes": list(self.sizes), "n_runs": self.n_runs}


def fit_price_law(
    sizes: Sequence[int], losses: Sequence[float], seeds: Sequence[int], *, confidence: float = 0.9
) -> PriceLaw:
    """Fit it by the posterior of b.

    Args:
        sizes: P of each run.
        losses: the held-out loss of each where it had to stop.
        seeds: of each run.
        confidence: probability of the intervals, in (0, 1).

    Raises:
        ConfigError: fewer than 3 sizes, or so few runs that nothing is left to tell the scatter by.
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(losses, dtype=float)
    distinct = sorted({int(size) for size in sizes})
    of_seed = np.equal.outer(np.asarray(seeds), np.unique(seeds)).astype(float)
    freedom = len(y) - of_seed.shape[1] - 1
    if len(distinct) < 3 or freedom < 1:
        raise ConfigError(
            f"the loss at tau_mem has no law over P: it needs runs that reached tau_mem at 3 sizes or more, and at "
            f"more than one of each seed; got {len(y)} of {of_seed.shape[1]} seeds at {len(distinct)}. Add sizes."
        )
    exponents = (np.arange(N_CELLS) + 0.5) * MOST / N_CELLS
    shapes = _shape(x, exponents[:, None], distinct[0], distinct[-1])
    design = np.concatenate([shapes[..., None], np.broadcast_to(of_seed, (N_CELLS, *of_seed.shape))], axis=2)
    inverse = np.linalg.inv(np.swapaxes(design, 1, 2) @ design)
    found = (inverse @ (np.swapaxes(design, 1, 2) @ y)[..., None])[..., 0]
    centers, lasts = found[:, 0], np.average(found[:, 1:], axis=1, weights=of_seed.sum(axis=0))
    left = np.sum((y - (design @ found[..., None])[..., 0]) ** 2, axis=1)
    left = np.maximum(left, 1e-20 * float(y @ y))
    scales = np.sqrt(inverse[:, 0, 0] * left / freedom)
    log_mass = 0.5 * np.linalg.slogdet(inverse)[1] - freedom / 2 * np.log(left)
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    below = np.concatenate([[0.0], np.cumsum(mass)])

    def exponent(p: float) -> float:
        return float(np.interp(p, below, np.linspace(0, MOST, N_CELLS + 1)))

    def won(p: float) -> float:
        return _quantile(p, mass, centers, scales, freedom)

    ends = (1 - confidence) / 2, (1 + confidence) / 2
    b, fall = (Interval(at(0.5), at(ends[0]), at(ends[1]), confidence) for at in (exponent, won))
    last = float(np.interp(b.value, exponents, lasts))
    return PriceLaw(b, fall, last, tuple(distinct), len(y))


def _shape(x: Floats, b: Floats | float, least: float, most: float) -> Floats:
    """g_b: 1 at the smallest size, 0 at the largest."""
    return np.asarray(np.expm1(-b * np.log(x / most)) / np.expm1(-b * np.log(least / most)))


def _quantile(p: float, mass: Floats, centers: Floats, scales: Floats, freedom: int) -> float:
    """Of D: a mixture of t distributions, one at each exponent that has any mass."""
    kept = mass > 1e-9 * mass.max()
    mass, centers, scales = mass[kept] / mass[kept].sum(), centers[kept], scales[kept]
    low, high = (float(end) for end in ((centers - 1e3 * scales).min(), (centers + 1e3 * scales).max()))
    if low == high:
        return low

    def excess(value: float) -> float:
        return float(mass @ stdtr(freedom, (value - centers) / scales)) - p

    return float(brentq(excess, low, high, xtol=1e-9 * (high - low)))
