"""Rows of numbers that are read block by block, whatever holds them."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from taumem.data.items import as_items, as_tensor
from taumem.shapes import Items

__all__ = ["Rows"]


class Rows:
    """Items as rows [n, d], in blocks.

    Args:
        given: a tensor, an array or a list of these [n, ...]; or anything with a length whose slices are such, as an
            array that stays on disk: then no more than a block of it is in memory.
        what: their name in messages, in the plural.
        like: an item [1, ...] of what they are compared with.

    Raises:
        DataError: they cannot be compared, and why. What stays on disk is looked at when it is read.
    """

    def __init__(self, given: Any, what: str, *, like: Items | None = None) -> None:
        self.what = what
        in_memory = isinstance(given, Tensor | list | tuple | np.ndarray) and not isinstance(given, np.memmap)
        self.is_lazy = not in_memory and _gives_slices(given)
        self.given = given if self.is_lazy else as_items(_as_it_lies(given), what, like=like)
        self.first: Items = as_items(_read(given, 0, 1, what), what, like=like) if self.is_lazy else self.given[:1]

    def __len__(self) -> int:
        return len(self.given)

    def block(self, start: int, stop: int) -> Shaped[Tensor, "n d"]:
        """Give the rows from one position up to another one.

        Raises:
            DataError: they are not finite, or of another shape or kind than the first.
        """
        items: Items = self.given[start:stop]
        if self.is_lazy:
            read = _read(self.given, start, min(stop, len(self)), self.what)
            items = as_items(read, self.what, like=self.first, first=start)
        return items.flatten(1)


def _as_it_lies(given: Any) -> Any:
    """An array as a tensor of the same memory, where that can be."""
    if not isinstance(given, np.ndarray) or not given.flags.writeable or min(given.strides, default=0) < 0:
        return given
    can = given.dtype.isnative and given.dtype.kind in "fiu" and not isinstance(given, np.ma.MaskedArray)
    return torch.from_numpy(given) if can and given.dtype != np.longdouble else given


def _gives_slices(given: Any) -> bool:
    can = hasattr(given, "__len__") and hasattr(given, "__getitem__")
    return can and len(given) > 0 and isinstance(given[0:1], Tensor | np.ndarray)


def _read(given: Any, start: int, stop: int, what: str) -> Tensor:
    part = given[start:stop]
    if isinstance(part, np.ndarray):
        # One copy: a tensor cannot stand on what may only be read, is reversed, or of another byte order.
        part = torch.from_numpy(np.array(part, dtype=part.dtype.newbyteorder("=")))
    return as_tensor(part, what)
