"""Texts that share too much with each other: a selection of windows without them, and texts of any length in groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from taumem.data.shingles import shingles, shingles_of

__all__ = ["NEAR", "Sifted", "sift", "text_groups"]

NEAR = 0.2
"""Two windows are near if this share of the shingles that either has is common to both (their resemblance).

A passage that occurs twice is cut at other places the second time: in the worst case two windows of its first
occurrence have one half each of a window of the second. From 28 symbols on such a half still resembles the whole by
more than this (with 64 symbols: 25 of 89 shingles, 0.28). At 0.5 most verbatim copies would go unseen.
"""

NEARER = (NEAR, 0.35, 0.5, 0.65, 0.8)
"""Resemblances at which texts are linked to groups: a group that is too large at one falls apart at the next."""

SKETCH = 1024
"""Shingles that stand for a text that has more: resemblances of longer texts are right to about 0.01."""

LARGE = 64
"""Groups of so many texts, or of the square root of all, are too large to be believed at a small resemblance."""

ROWS_AT_ONCE = 256
WINDOWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Sifted:
    """Which windows of a list were kept, and how many of those before the last kept one were not.

    Attributes:
        kept: their places in the list, ascending.
        duplicates: how many equal an earlier window.
        near_duplicates: how many are near an earlier window without being equal to one.
    """

    kept: NDArray[np.intp]
    duplicates: int
    near_duplicates: int


def sift(
    windows: NDArray[Any],
    wanted: int | None = None,
    *,
    against: NDArray[Any] | None = None,
    resemblance: float = NEAR,
    padding: int | None = None,
) -> Sifted:
    """Keep each window that is not near one kept before it; so what is kept first does not depend on what follows.

    Exact: all pairs that share a shingle are compared. The time grows with the square of the number that is kept
    (30,000 windows of 64 symbols of English: about 5 seconds).

    Args:
        windows: symbols [n, window], of any type of integers.
        wanted: stop as soon as that many are kept; None goes through all.
        against: windows [m, window] that count as kept before the first.
        resemblance: the share of shingles in common from which on two windows are near, in (0, 1].
        padding: the symbol behind the end of shorter texts, which is in none of their shingles; None if all are full.

    Reference: A. Broder, "On the resemblance and containment of documents", 1997.
    """
    wanted = len(windows) if wanted is None else wanted
    before = windows[:0] if against is None else against
    kept = np.zeros(0, np.intp)
    n_equal, n_seen = 0, 0
    while len(kept) < wanted and n_seen < len(windows):
        chunk = windows[n_seen : n_seen + WINDOWS_AT_ONCE]
        is_kept, is_equal = _sift_chunk(chunk, np.concatenate([before, windows[kept]]), resemblance, padding)
        if len(kept) + is_kept.sum() >= wanted:
            # What comes after the last wanted one was never looked at.
            end = int(np.flatnonzero(is_kept)[wanted - len(kept) - 1]) + 1
            chunk, is_kept, is_equal = chunk[:end], is_kept[:end], is_equal[:end]
        kept = np.concatenate([kept, n_seen + np.flatnonzero(is_kept)])
        n_equal += int(is_equal.sum())
        n_seen += len(chunk)
    return Sifted(kept, n_equal, n_seen - len(kept) - n_equal)


def text_groups(texts: Sequence[str]) -> NDArray[np.int64]:
    """Group texts that resemble one another: by a share of :data:`NEAR` of their shingles, in one step or several.

    Texts that overlap in part, such as windows of one document, would all be linked by such steps: a group of more than
    64 texts, and of more than the square root of their number, is looked at again at a larger resemblance, up to 0.8.

    Every pair is compared that could be near. Exact up to 1,024 symbols; the resemblance of longer texts is right to
    about 0.01. Memory is about 60 bytes for each symbol up to there.

    Args:
        texts: texts of any lengths [n].

    Returns:
        For each text, the position of the first text of its group: its own, where it resembles none.

    Reference: S. Chaudhuri, V. Ganti, R. Kaushik, "A primitive operator for similarity joins in data cleaning", 2006
    (which shingles two near texts must have in common).
    """
    position: dict[str, int] = {}
    for k, text in enumerate(texts):
        position.setdefault(text, k)
    first = np.fromiter(position.values(), np.int64, len(position))
    groups = np.arange(len(first))
    linked = _linked(list(position))
    for k, label in enumerate(linked):  # from the loosest to the strictest
        large = np.bincount(groups, minlength=len(first))[groups] > max(LARGE, math.isqrt(len(first)))
        groups = np.where(large | (k == 0), _first_of(label), groups)
    own = {text: int(first[groups[k]]) for k, text in enumerate(position)}
    return np.fromiter((own[text] for text in texts), np.int64, len(texts))


def _sift_chunk(
    chunk: NDArray[Any], before: NDArray[Any], resemblance: float, padding: int | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each window whether it is kept, and whether it equals one kept before it."""
    windows = np.concatenate([before, chunk])
    table = _incidence(windows, padding)
    sizes = table.sum(axis=1)
    is_kept = np.ones(len(windows), np.bool_)
    is_equal = np.zeros(len(windows), np.bool_)
    for start in range(len(before), len(windows), ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, len(windows))
        common = (table[start:end] @ table[:end].T).tocoo()
        row, column = start + common.row, common.col
        near = (common.data >= resemblance * (sizes[row] + sizes[column] - common.data)) & (column < row)
        ends = np.cumsum(np.bincount(common.row[near], minlength=end - start))
        # One after another, since a window that was dropped itself lets others pass.
        for i, columns in enumerate(np.split(column[near], ends[:-1]), start):
            if len(rivals := columns[is_kept[columns]]):
                is_kept[i] = False
                is_equal[i] = (windows[rivals] == windows[i]).all(axis=1).any()
    return is_kept[len(before) :], is_equal[len(before) :]


def _incidence(windows: NDArray[Any], padding: int | None) -> csr_array:
    """Give a sparse table of windows by shingles: 1 where a window has one."""
    numbers = shingles(windows)
    is_one = np.ones(numbers.shape, np.bool_)
    if padding is not None:  # what ends behind a text's end is none, but for the only one of a text shorter than that
        is_one[:, 1:] = windows[:, windows.shape[1] - numbers.shape[1] + 1 :] != padding
    found, column = np.unique(numbers[is_one], return_inverse=True)
    ends = np.append(0, is_one.sum(axis=1).cumsum())
    table = csr_array((np.ones(len(column), np.int32), column.reshape(-1), ends), shape=(len(windows), len(found)))
    table.sum_duplicates()
    table.data[:] = 1
    return table


def _linked(texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Say for each resemblance of NEARER which texts are linked by steps of at least that much: a label for each.

    Shingles are put in an order, the rarest first. What two texts have in common is in the first ones of both, but for
    a few last ones of either: the first ones are counted, which few other texts share, and rule nearly all pairs out.
    """
    table = _rarest_first(shingles_of(texts, most=SKETCH), len(texts))
    sizes = np.diff(table.indptr).astype(np.int64)
    # Near texts have so many shingles in common that one is left if all but one of them are not among the first.
    n_last = np.ceil(NEAR * sizes - 1e-9).astype(np.int64) - 1
    table.data[np.arange(table.nnz) >= np.repeat(table.indptr[1:] - n_last, sizes)] = 0
    first = table.copy()
    first.eliminate_zeros()
    table.data[:] = 1
    by_shingle = csr_array(first.T)
    links = [_Links(len(texts)) for _ in NEARER]
    for start in range(0, len(texts), ROWS_AT_ONCE):
        pairs = coo_array(first[start : start + ROWS_AT_ONCE] @ by_shingle)
        one, two = start + pairs.coords[0].astype(np.int64), pairs.coords[1].astype(np.int64)
        least = NEAR / (1 + NEAR) * (sizes[one] + sizes[two]) - 1e-9  # in common
        likely = (two < one) & (pairs.data + np.maximum(n_last[one], n_last[two]) >= least)
        one, two = one[likely], two[likely]
        common = _common(table, one, two)
        resemblance = common / (sizes[one] + sizes[two] - common)
        for link, nearness in zip(links, NEARER, strict=True):
            link.add(one[resemblance >= nearness], two[resemblance >= nearness])
    return [link.labels() for link in links]


def _rarest_first(shingled: tuple[NDArray[np.uint64], NDArray[np.int64]], n: int) -> csr_array:
    """Give a table of texts by shingles, 1 where a text has one; the columns of the rarest come first."""
    numbers, owners = shingled
    found, column, count = np.unique(numbers, return_inverse=True, return_counts=True)
    place = np.empty(len(found), np.int64)
    place[np.argsort(count, kind="stable")] = np.arange(len(found))
    ends = np.searchsorted(owners, np.arange(n + 1))
    table = csr_array((np.ones(len(owners), np.int32), place[column.reshape(-1)], ends), shape=(n, len(found)))
    table.sort_indices()
    return table


def _common(table: csr_array, one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many shingles the texts of each pair have in common."""
    parts = [
        np.asarray(table[one[k : k + WINDOWS_AT_ONCE]].multiply(table[two[k : k + WINDOWS_AT_ONCE]]).sum(axis=1))
        for k in range(0, len(one), WINDOWS_AT_ONCE)
    ]
    return np.concatenate([*parts, np.zeros(0, np.int64)]).astype(np.int64)


class _Links:
    """Which of n texts are linked, pair by pair, in memory that does not depend on the number of pairs."""

    def __init__(self, n: int) -> None:
        self.label = np.arange(n)
        self.pending: list[NDArray[np.int64]] = []

    def add(self, one: NDArray[np.int64], two: NDArray[np.int64]) -> None:
        """Link the texts of each pair."""
        self.pending.append(np.stack([one, two]))
        if sum(pairs.shape[1] for pairs in self.pending) > len(self.label):
            self.labels()

    def labels(self) -> NDArray[np.int64]:
        """A number for each text, equal where texts are linked."""
        one, two = self.label[np.concatenate([*self.pending, np.zeros((2, 0), np.int64)], axis=1)]
        links = coo_array((np.ones(len(one), np.int8), (one, two)), shape=(len(self.label),) * 2)
        self.label, self.pending = connected_components(links, directed=False)[1][self.label].astype(np.int64), []
        return self.label


def _first_of(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each text, the position of the first with the same label."""
    _, first, group = np.unique(label, return_index=True, return_inverse=True)
    return first[group.reshape(-1)]
