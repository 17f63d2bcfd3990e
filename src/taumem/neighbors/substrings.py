"""The longest passage that a text shares, symbol for symbol, with any of many texts: exact, by a suffix array.

The suffixes of all texts are sorted once. A suffix of a query then shares the most with one of the two that it would
stand between, which a binary search finds.
"""

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from taumem.errors import DataError

__all__ = ["Substrings", "longest_match"]

END_OF_TEXT, END_OF_QUERY = -1, -2
"""Stand behind each text and each query; below all symbols, and different, so that no match goes across an end."""

AT_ONCE = 8
"""Symbols of two passages that are compared at a time; most differ within these."""

SUFFIXES_AT_ONCE = 2**16
"""Suffixes of queries that are looked up together."""

Symbols = NDArray[np.int32]
Places = NDArray[np.int64]


class Substrings:
    """All passages of some texts, ready to be looked up.

    Memory is 12 bytes for each symbol of the texts, and about 70 while they are being sorted, which takes about 1.3 s
    for each million symbols in windows of 64.

    Args:
        texts: symbols [m, length], integers from 0.

    Raises:
        DataError: texts that are no table of symbols.
    """

    def __init__(self, texts: Int[Tensor, "m length"]) -> None:
        self.depth = texts.shape[-1] + 1
        table = _checked(texts, "texts")
        self.symbols: Symbols = np.pad(table, ((0, 0), (0, 1)), constant_values=END_OF_TEXT).ravel()
        self.suffixes = _sorted_suffixes(self.symbols, self.depth)

    def longest_match(self, queries: Int[Tensor, "n length"]) -> Int[Tensor, "n"]:
        """Give the length, in symbols, of the longest passage of each query that occurs in a text.

        Args:
            queries: symbols [n, length], integers from 0; the length may be another one than the texts'.

        Raises:
            DataError: queries that are no table of symbols.
        """
        table = _checked(queries, "queries")
        n, length = table.shape
        if 0 in (n, length, len(self.symbols)):
            return torch.zeros(n, dtype=torch.long)
        at_once = max(1, SUFFIXES_AT_ONCE // length)
        found = [self._of_block(table[start : start + at_once]) for start in range(0, n, at_once)]
        return torch.from_numpy(np.concatenate(found))

    def _of_block(self, queries: Symbols) -> Places:
        n, length = queries.shape
        padded = np.pad(queries, ((0, 0), (0, 1)), constant_values=END_OF_QUERY)
        starts = np.arange(padded.size).reshape(n, length + 1)[:, :length].ravel()
        # Binary search: the suffix of a query belongs behind all suffixes below ``low``, and before that at ``high``.
        low, longest = np.zeros(len(starts), np.int64), np.zeros(len(starts), np.int64)
        high = np.full(len(starts), len(self.suffixes), np.int64)
        for _ in range(len(self.suffixes).bit_length()):
            middle = np.minimum((low + high) // 2, len(self.suffixes) - 1)
            shared, is_less = _compare(padded.ravel(), starts, self.symbols, self.suffixes[middle])
            # In the end both neighbors of the right place have been asked, and no other suffix shares more.
            longest = np.maximum(longest, shared)
            low, high = np.where(is_less, low, np.maximum(low, middle + 1)), np.where(is_less, middle, high)
        matched: Places = longest.reshape(n, length).max(axis=1)
        return matched


def longest_match(queries: Int[Tensor, "n length"], texts: Int[Tensor, "m length"]) -> Int[Tensor, "n"]:
    """Give the length of the longest passage that each query shares with any of the texts.

    To ask about the same texts again, keep their :class:`Substrings`.

    Args:
        queries: symbols [n, length], integers from 0.
        texts: symbols [m, length], integers from 0; of another length if need be.

    Returns:
        Lengths in symbols [n].

    Raises:
        DataError: queries or texts that are no table of symbols.

    Reference: Manber and Myers 1993, SIAM J. Comput. 22, 935 (suffix arrays).

    >>> longest_match(torch.tensor([[1, 2, 3, 9]]), torch.tensor([[0, 0, 1, 2], [3, 1, 2, 3]])).tolist()
    [3]
    """
    return Substrings(texts).longest_match(queries)


def _checked(items: Tensor, what: str) -> Symbols:
    if items.ndim != 2 or items.is_floating_point() or (items.numel() and int(items.min()) < 0):
        raise DataError(f"{what} are tables [n, length] of integers from 0; got {tuple(items.shape)}, {items.dtype}.")
    return items.to("cpu", torch.int32).numpy()


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
    while known < depth:
        following = np.zeros_like(rank)  # beyond the last symbol there is nothing, which comes first
        following[:-known] = rank[known:] + 1
        pairs = rank * (len(symbols) + 1) + following
        order = pairs.argsort(kind="stable")
        new = np.diff(pairs[order], prepend=-1) != 0
        rank[order] = np.cumsum(new) - 1
        known *= 2
    return order
