"""Shares, such as that of copies among samples: their exact interval, and how far they are above chance."""

import math
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri

from taumem.analysis.interval import check_confidence
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["CHANCE_KNOWN_TO", "FEWEST_HELDOUT", "above_chance", "common_looks", "difference_interval", "exact_interval"]

CHANCE_KNOWN_TO = 0.05
"""The upper end of chance beyond which the clocks of copies, at 3 to 10 %, wait for chance rather than for copies."""
FEWEST_HELDOUT = math.ceil(math.log(0.025) / math.log(1 - CHANCE_KNOWN_TO))
"""Held-out items of which none may pass for a copy, so that chance lies below that (exact, 95 %)."""

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
    low = np.where(k > 0, betaincinv(np.where(k > 0, k, 1), of - k + 1, tail), 0.0)
    high = np.where(k < of, betaincinv(k + 1, np.where(k < of, of - k, 1), 1 - tail), 1.0)
    return (low, high) if low.ndim else (float(low), float(high))


def difference_interval(count: int, n: int, other: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of the difference of two independent shares, ``count / n - other / of``.

    Wilson's intervals of both, put together (Newcombe's hybrid score interval, his method 10): it stays within
    [-1, 1], and has a width where nothing or all was counted.

    Args:
        count: how many, from 0 to n.
        n: of how many; of none the share may be anything.
        other: how many of the others.
        of: of how many others.
        confidence: probability of the interval, in (0, 1).

    Returns:
        Lower and upper end.

    Raises:
        ConfigError: the confidence is out of its range, or more were counted than there are.

    Reference: Newcombe 1998, Stat. Med. 17, 873, method 10.

    >>> low, high = difference_interval(56, 70, 48, 80)
    >>> f"{low:.4f} {high:.4f}"
    '0.0524 0.3339'
    """
    check_confidence(confidence)
    z = float(ndtri((1 + confidence) / 2))
    (low, share, high), (other_low, other_share, other_high) = _wilson(count, n, z), _wilson(other, of, z)
    apart = share - other_share
    return (
        apart - math.hypot(share - low, other_high - other_share),
        apart + math.hypot(high - share, other_share - other_low),
    )


def _wilson(count: int, n: int, z: float) -> tuple[float, float, float]:
    """A share between the ends of its interval by Wilson's score."""
    if not 0 <= count <= n:
        raise ConfigError(f"a share counts from 0 to all of its items; got {count} of {n}.")
    if not n:
        return 0.0, 0.5, 1.0
    share = count / n
    middle, half = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, (middle - half) / (1 + z**2 / n)), share, min(1.0, (middle + half) / (1 + z**2 / n))


def common_looks(share: Curve, chance: Curve) -> tuple[Curve, Curve]:
    """A share and its chance at the looks that have both: a kill may have come between the two of a look.

    Raises:
        ConfigError: no look has both.
    """
    common = np.intersect1d(share.steps, chance.steps)
    if not len(common):
        raise ConfigError("the share and its chance level were measured at different steps; measure both at each look.")
    return share.at_steps(common), chance.at_steps(common)


def above_chance(share: Curve, chance: Curve | float) -> tuple[NDArray[np.int64], Floats]:
    """Take off what chance gives, look by look.

    Args:
        share: over training.
        chance: the share that a model without copies would have under the same rule; or one number for all looks.

    Returns:
        The steps of the looks that have both, and what is left of the share there.

    Raises:
        ConfigError: no look has both.
    """
    if not isinstance(chance, Curve):
        return share.steps, share.values - chance
    share, chance = common_looks(share, chance)
    return share.steps, share.values - chance.values
