"""Shares, such as that of copies among samples: their exact interval, and how far they are above chance."""

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from taumem.analysis.interval import check_confidence
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["AboveChance", "above_chance", "exact_interval", "lower_limits"]

CONFIDENCE = 0.95
"""Of the intervals that thresholds are held against."""

Counts = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
Floats = NDArray[np.float64]


@overload
def exact_interval(count: float, n: float, confidence: float = 0.95) -> tuple[float, float]: ...
@overload
def exact_interval(count: Counts, n: Counts | float, confidence: float = 0.95) -> tuple[Floats, Floats]: ...
def exact_interval(count: Any, n: Any, confidence: float = 0.95) -> tuple[Any, Any]:
    """The exact two-sided interval of a share: count of n, such as copies among samples.

    It holds the true share with at least the given probability, whatever that share is. Of no items it is [0, 1].

    Args:
        count: how many, from 0 to n; a number or an array.
        n: of how many; likewise.
        confidence: probability of the interval, in (0, 1).

    Returns:
        Lower and upper ends: numbers for numbers, arrays for arrays.

    Raises:
        ConfigError: the confidence is out of its range, or more were counted than there are.

    Reference: Clopper and Pearson 1934, Biometrika 26, 404.

    >>> low, high = exact_interval(6, 100)
    >>> f"{low:.4f} {high:.4f}"
    '0.0223 0.1260'
    """
    check_confidence(confidence)
    k, of, tail = np.asarray(count, dtype=float), np.asarray(n, dtype=float), (1 - confidence) / 2
    if np.any((k < 0) | (k > of)):
        raise ConfigError(f"a share counts from 0 to all of its items; got {count} of {n}.")
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), of - k + 1, tail), 0.0)
    high = np.where(k < of, betaincinv(k + 1, np.maximum(of - k, 1), 1 - tail), 1.0)
    return (low, high) if low.ndim else (float(low), float(high))


def lower_limits(share: Curve) -> Floats:
    """The lower end of the exact 95 % interval of a share at each look.

    As it was recorded; computed from the count where it was not, or at another confidence, so that a threshold means
    the same whatever a probe states.
    """
    exact, _ = exact_interval(np.round(share.values * share.counts), share.counts)
    stated = np.isfinite(share.low)
    if share.confidence is not None:
        stated &= share.confidence == CONFIDENCE
    return np.where(stated, share.low, exact)


@dataclass(frozen=True, eq=False)
class AboveChance:
    """How far a share is above chance at each look, [looks] each.

    Attributes:
        steps: of the looks at which both were measured.
        values: of the share, less what chance gives there.
        low: the lower end of its exact 95 % interval, less the same.
    """

    steps: NDArray[np.int64]
    values: Floats
    low: Floats


def above_chance(share: Curve, chance: Curve | float) -> AboveChance:
    """Take off what chance gives, look by look.

    Args:
        share: over training.
        chance: the share that a model without copies would have under the same rule; or one number for all looks. Looks
            that have but one of the two are left out: a kill may have come between them.

    Raises:
        ConfigError: no look has both.
    """
    if isinstance(chance, Curve):
        common = np.intersect1d(share.steps, chance.steps)
        if not len(common):
            raise ConfigError(
                "the share and its chance level were measured at different steps; measure both at each look."
            )
        share, floor = share.at_steps(common), chance.at_steps(common).values
    else:
        floor = np.full(len(share), float(chance))
    return AboveChance(share.steps, share.values - floor, lower_limits(share) - floor)
