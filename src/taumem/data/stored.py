"""Items that stay where they are, on disk mostly, and become tensors as they are asked for."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taumem.shapes import Items

__all__ = ["Stored", "Together", "blocks"]

BLOCK = 2**25
"""Numbers that are looked at together."""


class Stored:
    """Items in an array that may be larger than memory: ``stored[a:b]`` is a tensor of some of them.

    Has of a tensor what reading rows of it needs: its length, its shape, and slices. A position alone gives one item.

    Args:
        values: an array, in memory or mapped [n, ...], or what gives rows of one.
        convert: from some rows of them to items; one row gives one item, whatever else is asked for with it.
    """

    def __init__(self, values: Any, convert: Callable[[NDArray[Any]], Items]):
        self.values = values
        self.convert = convert

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, which: Any) -> Tensor:
        if isinstance(which, int | np.integer):
            return self[which : which + 1 or None][0]
        rows = which.cpu().numpy() if isinstance(which, Tensor) else which
        return self.convert(np.asarray(self.values[rows]))

    @cached_property
    def _one(self) -> Tensor:
        return self[:1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all items, [n, ...]."""
        return (len(self), *self._one.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """Of the items."""
        return self._one.dtype

    @property
    def n_bytes(self) -> int:
        """What all items would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def then(self, change: Callable[[Items], Items]) -> "Stored":
        """The same items, changed one by one after they are converted."""
        return Stored(self.values, lambda rows: change(self.convert(rows)))

    def only(self, places: NDArray[np.int64]) -> "Stored":
        """Some of the items, in that order; they stay where they are."""
        return Stored(_Chosen(self.values, places), self.convert)

    def read(self) -> Items:
        """All items, in memory; block by block, so that nothing else of their size is."""
        items = torch.empty(self.shape, dtype=self.dtype)
        for start, end in blocks(self):
            items[start:end] = self[start:end]
        return items


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Some rows of an array, as they are asked for."""

    values: Any
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def nbytes(self) -> int:
        """Of the array that the rows are in: all of it is there."""
        return int(self.values.nbytes)

    def __getitem__(self, which: Any) -> NDArray[Any]:
        rows: NDArray[Any] = np.asarray(self.values[self.places[which]])
        return rows


@dataclass(frozen=True, eq=False)
class Together:
    """Two sets of items, one after the other, as they are asked for: by slices, or by an array of places.

    Attributes:
        first: a tensor, or items that are stored.
        second: likewise, of the same shape.
    """

    first: Items | Stored
    second: Items | Stored

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all items, [n, ...]."""
        return (len(self), *self.first.shape[1:])

    def __getitem__(self, which: slice | NDArray[np.int64]) -> Tensor:
        n = len(self.first)
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            return torch.cat(
                [self.first[min(start, n) : min(stop, n)], self.second[max(start - n, 0) : max(stop - n, 0)]]
            )
        rows = torch.empty((len(which), *self.shape[1:]), dtype=self.first.dtype)
        is_first = which < n
        rows[torch.from_numpy(is_first)] = self.first[which[is_first]]
        rows[torch.from_numpy(~is_first)] = self.second[which[~is_first] - n]
        return rows


def blocks(items: Any, most: int = BLOCK) -> Iterator[tuple[int, int]]:
    """Cut something with a shape [n, ...] into ranges of rows, of at most so many numbers: (0, b), (b, 2 b), ..."""
    step = max(1, most // max(1, math.prod(items.shape[1:])))
    for start in range(0, len(items), step):
        yield start, min(start + step, len(items))
