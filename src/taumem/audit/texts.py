"""Each text beside the training text that it resembles most: by edit distance, of any lengths and any symbols."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Hamming, Levenshtein
from rapidfuzz.process import cdist, cpdist

from taumem.audit.shortlist import Shortlist
from taumem.errors import DataError
from taumem.neighbors.matches import Matches

__all__ = ["WAYS", "TextComparison"]

WAYS = ("identical", "Hamming distance", "edit distance")
"""Which differences a text has from the one found: none; some symbols replaced; also some put in or left out."""

EXHAUSTIVE = 2**21
"""Up to this many steps of a comparison each query is compared with each training text: 32,768 texts of 64 symbols.

A step treats one symbol of one text and up to 64 of the other at once; a processor does about 500 million in a second.
"""

MEMORY = 2**28
"""Bytes that distances may take at a time, where each query is compared with each training text."""

AT_ONCE = 1024
"""Queries that are compared with their short lists at a time."""

GROUPS = 8
"""Groups of training texts that are found for each query. The distances to all but the first tell what is usual for a
text of its kind: a table's line of dashes is near many others, and copies none of them. They are several, so that an
unknown near-duplicate of a copied text does not hide it."""

Places = NDArray[np.int64]


class TextComparison:
    """Finds for each text the nearest training text by edit distance, as a share of the longer one's length.

    The edit distance (Levenshtein) is the least number of symbols that must be replaced, put in or left out. Symbols
    are code points; bytes that are no UTF-8, which Python carries as halves of surrogate pairs, are symbols too.

    A small training set is searched through (see ``EXHAUSTIVE``). Of a larger one each query is compared with a short
    list: the texts that share the most and the rarest shingles with it. An equal text is always found, and a changed
    one where some shingles of it are left (19 in 20 English windows of 64 symbols with 40 % of them replaced); of a
    query that resembles nothing, the distance found may be above the smallest. Which of the two it is depends on the
    training set alone, so that scores of all queries are one function of query and training set.

    Args:
        train: training texts [m].
        groups: a number for each, equal within a group, which counts as one text [m]; equal texts are a group unless
            told.

    Raises:
        DataError: no training texts, something that is no text, or not as many groups.
    """

    def __init__(self, train: Sequence[str], *, groups: NDArray[np.int64] | None = None) -> None:
        self.train = _texts(train, "training texts")
        if not self.train:
            raise DataError("texts are compared with training texts; got none.")
        self.lengths = _lengths(self.train)
        first: dict[str, int] = {}
        equal = [first.setdefault(text, k) for k, text in enumerate(self.train)]
        self.groups = np.asarray(equal if groups is None else groups, np.int64)
        if self.groups.shape != self.lengths.shape:
            raise DataError(
                f"groups are one number for each of the {len(self.train)} training texts; got {self.groups.shape}."
            )
        self.by_group = self.groups.argsort(kind="stable")
        steps = int((-(-self.lengths // 64) * self.lengths).sum())
        self.shortlist = Shortlist(self.train, self.groups) if steps > EXHAUSTIVE else None

    @property
    def cost(self) -> int:
        """Texts that each query is compared with."""
        return len(self.train)

    def compare(
        self,
        queries: Sequence[str],
        own: NDArray[np.int64] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Matches:
        """Find for each query the training text that it resembles most.

        Args:
            queries: texts [n].
            own: of queries that are training texts themselves, the group that each is of, which is left out [n].
            progress: called with the number of queries that are done, and with that of all.

        Returns:
            ``plain`` are the distances to the nearest text of each of the nearest groups (infinite where there are no
            more); ``score`` is the first of them over the mean of the others.

        Raises:
            DataError: something that is no text, or a query whose own group holds all training texts.
        """
        queries = _texts(queries, "queries")
        own = None if own is None else np.asarray(own, np.int64)
        search, at_once = self._in_all, max(1, MEMORY // (4 * len(self.train)))
        if self.shortlist is not None:
            search, at_once = self._in_shortlist, AT_ONCE
        parts = []
        for start in range(0, len(queries), at_once):
            part = slice(start, start + at_once)
            parts.append(search(queries[part], None if own is None else own[part]))
            if progress:
                progress(min(part.stop, len(queries)), len(queries))
        places = np.concatenate([*parts, np.zeros((0, GROUPS), np.int64)])
        if (places[:, 0] < 0).any():
            raise DataError(
                "a query's own group, which is left out, holds all training texts; there must be two groups of them."
            )
        return self._matches(queries, places)

    def _matches(self, queries: list[str], places: Places) -> Matches:
        """What is to be said of the nearest text of each of the nearest groups, by their places."""
        repeated, found = [q for q in queries for _ in range(GROUPS)], [self.train[k] for k in places.ravel()]
        distance = np.where(places < 0, np.inf, _share(repeated, found).reshape(places.shape))
        nearest, first = [self.train[k] for k in places[:, 0]], distance[:, 0]
        replaced = _paired(Hamming.distance, queries, nearest) == _paired(Levenshtein.distance, queries, nearest)
        same_length = _lengths(queries) == self.lengths[places[:, 0]]
        return Matches(
            score=_suspicion(distance),
            nearest=places[:, 0],
            distance=first,
            ratio=np.where(places[:, 1] < 0, np.nan, _part(first, distance[:, 1])),
            way=np.where(first == 0, 0, np.where(same_length & replaced, 1, 2)).astype(np.int64),
            ways=WAYS,
            plain=distance,
        )

    def _in_all(self, queries: list[str], own: Places | None) -> Places:
        """The places of the nearest text of each of the nearest groups, or -1, among all there are [n, GROUPS]."""
        # In single precision, which tells apart all shares of fewer than 2,000 symbols.
        distance = cdist(
            queries, self.train, scorer=Levenshtein.normalized_distance, dtype=np.float32, workers=_workers()
        )
        rows, places = np.arange(len(queries)), np.full((len(queries), GROUPS), -1)
        left_out = own
        for k in range(GROUPS):
            if left_out is not None:
                self._leave_out(distance, left_out)
            nearest = distance.argmin(axis=1)
            places[:, k] = np.where(np.isinf(distance[rows, nearest]), -1, nearest)
            left_out = self.groups[nearest]
        return places

    def _leave_out(self, distance: NDArray[np.float32], groups: Places) -> None:
        """Put a group of texts out of reach of each query."""
        first, last = (np.searchsorted(self.groups, groups, side, sorter=self.by_group) for side in ("left", "right"))
        for row, (a, b) in enumerate(zip(first, last, strict=True)):
            distance[row, self.by_group[a:b]] = np.inf

    def _in_shortlist(self, queries: list[str], own: Places | None) -> Places:
        """The same among the short list of each query."""
        assert self.shortlist is not None
        rows, places = self.shortlist.pairs(queries, own)
        distance = _share([queries[row] for row in rows], [self.train[place] for place in places])
        order = np.lexsort((places, distance, rows))
        rows, places = rows[order], places[order]
        # The first of each group is its nearest, and stands behind the first of all groups that are nearer.
        _, first = np.unique(np.stack([rows, self.groups[places]]), axis=1, return_index=True)
        first.sort()
        rows, places = rows[first], places[first]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        found = np.full((len(queries), GROUPS), -1)
        found[rows[rank < GROUPS], rank[rank < GROUPS]] = places[rank < GROUPS]
        return found


def _suspicion(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance to the nearest group over the mean distance to the next ones: small for a copy; at most 1."""
    is_there = np.isfinite(distance[:, 1:])
    others = np.where(is_there, distance[:, 1:], 0).sum(axis=1) / np.maximum(1, is_there.sum(axis=1))
    return np.where(is_there.any(axis=1), _part(distance[:, 0], others), distance[:, 0])


def _part(some: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """The one over the other; 0 where both are."""
    return np.divide(some, of, out=np.zeros(len(some)), where=of > 0)


def _texts(given: Sequence[str], what: str) -> list[str]:
    if isinstance(given, str) or not all(isinstance(text, str) for text in given):
        raise DataError(f"{what} are a list of texts, one str each; got {type(given).__name__}.")
    return list(given)


def _lengths(texts: Sequence[str]) -> Places:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _share(some: list[str], others: list[str]) -> NDArray[np.float64]:
    """The edit distance of each text to the other of the same place, as a share of the longer one's length."""
    longer = np.maximum(_lengths(some), _lengths(others))
    return np.asarray(_paired(Levenshtein.distance, some, others) / np.maximum(longer, 1), np.float64)


def _paired(measure: Callable[..., int], some: list[str], others: list[str]) -> Places:
    """The distance of each text to the other of the same place."""
    return np.asarray(cpdist(some, others, scorer=measure, dtype=np.int64, workers=_workers()), np.int64)


def _workers() -> int:
    return torch.get_num_threads()
