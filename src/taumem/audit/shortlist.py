"""Which training texts are worth an edit distance: those that share the most, and the rarest, passages with a query."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from taumem.data.near_duplicates import shingles_of

__all__ = ["Shortlist"]

SIZES = (3, 4, 5, 6, 8, 12, 16)
"""Lengths of passages, in symbols: the shortest is taken whose lookup is affordable."""

HITS = 2**15
"""So many pairs of equal passages a query may be expected to have with the training texts."""

COMMON = 2**14
"""Passages that more training texts have than this tell nothing, and are passed over."""

SAMPLE = 2**14
"""Texts, evenly spread, that the length of passages is chosen on."""

KEPT = 32
"""Texts, and groups of texts by their best member, that are kept for each query."""

AT_ONCE = 512
"""Queries that are looked up together."""

Places = NDArray[np.int64]


class Shortlist:
    """An inverted index of passages of one length.

    The passages are numbered by a hash, so the memory is about 12 bytes for each symbol of the texts. Two passages that
    have one number put a text on the list that may not belong there, which costs an edit distance and changes nothing.

    Args:
        texts: the training texts.
        groups: a number for each, equal within a group [m].
    """

    def __init__(self, texts: Sequence[str], groups: Places) -> None:
        self.groups = groups
        self.size, self.n_numbers = self._sizes(texts)
        self.table = csc_array(self._table(texts))
        count = np.diff(self.table.indptr)
        rare = np.log2(max(2, len(texts)) / np.maximum(1, count))
        # In whole numbers, so that sums are exact and equal ones are ties.
        self.weight = np.where(count > COMMON, 0, 1 + np.rint(16 * rare)).astype(np.int32)
        self.distinct = np.unique(groups, return_index=True)[1][:3]

    def pairs(self, queries: Sequence[str], own: Places | None = None) -> tuple[Places, Places]:
        """Give the pairs (place of the query, place of the training text) to be compared, sorted.

        Texts of three groups are always among them, or of all, so that each query has a neighbor in two groups.

        Args:
            queries: texts.
            own: of queries that are training texts, the group that each is of, which is left out [n].
        """
        parts = [
            self._row(row, columns, shared, None if own is None else int(own[row]))
            for start in range(0, len(queries), AT_ONCE)
            for row, columns, shared in self._shared(queries[start : start + AT_ONCE], start)
        ]
        counts = [len(part) for part in parts]
        return np.repeat(np.arange(len(queries)), counts), np.concatenate([*parts, np.zeros(0, np.int64)])

    def _row(self, row: int, columns: Places, shared: Places, own: int | None) -> Places:
        columns, shared = np.append(columns, self.distinct), np.append(shared, np.zeros(len(self.distinct), np.int64))
        if own is not None:
            other = self.groups[columns] != own
            columns, shared = columns[other], shared[other]
        order = np.lexsort((columns, -shared))
        first_of_group = np.sort(np.unique(self.groups[columns[order]], return_index=True)[1])[:KEPT]
        kept = np.union1d(np.arange(min(KEPT, len(order))), first_of_group)
        return np.unique(columns[order[kept]])

    def _shared(self, queries: Sequence[str], start: int) -> list[tuple[int, Places, Places]]:
        table = self._table(queries)
        table.data = self.weight[table.indices]
        table.eliminate_zeros()
        found = csr_array(table @ self.table.T)
        return [
            (start + row, found.indices[a:b].astype(np.int64), found.data[a:b].astype(np.int64))
            for row, (a, b) in enumerate(zip(found.indptr[:-1], found.indptr[1:], strict=True))
        ]

    def _table(self, texts: Sequence[str]) -> csr_array:
        """Texts by numbers of passages: 1 where a text has one."""
        number, owner = shingles_of(texts, self.size)
        column = (number >> np.uint64(8)) % np.uint64(self.n_numbers)
        ends = np.searchsorted(owner, np.arange(len(texts) + 1))
        shape = (len(texts), self.n_numbers)
        table = csr_array((np.ones(len(number), np.int32), column.astype(np.int32), ends), shape=shape)
        table.sum_duplicates()
        table.data[:] = 1
        return table

    @staticmethod
    def _sizes(texts: Sequence[str]) -> tuple[int, int]:
        """How long passages are, and how many numbers there are for them."""
        some = [texts[k] for k in np.unique(np.linspace(0, len(texts) - 1, SAMPLE).round().astype(int))]
        size = SIZES[-1]
        for size in SIZES:
            count = np.unique(shingles_of(some, size)[0], return_counts=True)[1].astype(float)
            # A passage of a text, drawn at random, meets so many of the training set; a text has so many passages.
            if (count**2).sum() / len(some) * len(texts) / len(some) <= HITS:
                break
        n_passages = count.sum() * len(texts) / len(some)
        return size, 2 ** int(np.clip(np.ceil(np.log2(4 * n_passages + 1)), 10, 26))
