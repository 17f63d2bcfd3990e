"""Images in an array of anybody's: where its channels are, and which of its values are black and full intensity."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.data.pixels import Images
from taumem.data.stored import Stored, blocks
from taumem.errors import ConfigError, DataError, option

__all__ = ["ArrayImages", "images_in"]

CHANNELS = (1, 3)
LOW_BITS = 0xFFFF
"""Of a float32: those that a bfloat16 does not have."""
BFLOAT16_EPS = 2.0**-7
FEWEST_USED = 0.1
"""Share of its range that data use at least; those that use less are on another scale, or all of one value."""


class ArrayImages(NamedTuple):
    """Images [n, C, H, W] in [-1, 1], converted as they are asked for, and the values of them that were clipped."""

    items: Stored
    clipped: tuple[float, float] | None


def images_in(
    values: NDArray[Any], what: str, *, value_range: tuple[float, float] | None = None, overshoot: float = 0.0
) -> ArrayImages:
    """Take an array as images, by the rules of :func:`~taumem.data.readers.arrays.load_array`.

    Args:
        values: of any real type, in memory or mapped; gone through once, block by block.
        what: their name in messages.
        value_range: (black, full intensity) in the units of the array; None takes what its type and values say.
        overshoot: the share of [0, 1] by which floats may leave their range, as samples of a model may; what does is
            clipped.

    Raises:
        DataError: a shape or values that the rules cannot place, or values that are not finite or outside the range.
        ConfigError: a value range whose ends are not ascending and finite.
    """
    values = _channels_first(what, values)
    if values.size == 0:
        raise DataError(f"{what}: holds no images, its shape is {values.shape}.")
    survey = _Survey.of(values)
    if survey.n_bad:
        raise DataError(
            f"{what}: {survey.n_bad} of {len(values)} images hold NaN or infinite values (the first is image "
            f"{survey.first_bad})."
        )
    reach = overshoot if values.dtype.kind == "f" else 0.0
    low, high = survey.range(what, values.dtype, reach) if value_range is None else value_range
    if not -math.inf < low < high < math.inf:
        raise ConfigError(f"{option('value_range')} must ascend, (black, full intensity); got ({low}, {high}).")
    slack = max(survey.rounding * max(abs(low), abs(high)), reach * (high - low) / 2)
    is_inside = low <= survey.smallest and survey.largest <= high
    if not is_inside and (survey.smallest < low - slack or survey.largest > high + slack):
        raise DataError(
            f"{what}: values should lie in [{low:g}, {high:g}], they go from {_exact(survey.smallest)} to "
            f"{_exact(survey.largest)}; say which range the data use by {option('value_range')}."
        )
    if 0 < survey.largest - survey.smallest < FEWEST_USED * (high - low):
        raise DataError(
            f"{what}: values from {_exact(survey.smallest)} to {_exact(survey.largest)} use less than a tenth of "
            f"[{low:g}, {high:g}], which they are taken to be in; say which range they use by "
            f"{option('value_range')}, or save them as bytes if they are as they should be."
        )

    def convert(rows: NDArray[Any]) -> Images:
        images = rows.astype(np.float32)
        if (low, high) != (-1, 1):
            # In float32 as from_bytes does it, so that the same images give the same bits from every format.
            images = (images - np.float32(low)) / np.float32((high - low) / 2) - 1
        return torch.from_numpy(np.ascontiguousarray(images.clip(-1, 1)))

    return ArrayImages(Stored(values, convert), None if is_inside else (survey.smallest, survey.largest))


def _channels_first(what: str, values: NDArray[Any]) -> NDArray[Any]:
    """[n, C, H, W] from any of the three layouts."""
    shape = values.shape
    # Three axes that end in 3 are far more often one color image than n gray images three pixels wide.
    if values.ndim == 3 and shape[2] not in CHANNELS:
        return values[:, None]
    if values.ndim == 4:
        first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
        if first and last:
            raise DataError(
                f"{what}: shape {shape} could be [n, C, H, W] or [n, H, W, C], both of these axes have 1 or 3 entries."
            )
        if first:
            return values
        if last:
            return values.transpose(0, 3, 1, 2)
    raise DataError(
        f"{what}: expected images of shape [n, H, W], [n, H, W, C] or [n, C, H, W] with C = 1 or 3; got {shape}."
    )


@dataclass
class _Survey:
    """What has to be known of all values before the first is converted.

    Attributes:
        smallest: of the values.
        largest: of the values.
        rounding: how far, relatively, the coarsest type of floats that holds all values may have rounded them.
        n_bad: images with values that are not finite.
        first_bad: the first of these.
    """

    smallest: float
    largest: float
    rounding: float
    n_bad: int
    first_bad: int

    @classmethod
    def of(cls, values: NDArray[Any]) -> "_Survey":
        smallest, largest, bad = math.inf, -math.inf, list[int]()
        whole = halves = bfloats = values.dtype.kind == "f"
        for start, end in blocks(values):
            block = np.asarray(values[start:end])
            finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
            bad += (start + np.flatnonzero(~finite)).tolist()
            smallest, largest = min(smallest, float(block.min())), max(largest, float(block.max()))
            whole = whole and bool((block == np.floor(block)).all())
            if values.dtype.kind == "f" and finite.all():
                with np.errstate(over="ignore"):
                    singles = block.astype(np.float32)
                    halves = halves and bool((block.astype(np.float16) == block).all())
                bfloats = bfloats and bool((singles == block).all() and not (singles.view(np.uint32) & LOW_BITS).any())
        rounding = BFLOAT16_EPS if bfloats else float(np.finfo(np.float16 if halves else np.float32).eps)
        is_exact = values.dtype.kind != "f" or whole  # whole numbers were not rounded
        return cls(smallest, largest, 0.0 if is_exact else rounding, len(bad), bad[0] if bad else -1)

    def range(self, what: str, dtype: np.dtype[Any], reach: float) -> tuple[float, float]:
        """The range that values of this type surely mean."""
        if dtype == np.uint8:
            return 0.0, 255.0
        if dtype == np.bool_:
            return 0.0, 1.0
        if dtype.kind == "f" and -2 < self.smallest < 0 and self.largest < 2:
            slack = max(self.rounding, reach)
            # What is negative by a rounding, or by as much as samples overshoot, may as well mean [0, 1].
            if -1 - slack <= self.smallest < -slack and self.largest <= 1 + slack:
                return -1.0, 1.0
        raise DataError(
            f"{what}: values of type {dtype} from {_exact(self.smallest)} to {_exact(self.largest)} could mean several "
            f"things; say which range they use by {option('value_range')}, such as 0 1, -1 1 or 0 255."
        )


def _exact(value: float) -> str:
    """A number by few digits if they are all that it has, else by all."""
    return text if float(text := f"{value:g}") == value else repr(value)
