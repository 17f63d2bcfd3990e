"""The exact interval of a share: of so many items, how many in truth?"""

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from taumem.errors import ConfigError

__all__ = ["exact_interval"]

Counts = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


@overload
def exact_interval(count: int, n: int, confidence: float = 0.95) -> tuple[float, float]: ...
@overload
def exact_interval(count: Counts, n: Counts | int, confidence: float = 0.95) -> tuple[Floats, Floats]: ...
def exact_interval(count: Any, n: Any, confidence: float = 0.95) -> tuple[Any, Any]:
    """Give the two-sided interval of Clopper and Pearson for a share of n, of which ``count`` were found.

    It holds the true share with at least the given probability, whatever that share is. Of no items it is [0, 1].

    Args:
        count: how many were found, from 0 to n; a number, or one of each share.
        n: among how many, likewise.
        confidence: probability of the interval, in (0, 1).

    Returns:
        Its lower and upper end: numbers for numbers, arrays for arrays.

    Raises:
        ConfigError: a count below 0 or above n, or a confidence outside (0, 1).

    Reference: Clopper & Pearson 1934, Biometrika 26, 404.

    >>> low, high = exact_interval(count=0, n=10)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    found, of = np.asarray(count), np.asarray(n)
    if not (0 < confidence < 1 and (found >= 0).all() and (found <= of).all()):
        raise ConfigError(
            f"a share is that of 0 to n items, its confidence between 0 and 1; got {count} of {n} at {confidence}."
        )
    tail = (1 - confidence) / 2
    # Where nothing was found, or everything, one end is certain: the beta distribution then has no second parameter.
    low = np.where(found == 0, 0.0, betaincinv(np.maximum(found, 1), of - found + 1, tail))
    high = np.where(found == of, 1.0, betaincinv(found + 1, np.maximum(of - found, 1), 1 - tail))
    return (low, high) if low.ndim else (float(low), float(high))
