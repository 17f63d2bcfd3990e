"""The values of items as whole numbers that change little from look to look, and back.

Three ways, of which the first that fits is taken:

- ``rounded`` (only when asked for): the distance of an item from the mean of its look, in units of 10^(1 - digits) of
  that mean. The rounding is shared out so that the distances of a look still add up to 0: the mean, which clocks are
  read from, stays as it was recorded.
- ``single``: probes write 7 significant digits, which is what a number of single precision holds; exact.
- ``double``: the bits of any numbers; exact.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["CODINGS", "Coding", "numbers_of", "values_of"]

Coding = Literal["rounded", "single", "double"]
CODINGS: tuple[Coding, ...] = ("rounded", "single", "double")

SIGNIFICANT = 7
ALIKE = 1e-6
"""How far, relatively, the mean of a look's items may be from its recorded value for the two to be the same number."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def numbers_of(items: Floats, means: Floats, digits: int | None) -> tuple[Coding, Integers]:
    """Turn the values of items into whole numbers.

    Args:
        items: [looks, items].
        means: the recorded values, [looks].
        digits: significant digits to round a look's items to (those of their mean); None to keep them exactly.
    """
    if digits is not None and _are_means(items, means):
        return "rounded", _rounded(items / means[:, None] - 1, 10 ** (digits - 1))
    with np.errstate(over="ignore"):  # beyond single precision: double
        singles = items.astype(np.float32)
    if np.array_equal(_in_seven_digits(singles), items) and not np.signbit(items[items == 0]).any():
        return "single", singles.view(np.int32).astype(np.int64)
    return "double", np.ascontiguousarray(items).view(np.int64)


def values_of(coding: Coding, numbers: Integers, means: Floats, digits: int | None) -> Floats:
    """Turn whole numbers back into the values of items [looks, items]."""
    if coding == "rounded":
        rounded: Floats = means[:, None] * (1 + numbers / 10 ** ((digits or 1) - 1))
        return rounded
    if coding == "single":
        return _in_seven_digits(numbers.astype(np.int32).view(np.float32))
    return np.ascontiguousarray(numbers).view(np.float64)


def _are_means(items: Floats, means: Floats) -> bool:
    return bool(items.shape[1] and (means > 0).all() and (abs(items.mean(1) - means) <= ALIKE * means).all())


def _rounded(distances: Floats, units: int) -> Integers:
    """Round to so many units, up or down, such that each row adds up to 0, as it nearly does."""
    wanted = distances * units
    rounded = np.round(wanted).astype(np.int64)
    for row, exact in zip(rounded, wanted, strict=True):
        excess = int(row.sum())
        # Those that were rounded furthest in the wrong direction go the other way.
        moved = np.argsort(np.sign(excess) * (exact - row), kind="stable")[: abs(excess)]
        row[moved] -= np.sign(excess)
    return rounded


def _in_seven_digits(singles: NDArray[np.float32]) -> Floats:
    """The decimal number of 7 digits that is nearest to each: a quotient of whole numbers, so correctly rounded."""
    x = singles.astype(np.float64)
    with np.errstate(all="ignore"):
        places = SIGNIFICANT - 1 - np.floor(np.log10(np.abs(x)))
        places = np.where(np.isfinite(places), np.clip(places, -15, 22), 0)
        up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
        decimal: Floats = np.round(x * up / down) * down / up
    return decimal
