"""Which training texts are worth an edit distance: those that share the most, and the rarest, shingles with a query."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, vstack

from taumem.data.shingles import shingles_of

__all__ = ["Shortlist"]

SIZES = (2, 3, 4, 5, 6, 8, 12, 16)
"""Lengths of shingles, in symbols: the shortest that tells texts apart is taken, if its lookup is affordable."""

BY_CHANCE = 1 / 4
"""Two texts that have nothing to do with each other share no more than this of their shingles, on average."""

HITS = 2**17
"""So many equal shingles, at most, a query is expected to have among the training texts."""

COMMON = 2**14
"""A shingle that more training texts have than this is looked up in the first of them only."""

OF_A_TEXT = 256
"""Shingles of a text that are looked up; of a longer one those whose numbers are the smallest, alike in like texts."""

KEPT = 32
"""Texts, and groups of texts by their best member, that are kept for each query."""

LOOKED_AT = 1024
"""Texts, of those that share anything with a query, among which groups are told apart."""

SYMBOLS_AT_ONCE = 2**20
"""Symbols of training texts that the length of shingles is chosen on, and that are numbered at a time."""

AT_ONCE = 64
"""Queries that are looked up together."""

Places = NDArray[np.int64]


class Shortlist:
    """An inverted index of shingles of one length.

    Shingles are numbered by a hash, a few by each number, so that an index takes about 8 bytes for each shingle, and
    four times that while it is made. A text that is on the list only since two shingles have one number costs an edit
    distance, and changes nothing.

    Args:
        texts: the training texts.
        groups: a number for each, equal within a group [m].
    """

    def __init__(self, texts: Sequence[str], groups: Places) -> None:
        self.groups = groups
        distinct = np.unique(groups, return_index=True)[1]
        self.few = distinct[:3]
        at_once = max(1, SYMBOLS_AT_ONCE * len(texts) // max(1, sum(map(len, texts))))
        self.size, self.n_numbers = _sizes([texts[k] for k in distinct], at_once)
        parts = [self._table(texts[k : k + at_once]) for k in range(0, len(texts), at_once)]
        table = csc_array(vstack(parts))
        count = np.diff(table.indptr)
        self.table = _cut(table, count).astype(np.int32)
        # In whole numbers, so that sums are exact and equal ones are ties.
        self.weight = 1 + np.rint(16 * np.log2(len(texts) / np.maximum(1, count))).astype(np.int32)

    def pairs(self, queries: Sequence[str], own: Places | None = None) -> tuple[Places, Places]:
        """Give the pairs (place of the query, place of the training text) to be compared, ascending.

        Texts of three groups are always among them, or of all, so that each query has a neighbor in two groups.

        Args:
            queries: texts [n].
            own: of queries that are training texts, the group that each is of, which is left out [n].
        """
        lists = [
            self._best(places, shared, None if own is None else own[row])
            for row, (places, shared) in enumerate(self._sharing(queries))
        ]
        rows = np.repeat(np.arange(len(queries)), [len(places) for places in lists])
        return rows, np.concatenate([*lists, np.zeros(0, np.int64)])

    def _best(self, places: Places, shared: Places, own: np.int64 | None) -> Places:
        """The texts that share most with a query, and the best ones of the groups that do."""
        places = np.append(places, self.few)
        shared = np.append(shared, np.zeros(len(self.few), np.int64))
        if own is not None:
            is_other = self.groups[places] != own
            places, shared = places[is_other], shared[is_other]
        # Small for what shares most, and of equals for what stands first.
        rank = places - shared * len(self.groups)
        best, first_of_group = places, places
        for n in (LOOKED_AT, len(rank)):
            among = np.argpartition(rank, n)[:n] if n < len(rank) else np.arange(len(rank))
            best = places[among[np.argsort(rank[among])]]
            first_of_group = np.sort(np.unique(self.groups[best], return_index=True)[1])
            if len(first_of_group) > 1:
                break
        return np.unique(np.concatenate([best[:KEPT], best[first_of_group[:KEPT]]]))

    def _sharing(self, queries: Sequence[str]) -> Iterator[tuple[Places, Places]]:
        """For each query, the texts that share a shingle with it, and the weight of what they share."""
        for start in range(0, len(queries), AT_ONCE):
            table = self._table(queries[start : start + AT_ONCE])
            table.data = self.weight[table.indices]
            found = csr_array(table @ self.table.T)
            for a, b in zip(found.indptr[:-1], found.indptr[1:], strict=True):
                yield found.indices[a:b].astype(np.int64), found.data[a:b].astype(np.int64)

    def _table(self, texts: Sequence[str]) -> csr_array:
        """Texts by numbers of shingles: 1 for each that a text has."""
        number, owner = shingles_of(texts, self.size, OF_A_TEXT)
        column = (number % np.uint64(self.n_numbers)).astype(np.int32)
        ends = np.searchsorted(owner, np.arange(len(texts) + 1))
        return csr_array((np.ones(len(column), np.int8), column, ends), shape=(len(texts), self.n_numbers))


def _sizes(texts: Sequence[str], n: int) -> tuple[int, int]:
    """How long shingles are, and how many numbers there are for them, judged by about n texts, evenly spread.

    One of each group will do: texts that are there many times would make all shingles look common.
    """
    some = [texts[k] for k in np.unique(np.linspace(0, len(texts) - 1, n).round().astype(int))]
    size, n_shingles = SIZES[-1], 1.0
    for size in SIZES:
        count = np.unique(shingles_of(some, size, OF_A_TEXT)[0], return_counts=True)[1] / len(some)
        n_shingles = count.sum() * len(texts)
        tells_apart = (count**2).sum() <= BY_CHANCE * count.sum()
        if tells_apart and (count * np.minimum(count * len(texts), COMMON)).sum() <= HITS:
            break
    return size, 2 ** int(np.clip(np.log2(n_shingles + 1) - 2, 10, 26))


def _cut(table: csc_array, count: NDArray[np.int32]) -> csc_array:
    """Leave of each column no more than the first rows."""
    if count.max(initial=0) <= COMMON:
        return table
    kept = np.arange(table.nnz) - np.repeat(table.indptr[:-1], count) < COMMON
    ends = np.concatenate([[0], np.cumsum(np.minimum(count, COMMON))])
    return csc_array((table.data[kept], table.indices[kept], ends), shape=table.shape)
