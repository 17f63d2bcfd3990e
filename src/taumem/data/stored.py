"""Items that stay where they are, on disk mostly, and become tensors as they are asked for."""

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taumem.shapes import Items

__all__ = ["Stored", "blocks"]

BLOCK = 2**25
"""Numbers that are looked at together."""


class Stored:
    """Items in an array that may be larger than memory: ``stored[a:b]`` is a tensor of some of them.

    Has of a tensor what reading rows of it needs: its length, its shape, and slices. A position alone gives one item.

    Args:
        values: in memory or mapped [n, ...].
        convert: from some rows of them to items; one row gives one item, whatever else is asked for with it.
    """

    def __init__(self, values: NDArray[Any], convert: Callable[[NDArray[Any]], Items]):
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

    def read(self) -> Items:
        """All items, in memory; block by block, so that nothing else of their size is."""
        items = torch.empty(self.shape, dtype=self.dtype)
        for start, end in blocks(self):
            items[start:end] = self[start:end]
        return items


def blocks(items: Any) -> Iterator[tuple[int, int]]:
    """Cut something with a shape [n, ...] into ranges of rows: (0, b), (b, 2 b), ..."""
    step = max(1, BLOCK // max(1, math.prod(items.shape[1:])))
    for start in range(0, len(items), step):
        yield start, min(start + step, len(items))
