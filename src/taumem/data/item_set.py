"""Items of anybody's, whatever holds them: a tensor, an array, columns of them, a list or a Dataset.

A training loop of one's own has its own idea of what an item is. Here it only has to be counted, picked out and handed
to the loss in the form in which the loop's own batches come.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset, default_collate

from taumem.data.items import as_tensor
from taumem.errors import DataError

__all__ = ["Collate", "ItemSet", "digests", "leaves", "map_tensors"]

Collate = Callable[[list[Any]], Any]
"""From a list of items to a batch of them: the ``collate_fn`` of a DataLoader."""

MANY = 50_000
"""Rows up to which all are told apart; of more, and of Datasets, only those that are asked about."""
HOLDERS = "a tensor or array [n, ...], a dict or tuple of such columns, a list of items, or a Dataset with its collate"


@dataclass(frozen=True, eq=False)
class ItemSet:
    """Items that can be counted and picked out.

    Attributes:
        given: as it came: rows (a tensor, a dict or a tuple of tensors), or what is asked item by item.
        what: their name in messages, in the plural.
        collate: makes a batch of single items; None where the items are rows.
    """

    given: Any
    what: str
    collate: Collate | None = None

    @classmethod
    def of(cls, given: object, what: str, *, collate: Collate | None = None) -> "ItemSet":
        """Take what a training loop has.

        Args:
            given: a tensor or array [n, ...]; a dict or tuple of these, of equal length; a list of items, a Dataset,
                or a DataLoader over one (its dataset and ``collate_fn`` are taken).
            what: their name in messages, in the plural: "training items".
            collate: makes a batch of single items; None takes torch's ``default_collate``.

        Raises:
            DataError: it is none of these, its columns differ in length, or nothing is in it.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, DataLoader):
            loader: DataLoader[Any] = given
            given, collate = loader.dataset, collate or loader.collate_fn
        if isinstance(given, str | bytes | Path):
            raise DataError(f"{what} are the items themselves; got the path {str(given)!r}: load them first.")
        if isinstance(given, Tensor | np.ndarray):
            rows = as_tensor(given, what)
            if not rows.ndim:
                raise DataError(f"{what} are one tensor [n, ...]; got a single number.")
            found = cls(rows, what)
        elif isinstance(given, Mapping | tuple) and not hasattr(given, "__getitems__"):
            found = cls(_columns(given, what), what)
        elif isinstance(given, IterableDataset) or not (hasattr(given, "__getitem__") and isinstance(given, Sized)):
            raise DataError(f"{what} are {HOLDERS}, that can be counted and picked out; got {type(given).__name__}.")
        else:
            found = cls(given, what, collate or default_collate)
        if len(found) == 0:
            raise DataError(f"{what}: none are there; at least 1 is needed.")
        return found

    def __len__(self) -> int:
        rows = self.given if self.collate or isinstance(self.given, Tensor) else _values(self.given)[0]
        return len(rows)

    @cached_property
    def digests(self) -> list[str]:
        """Of rows, one digest for each; of too many, or of what is read item by item, none."""
        return [] if self.collate or len(self) > MANY else digests(self.given, len(self))

    def take(self, places: Sequence[int]) -> Any:
        """Pick items out, as one batch in the form in which the loss gets it.

        Args:
            places: of the items, from 0.
        """
        if self.collate:
            return self.collate([self.given[place] for place in places])
        if isinstance(self.given, Tensor):
            return _picked(self.given, places)
        return _like(self.given, [_picked(column, places) for column in _values(self.given)])

    def held(self, places: Sequence[int]) -> "ItemSet":
        """These items as a set of their own, read once: what a Dataset draws at random stays as it is drawn now."""
        given = [self.given[place] for place in places] if self.collate else self.take(places)
        return ItemSet(given, self.what, self.collate)

    def subset(self, places: Sequence[int]) -> Any:
        """Pick items out, in the form in which all of them came: rows, a list, or a ``Subset`` of a Dataset."""
        if not self.collate:
            return self.take(places)
        return [self.given[p] for p in places] if isinstance(self.given, list) else Subset(self.given, list(places))


def leaves(batch: Any) -> Iterator[Any]:
    """Everything in a batch that holds no further parts, tensors mostly, in the order of the batch."""
    if isinstance(batch, Mapping):
        for part in batch.values():
            yield from leaves(part)
    elif isinstance(batch, tuple | list):
        for part in batch:
            yield from leaves(part)
    else:
        yield batch


def map_tensors(change: Callable[[Tensor], Tensor], batch: Any) -> Any:
    """Change every tensor in a batch; the batch itself stays as it is.

    Args:
        change: from a tensor to a tensor.
        batch: a tensor, or dicts, tuples and lists of tensors and of anything else, which is handed on.
    """
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        changed = {key: map_tensors(change, part) for key, part in batch.items()}
        return changed if type(batch) is dict else _made_as(batch, changed)
    if isinstance(batch, tuple | list):
        parts = [map_tensors(change, part) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch


def digests(batch: Any, n: int) -> list[str]:
    """Tell items apart: one digest for each item of a batch, of all its numbers and words.

    Args:
        batch: of n items: what in it has n rows is theirs.
        n: how many.

    Returns:
        The digests; none where nothing in the batch has n rows.
    """
    columns = [column for column in _columns_of(batch) if len(column) == n]
    found = [hashlib.sha256() for _ in range(n if columns else 0)]
    for column in columns:
        for digest, row in zip(found, column, strict=True):
            digest.update(_bytes(row))
    return [digest.hexdigest() for digest in found]


def _columns(given: Any, what: str) -> Any:
    """Columns of one length: tensors, arrays as tensors, and lists (of words, say) as they are."""
    if not len(given):
        raise DataError(f"{what}: got an empty {type(given).__name__}; expected {HOLDERS}.")
    names = list(given) if isinstance(given, Mapping) else range(len(given))
    columns = []
    for name, column in zip(names, _values(given), strict=True):
        if not isinstance(column, Tensor | np.ndarray | list) or (isinstance(column, Tensor) and not column.ndim):
            raise DataError(
                f"{what}: column {name!r} is {type(column).__name__}, and has no row per item. A tuple or dict holds "
                "columns (tensors, arrays, lists of words); give items one by one as a list."
            )
        columns.append(_tensor(column, f"{what}: column {name!r}") if isinstance(column, np.ndarray) else column)
    lengths = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r}: {length}" for name, length in lengths.items())
        raise DataError(
            f"{what}: columns have one row per item, all as many; got {told}. A tuple holds columns; give items one by "
            "one as a list."
        )
    return _like(given, columns)


def _tensor(column: np.ndarray[Any, Any], what: str) -> Tensor | list[Any]:
    if column.dtype.kind in "OUS":  # words
        return list(column.tolist())
    return torch.from_numpy(column.copy()) if column.dtype == np.bool_ else as_tensor(column, what)


def _values(columns: Any) -> list[Any]:
    return list(columns.values()) if isinstance(columns, Mapping) else list(columns)


def _like(columns: Any, changed: list[Any]) -> Any:
    """The same holder with other columns."""
    if isinstance(columns, Mapping):
        return dict(zip(columns, changed, strict=True))
    return type(columns)(*changed) if hasattr(columns, "_fields") else tuple(changed)


def _picked(column: Any, places: Sequence[int]) -> Any:
    if isinstance(column, Tensor):
        return column.detach()[torch.as_tensor(list(places), dtype=torch.long, device=column.device)]
    return [column[place] for place in places]


def _columns_of(batch: Any) -> Iterator[Any]:
    """Tensors, and lists of words or numbers: what may have a row for each item."""
    if isinstance(batch, Mapping):
        for part in batch.values():
            yield from _columns_of(part)
    elif isinstance(batch, list) and batch and not any(isinstance(p, Tensor | Mapping | tuple | list) for p in batch):
        yield batch
    elif isinstance(batch, tuple | list):
        for part in batch:
            yield from _columns_of(part)
    elif isinstance(batch, Tensor) and batch.ndim:
        yield batch


def _bytes(row: Any) -> bytes:
    if not isinstance(row, Tensor):
        return row if isinstance(row, bytes) else str(row).encode()
    # Adding 0 turns -0.0 into 0.0: equal numbers must have equal bytes.
    numbers = (row.detach().cpu() + 0).contiguous().reshape(-1)
    return bytes(numbers.view(torch.uint8).numpy().tobytes())


def _made_as(batch: Any, changed: dict[Any, Any]) -> Any:
    """Keep the kind of a mapping, such as a BatchEncoding, where it can be made of a dict."""
    try:
        return type(batch)(changed)
    except TypeError:
        return changed
