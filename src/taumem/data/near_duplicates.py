"""Texts that share too much with each other: a selection of windows without them, and texts of any length in groups."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from taumem.data.alphabets import code_points

__all__ = ["NEAR", "SHINGLE", "Sifted", "shingles", "shingles_of", "sift", "text_groups"]

SHINGLE = 8
"""How many symbols a shingle has: windows are compared by their sets of shingles, wherever these stand in them."""

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
SYMBOLS_AT_ONCE = 2**21
_HASH_BASE = 0x9E3779B97F4A7C15
_MIXING = ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53), (33, 1))
"""Shifts and factors after which each bit of a number depends on all; each step can be undone, and loses nothing."""


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


def shingles_of(
    texts: Sequence[str], size: int = SHINGLE, most: int | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Number the shingles of texts of any lengths, equal ones alike, text after text.

    A text shorter than a shingle is one shingle. Two different shingles have the same number about as often as two
    random numbers of 64 bits.

    Args:
        texts: texts [n].
        size: symbols of a shingle.
        most: how many different shingles a text has at most; of a longer one those with the smallest numbers stand for
            all, which are alike in like texts. None for all in the order of their places, equal ones too.

    Returns:
        numbers: of all shingles.
        owners: the text that each is of, ascending.

    Reference: A. Broder, "On the resemblance and containment of documents", 1997 (the smallest as a sketch).
    """
    part = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts))) // SYMBOLS_AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1), len(texts)]
    found = [(_numbered(texts[a:b], size, most), a) for a, b in itertools.pairwise(cuts)]
    return np.concatenate([numbers for (numbers, _), _ in found]), np.concatenate(
        [owners + a for (_, owners), a in found]
    )


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
    for label in linked:  # from the loosest to the strictest
        size = np.bincount(groups, minlength=len(first))[groups]
        large = size > max(LARGE, math.isqrt(len(first)))
        if label is linked[0]:
            large[:] = True
        groups[large] = _first_of(label)[large]
    own = {text: int(first[groups[k]]) for k, text in enumerate(position)}
    return np.fromiter((own[text] for text in texts), np.int64, len(texts))


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


def _numbered(texts: Sequence[str], size: int, most: int | None) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The shingles of some texts at once."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    symbols = np.concatenate([code_points("".join(texts)), np.zeros(size, np.uint8)]).astype(np.uint64)
    counts = np.maximum(lengths - size + 1, 1)
    owners = np.repeat(np.arange(len(texts)), counts)
    starts = np.arange(len(owners)) + np.repeat(np.cumsum(lengths) - lengths - (np.cumsum(counts) - counts), counts)
    within = lengths[owners]
    numbers = np.zeros(len(owners), np.uint64)
    for k in range(size):
        # A symbol that is not there counts as 0, and a zero that is there as 1.
        numbers = numbers * np.uint64(_HASH_BASE) + np.where(k < within, symbols[starts + k] + np.uint64(1), 0)
    for shift, factor in _MIXING:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    if most is None:
        return numbers, owners
    order = np.lexsort((numbers, owners))
    numbers, owners = numbers[order], owners[order]
    is_new = np.append(True, (np.diff(numbers) != 0) | (np.diff(owners) != 0))[: len(numbers)]
    numbers, owners = numbers[is_new], owners[is_new]
    is_small = np.arange(len(owners)) - np.searchsorted(owners, np.arange(len(texts)))[owners] < most
    return numbers[is_small], owners[is_small]


def _linked(texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Say for each resemblance of NEARER which texts are linked by steps of at least that much: a label for each."""
    numbers, owners = shingles_of(texts, most=SKETCH)
    found, column, count = np.unique(numbers, return_inverse=True, return_counts=True)
    # The rarest first, so that the first shingles of a text are shared with few.
    rank = np.empty(len(found), np.int64)
    rank[np.argsort(count, kind="stable")] = np.arange(len(found))
    order = np.lexsort((column := rank[column], owners))
    table = csr_array(
        (np.ones(len(order), np.int32), column[order], np.searchsorted(owners, np.arange(len(texts) + 1))),
        shape=(len(texts), len(found)),
    )
    table.sum_duplicates()
    table.data[:] = 1
    sizes = np.diff(table.indptr)
    # Two near texts have a shingle in common among so many of the first of each.
    leading = np.arange(table.nnz) - np.repeat(table.indptr[:-1], sizes) <= np.repeat(
        sizes - np.ceil(NEAR * sizes), sizes
    )
    prefix = table.copy()
    prefix.data[~leading] = 0
    prefix.eliminate_zeros()
    labels = [np.arange(len(texts)) for _ in NEARER]
    for start in range(0, len(texts), ROWS_AT_ONCE):
        pairs = coo_array(prefix[start : start + ROWS_AT_ONCE] @ prefix[: start + ROWS_AT_ONCE].T)
        one, two = start + pairs.coords[0].astype(np.int64), pairs.coords[1].astype(np.int64)
        smaller, larger = np.minimum(sizes[one], sizes[two]), np.maximum(sizes[one], sizes[two])
        likely = (two < one) & (smaller >= NEAR * larger - 1e-9)
        one, two = one[likely], two[likely]
        common = _common(table, one, two)
        resemblance = common / (sizes[one] + sizes[two] - common)
        for label, least in zip(labels, NEARER, strict=True):
            near = resemblance >= least
            label[:] = _merged(label, one[near], two[near])
    return labels


def _common(table: csr_array, one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many shingles the texts of each pair have in common."""
    parts = [
        np.asarray(table[one[k : k + WINDOWS_AT_ONCE]].multiply(table[two[k : k + WINDOWS_AT_ONCE]]).sum(axis=1))
        for k in range(0, len(one), WINDOWS_AT_ONCE)
    ]
    return np.concatenate([*parts, np.zeros(0, np.int64)]).astype(np.int64)


def _merged(label: NDArray[np.int64], one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels once the texts of all these pairs are linked too."""
    if len(one) == 0:
        return label
    n = len(label)
    links = coo_array((np.ones(len(one), np.int8), (label[one], label[two])), shape=(n, n))
    merged: NDArray[np.int64] = connected_components(links, directed=False)[1][label].astype(np.int64)
    return merged


def _first_of(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each text, the position of the first with the same label."""
    _, first, group = np.unique(label, return_index=True, return_inverse=True)
    return first[group]
