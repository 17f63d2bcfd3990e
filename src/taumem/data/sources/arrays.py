"""Items in an array: images, vectors or tokens, by its axes and its type."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taumem.data.items import as_tensor
from taumem.data.pixels import center_crop, resize
from taumem.data.readers.array_images import images_in
from taumem.data.readers.folder import spread
from taumem.data.readers.opening import memory_of_machine
from taumem.data.sources.source import Numbered, Options, Source, sized
from taumem.data.stored import Stored, blocks
from taumem.errors import DataError
from taumem.record.input_notes import SIGNED_FLOATS

__all__ = ["array_in", "most_in_memory", "of_array"]

OVERSHOOT = 0.1
"""Share of [0, 1] by which samples of a model may leave the range of images; what does is clipped."""
LARGEST = 1e150
"""Of the numbers of a vector: the square of what is larger is no number."""
SHARE_OF_MEMORY = 4
"""An array that would take more than this part of the machine's memory stays where it is."""


def of_array(values: NDArray[Any], what: str, name: str, place: str, options: Options) -> Source:
    """Take an array as images (three axes or four), vectors (floats [n, d]) or tokens (integers [n, positions]).

    Args:
        values: in memory or mapped.
        what: what they are called in messages.
        name: of the array, which its items are numbered by.
        place: where it is.
        options: how it is read.

    Raises:
        DataError: it is none of these, or holds values that none of these have.
    """
    if not len(values.shape) or not len(values):
        raise DataError(f"{what}: holds no items, its shape is {values.shape}.")
    chosen: Sequence[int] = range(len(values))
    if options.limit is not None and options.limit < len(values):
        chosen = spread(list(chosen), options.limit)
        values = values[chosen]
    names = Numbered(name, chosen)
    if values.ndim in (3, 4):
        return _of_images(values, what, names, place, options)
    if values.ndim != 2 or not values.shape[1] or values.dtype == np.bool_:
        raise DataError(
            f"{what}: expected images [n, H, W], [n, H, W, C] or [n, C, H, W], vectors (floats [n, d]) or tokens "
            f"(integers [n, positions]); got {values.dtype} of shape {values.shape}. Bring anything else to vectors "
            "[n, d]."
        )
    if values.dtype.kind == "f":
        numbers = np.float64 if values.dtype.itemsize >= 8 else np.float32
        stored = Stored(values, lambda rows: torch.from_numpy(rows.astype(numbers)))
        _refuse(stored, what, lambda rows: ~(rows.abs() <= LARGEST), f"NaN, infinite values or ones beyond {LARGEST:g}")
        return Source(_kept(stored), names, "vectors", place, [])
    stored = Stored(values, lambda rows: torch.from_numpy(rows.astype(np.int64)))
    _refuse(stored, what, lambda rows: rows < 0, "negative integers, which are no tokens")
    return Source(_kept(stored), names, "tokens", place, [])


def _of_images(values: NDArray[Any], what: str, names: Numbered, place: str, options: Options) -> Source:
    says_itself = values.dtype in (np.uint8, np.bool_)
    value_range = None if says_itself else options.take("value_range")
    stored, clipped = images_in(values, what, value_range=value_range, overshoot=OVERSHOOT)
    notes = [SIGNED_FLOATS] if value_range is None and values.dtype.kind == "f" else []
    notes += [f"Values from {clipped[0]:g} to {clipped[1]:g} are clipped to the range of images."] if clipped else []
    if (size := options.take("size")) is not None:
        stored = stored.then(lambda images: resize(center_crop(images), size))
    return Source(_kept(stored), names, "images", place, notes + sized(size), of_numbers=not says_itself)


def array_in(given: object, what: str) -> NDArray[Any]:
    """Take an array as it is, and a tensor or a list of numbers as one.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(given, np.ndarray) and not isinstance(given, np.ma.MaskedArray) and given.dtype.kind in "biuf":
        return given
    tensor = as_tensor(given, what).cpu()
    array: NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def most_in_memory() -> int:
    """Bytes up to which an array is taken into memory."""
    return memory_of_machine() // SHARE_OF_MEMORY


def _refuse(stored: Stored, what: str, is_wrong: Callable[[Tensor], Tensor], values: str) -> None:
    bad = [
        start + int(k) for start, end in blocks(stored) for k in is_wrong(stored[start:end]).any(dim=1).nonzero()[:, 0]
    ]
    if bad:
        raise DataError(f"{what}: {len(bad)} of {len(stored)} items hold {values} (the first is item {bad[0]}).")


def _kept(stored: Stored) -> Tensor | Stored:
    """In memory, if that is far from filling it."""
    return stored if stored.n_bytes > most_in_memory() else stored.read()
