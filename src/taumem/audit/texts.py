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

EXHAUSTIVE = 2**23
"""Up to this many steps of a comparison each query is compared with each training text: 131,072 texts of 64 symbols.

A step treats one symbol of one text and up to 64 of the other at once; a processor does about 500 million in a second.
"""

MEMORY = 2**28
"""Bytes that distances may take at a time, where each query is compared with each training text."""

AT_ONCE = 1024
"""Queries that are compared with their short lists at a time."""

TIE = 2.0**-20
"""Of queries at equal distances the one is more suspicious whose next group is farther, by so much of that distance."""

Places = NDArray[np.int64]


class TextComparison:
    """Finds for each text the nearest training text by edit distance, as a share of the longer one's length.

    The edit distance (Levenshtein) is the least number of symbols that must be replaced, put in or left out. Symbols
    are code points; bytes that are no UTF-8, which Python carries as halves of surrogate pairs, are symbols too.

    A small training set is searched through (see ``EXHAUSTIVE``). Of a larger one each query is compared with a short
    list: the texts that share the most and rarest passages with it, and of equally long ones also those that differ at
    the fewest positions. An equal text is always found, and a changed one wherever a few short passages of it are left;
    of a query that resembles nothing, the distance found may be above the smallest. Which of the two it is depends on
    the training set alone, so that scores of all queries are one function of query and training set.

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
            ``score`` is the distance but for ties; ``plain`` the distances to the nearest text and to the nearest of
            another group (infinite where there is none), and ``ratio`` what the one is of the other.

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
        places = np.concatenate([*parts, np.zeros((0, 2), np.int64)])
        if (places[:, 0] < 0).any():
            raise DataError(
                "a query's own group, which is left out, holds all training texts; there must be two groups of them."
            )
        return self._matches(queries, *places.T)

    def _matches(self, queries: list[str], nearest: Places, other: Places) -> Matches:
        """What is to be said of the nearest texts and of those nearest in another group, by their places."""
        texts = [self.train[k] for k in nearest]
        first = _share(queries, texts)
        second = np.where(other < 0, np.inf, _share(queries, [self.train[k] for k in other]))
        ratio = np.divide(first, second, out=np.zeros(len(first)), where=second > 0)
        replaced = _paired(Hamming.distance, queries, texts) == _paired(Levenshtein.distance, queries, texts)
        same_length = _lengths(queries) == self.lengths[nearest]
        return Matches(
            score=first + TIE * (1 - np.minimum(second, 1)),
            nearest=nearest,
            distance=first,
            ratio=np.where(other < 0, np.nan, ratio),
            way=np.where(first == 0, 0, np.where(same_length & replaced, 1, 2)).astype(np.int64),
            ways=WAYS,
            plain=np.stack([first, second], axis=1),
        )

    def _in_all(self, queries: list[str], own: Places | None) -> Places:
        """The places of the nearest text and of the nearest one of another group, or -1, among all there are."""
        # In single precision, which tells apart all shares of fewer than 2,000 symbols.
        distance = cdist(
            queries, self.train, scorer=Levenshtein.normalized_distance, dtype=np.float32, workers=_workers()
        )
        rows = np.arange(len(queries))
        if own is not None:
            self._leave_out(distance, own)
        nearest = distance.argmin(axis=1)
        nearest[np.isinf(distance[rows, nearest])] = -1
        self._leave_out(distance, self.groups[nearest])
        other = distance.argmin(axis=1)
        other[np.isinf(distance[rows, other])] = -1
        return np.stack([nearest, other], axis=1)

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
        found = np.full((len(queries), 2), -1)
        present, first = np.unique(rows, return_index=True)
        found[present, 0] = places[first]
        apart = self.groups[places] != self.groups[found[rows, 0]]
        present, first = np.unique(rows[apart], return_index=True)
        found[present, 1] = places[apart][first]
        return found


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
