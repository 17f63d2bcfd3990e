"""The longest passage that a text shares, symbol for symbol, with any of many texts: exact, by a suffix array.

The suffixes of all texts are sorted once. A suffix of a query then shares the most with one of the two that it would
stand between, which a binary search finds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from taumem.data.alphabets import code_points
from taumem.errors import DataError

__all__ = ["Passages", "Substrings", "longest_match"]

END_OF_TEXT, END_OF_QUERY = -1, -2
"""Stand behind each text and each query; below all symbols, and different, so that no match goes across an end."""

AT_ONCE = 8
"""Symbols of two passages that are compared at a time; most differ within these."""

SUFFIXES_AT_ONCE = 2**16
"""Suffixes of queries that are looked up together."""

Symbols = NDArray[np.int32]
Places = NDArray[np.int64]
Texts = Int[Tensor, "m length"] | Sequence[str]


@dataclass(frozen=True, eq=False)
class Passages:
    """The longest passage of each query that occurs in a text, and where it stands.

    Attributes:
        length: in symbols [n]; 0 where no symbol is shared, and then the rest means nothing.
        start: the place in the query of its first symbol; of passages of equal length, the first one's [n].
        text: a text that has it [n].
        place: of its first symbol in that text [n].
    """

    length: Places
    start: Places
    text: Places
    place: Places


class Substrings:
    """All passages of some texts, ready to be looked up.

    Memory is 12 bytes for each symbol of the texts, and about 70 while they are being sorted, which takes about 1.3 s
    for each million symbols in windows of 64.

    Args:
        texts: symbols [m, length], integers from 0; or strings, of any lengths, whose symbols are their code points.
        groups: a number for each text, equal within a group [m]; each text is a group of its own unless told.

    Raises:
        DataError: texts that are no table of symbols, or not as many groups.
    """

    def __init__(self, texts: Texts, groups: NDArray[np.int64] | None = None) -> None:
        self.symbols, lengths = _ended(texts, "texts", END_OF_TEXT)
        self.ends = np.cumsum(lengths + 1)
        self.groups = np.arange(len(lengths)) if groups is None else np.asarray(groups)
        if self.groups.shape != lengths.shape:
            raise DataError(f"groups are one number for each of the {len(lengths)} texts; got {self.groups.shape}.")
        self.suffixes = _sorted_suffixes(self.symbols, int(lengths.max(initial=0)) + 1)

    def longest_match(self, queries: Texts) -> Int[Tensor, "n"]:
        """Give the length, in symbols, of the longest passage of each query that occurs in a text.

        Args:
            queries: symbols [n, length], integers from 0, or strings; of other lengths than the texts' if need be.

        Raises:
            DataError: queries that are no table of symbols.
        """
        return torch.from_numpy(self.find(queries).length)

    def find(self, queries: Texts, own: NDArray[np.int64] | None = None) -> Passages:
        """Find the longest passage of each query that occurs in a text.

        Args:
            queries: as in :meth:`longest_match`.
            own: of queries that are texts themselves, the group of each, in which nothing is looked for [n].

        Raises:
            DataError: as in :meth:`longest_match`.
        """
        symbols, lengths = _ended(queries, "queries", END_OF_QUERY)
        if len(lengths) == 0 or len(self.symbols) == 0:
            return Passages(*np.zeros((4, len(lengths)), np.int64))
        ends = np.cumsum(lengths + 1)
        blocks = np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(ends // SUFFIXES_AT_ONCE)) + 1)
        parts = []
        for block in blocks:
            first, last = block[0], block[-1]
            part = symbols[ends[first] - lengths[first] - 1 : ends[last]]
            parts.append(self._of_block(part, lengths[block], None if own is None else np.asarray(own)[block]))
        return Passages(*np.concatenate(parts, axis=1))

    def _of_block(self, symbols: Symbols, lengths: Places, own: Places | None) -> Places:
        """The attributes of the passages, as rows."""
        query = np.repeat(np.arange(len(lengths)), lengths)
        offset = np.arange(len(query)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        starts = np.arange(len(query)) + query  # one end stands behind each query before
        behind = self._places(symbols, starts)
        shared, found = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
        for upward, place in enumerate((behind - 1, behind)):
            place = place if own is None else self._of_another(place, own[query], bool(upward))
            suffix = self.suffixes.take(place, mode="clip")
            length = np.where((place >= 0) & (place < len(self.suffixes)), self._shared(symbols, starts, suffix)[0], 0)
            shared, found = np.where(length > shared, length, shared), np.where(length > shared, suffix, found)
        # The longest of each query, the first of several; queries without symbols have none.
        best = np.lexsort((offset, -shared, query))[np.searchsorted(query, np.arange(len(lengths)))[lengths > 0]]
        text = np.searchsorted(self.ends, found[best], side="right")
        begin = np.concatenate([[0], self.ends[:-1]])[text]
        passages = np.zeros((4, len(lengths)), np.int64)
        passages[:, lengths > 0] = shared[best], offset[best], text, found[best] - begin
        return passages

    def _places(self, symbols: Symbols, starts: Places) -> Places:
        """How many suffixes of the texts come before each of a query: by a binary search."""
        low, high = np.zeros(len(starts), np.int64), np.full(len(starts), len(self.suffixes), np.int64)
        for _ in range(len(self.suffixes).bit_length()):
            middle = np.minimum((low + high) // 2, len(self.suffixes) - 1)
            is_less = self._shared(symbols, starts, self.suffixes[middle])[1]
            low, high = np.where(is_less, low, np.maximum(low, middle + 1)), np.where(is_less, middle, high)
        return low

    def _shared(self, symbols: Symbols, starts: Places, suffixes: Places) -> tuple[Places, NDArray[np.bool_]]:
        return _compare(symbols, starts, self.symbols, suffixes)

    def _of_another(self, place: Places, own: Places, upward: bool) -> Places:
        """The next suffix from there on, upward or downward, that is of another group than one's own."""
        group, first = self._runs
        run = np.searchsorted(first, place, side="right") - 1
        beyond = np.append(first[1:], len(group))[run] if upward else first[run] - 1
        inside = (place >= 0) & (place < len(group))
        is_own = inside & (group.take(place, mode="clip") == own)
        return np.where(is_own, beyond, place)

    @cached_property
    def _runs(self) -> tuple[Places, Places]:
        """The group of each suffix in their order, and where runs of one group begin."""
        group = self.groups[np.searchsorted(self.ends, self.suffixes, side="right")]
        return group, np.flatnonzero(np.append(True, np.diff(group) != 0))


def longest_match(queries: Texts, texts: Texts) -> Int[Tensor, "n"]:
    """Give the length of the longest passage that each query shares with any of the texts.

    To ask about the same texts again, keep their :class:`Substrings`.

    Args:
        queries: symbols [n, length], integers from 0, or strings.
        texts: symbols [m, length], integers from 0, or strings; of another length if need be.

    Returns:
        Lengths in symbols [n].

    Raises:
        DataError: queries or texts that are no table of symbols.

    Reference: Manber and Myers 1993, SIAM J. Comput. 22, 935 (suffix arrays).

    >>> longest_match(torch.tensor([[1, 2, 3, 9]]), torch.tensor([[0, 0, 1, 2], [3, 1, 2, 3]])).tolist()
    [3]
    """
    return Substrings(texts).longest_match(queries)


def _ended(items: Texts, what: str, end: int) -> tuple[Symbols, Places]:
    """The symbols of all items in one row, with an end behind each; and the lengths of the items without it."""
    if isinstance(items, Tensor):
        if items.ndim != 2 or items.is_floating_point() or (items.numel() and int(items.min()) < 0):
            raise DataError(
                f"{what} are tables [n, length] of integers from 0; got {tuple(items.shape)}, {items.dtype}."
            )
        table = items.to("cpu", torch.int32).numpy()
        lengths = np.full(len(table), table.shape[1], np.int64)
        return np.pad(table, ((0, 0), (0, 1)), constant_values=end).ravel(), lengths
    lengths = np.fromiter(map(len, items), np.int64, len(items))
    symbols = np.full(int(lengths.sum()) + len(lengths), end, np.int32)
    is_symbol = np.ones(len(symbols), np.bool_)
    is_symbol[np.cumsum(lengths + 1) - 1] = False
    symbols[is_symbol] = code_points("".join(items))
    return symbols, lengths


def _compare(a: Symbols, at: Places, b: Symbols, starts: Places) -> tuple[Places, NDArray[np.bool_]]:
    """How many symbols a's suffixes share with b's from their starts on, and whether they come before these.

    Each pair differs somewhere: at the latest where a query or a text ends.
    """
    shared, is_less = np.zeros(len(at), np.int64), np.zeros(len(at), np.bool_)
    equal_so_far, offset = np.arange(len(at)), 0
    while len(equal_so_far):
        span = np.arange(offset, offset + AT_ONCE)
        mine = a.take(at[equal_so_far, None] + span, mode="clip")
        other = b.take(starts[equal_so_far, None] + span, mode="clip")
        first = (mine != other).argmax(axis=1)[:, None]
        x, y = np.take_along_axis(mine, first, 1)[:, 0], np.take_along_axis(other, first, 1)[:, 0]
        shared[equal_so_far], is_less[equal_so_far] = offset + first[:, 0], x < y
        equal_so_far = equal_so_far[x == y]
        offset += AT_ONCE
    return shared, is_less


def _sorted_suffixes(symbols: Symbols, depth: int) -> Places:
    """Give the starts of all suffixes, sorted by their first ``depth`` symbols, by doubling what is sorted by."""
    rank = np.unique(symbols, return_inverse=True)[1].astype(np.int64)
    order, known = rank.argsort(kind="stable"), 1
    while known < depth and rank.max(initial=0) + 1 < len(rank):  # until all are told apart
        following = np.zeros_like(rank)  # beyond the last symbol there is nothing, which comes first
        following[:-known] = rank[known:] + 1
        pairs = rank * (len(symbols) + 1) + following
        order = pairs.argsort(kind="stable")
        new = np.diff(pairs[order], prepend=-1) != 0
        rank[order] = np.cumsum(new) - 1
        known *= 2
    return order
