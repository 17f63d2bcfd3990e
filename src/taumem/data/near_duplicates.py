"""Windows of text that share too much with each other, and a selection without them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["NEAR", "SHINGLE", "Sifted", "shingles", "sift"]

SHINGLE = 8
"""How many symbols a shingle has: windows are compared by their sets of shingles, wherever these stand in them."""

NEAR = 0.2
"""Two windows are near if this share of the shingles that either has is common to both (their resemblance).

A passage that occurs twice is cut at other places the second time: in the worst case two windows of its first
occurrence have one half each of a window of the second. From 28 symbols on such a half still resembles the whole by
more than this (with 64 symbols: 25 of 89 shingles, 0.28). At 0.5 most verbatim copies would go unseen.
"""

ROWS_AT_ONCE = 256
WINDOWS_AT_ONCE = 4096
_HASH_BASE = 0x9E3779B97F4A7C15


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


def sift(windows: NDArray[Any], wanted: int | None = None, *, against: NDArray[Any] | None = None) -> Sifted:
    """Keep each window that is not near one kept before it; so what is kept first does not depend on what follows.

    Exact: all pairs that share a shingle are compared. The time grows with the square of the number that is kept
    (30,000 windows of 64 symbols of English: about 5 seconds).

    Args:
        windows: symbols [n, window], of any type of integers.
        wanted: stop as soon as that many are kept; None goes through all.
        against: windows [m, window] that count as kept before the first.

    Reference: A. Broder, "On the resemblance and containment of documents", 1997.
    """
    wanted = len(windows) if wanted is None else wanted
    before = windows[:0] if against is None else against
    kept = np.zeros(0, np.intp)
    n_equal, n_seen = 0, 0
    while len(kept) < wanted and n_seen < len(windows):
        chunk = windows[n_seen : n_seen + WINDOWS_AT_ONCE]
        is_kept, is_equal = _sift_chunk(chunk, np.concatenate([before, windows[kept]]))
        if len(kept) + is_kept.sum() >= wanted:
            # What comes after the last wanted one was never looked at.
            end = int(np.flatnonzero(is_kept)[wanted - len(kept) - 1]) + 1
            chunk, is_kept, is_equal = chunk[:end], is_kept[:end], is_equal[:end]
        kept = np.concatenate([kept, n_seen + np.flatnonzero(is_kept)])
        n_equal += int(is_equal.sum())
        n_seen += len(chunk)
    return Sifted(kept, n_equal, n_seen - len(kept) - n_equal)


def shingles(windows: NDArray[Any]) -> NDArray[np.uint64]:
    """Number the shingles of each window, equal ones alike: [n, window - SHINGLE + 1].

    A shorter window is one shingle. Exact below 256; for larger symbols, two different shingles have the same number
    about as often as two random numbers of 64 bits.
    """
    base = np.uint64(256 if windows.dtype == np.uint8 else _HASH_BASE)
    size = min(SHINGLE, windows.shape[1])
    numbers = np.zeros((len(windows), windows.shape[1] - size + 1), np.uint64)
    for k in range(size):
        numbers = numbers * base + windows[:, k : k + numbers.shape[1]].astype(np.uint64)
    return numbers


def _sift_chunk(chunk: NDArray[Any], before: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each window whether it is kept, and whether it equals one kept before it."""
    windows = np.concatenate([before, chunk])
    table = _incidence(windows)
    sizes = table.sum(axis=1)
    is_kept = np.ones(len(windows), np.bool_)
    is_equal = np.zeros(len(windows), np.bool_)
    for start in range(len(before), len(windows), ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, len(windows))
        common = (table[start:end] @ table[:end].T).tocoo()
        row, column = start + common.row, common.col
        near = (common.data >= NEAR * (sizes[row] + sizes[column] - common.data)) & (column < row)
        ends = np.cumsum(np.bincount(common.row[near], minlength=end - start))
        # One after another, since a window that was dropped itself lets others pass.
        for i, columns in enumerate(np.split(column[near], ends[:-1]), start):
            if len(rivals := columns[is_kept[columns]]):
                is_kept[i] = False
                is_equal[i] = (windows[rivals] == windows[i]).all(axis=1).any()
    return is_kept[len(before) :], is_equal[len(before) :]


def _incidence(windows: NDArray[Any]) -> csr_array:
    """Give a sparse table of windows by shingles: 1 where a window has one."""
    numbers = shingles(windows)
    found, column = np.unique(numbers, return_inverse=True)
    ends = np.arange(len(windows) + 1) * numbers.shape[1]
    table = csr_array((np.ones(numbers.size, np.int32), column.reshape(-1), ends), shape=(len(windows), len(found)))
    table.sum_duplicates()
    table.data[:] = 1
    return table
