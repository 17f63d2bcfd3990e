"""Each item beside the training item that it resembles most, and how suspicious that is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Comparison", "Matches", "joined"]

ARRAYS = ("score", "nearest", "distance", "ratio", "way", "plain")


@dataclass(frozen=True, eq=False)
class Matches:
    """What a comparison found, one entry for each query.

    Attributes:
        score: how suspicious, small for a copy [n]: a fixed function of the query and the training set, so that scores
            of samples that copy nothing are exchangeable with those of held-out items.
        nearest: the position of the training item that was found [n].
        distance: to it, in the way that found it [n]: images: root mean square per number; texts: share of symbols.
        ratio: nearest over second nearest distinct group in that way [n]; NaN where there is none.
        way: which of the ways found it [n].
        ways: their names.
        plain: distances to the nearest distinct groups with the items as they are [n, k], ascending.
    """

    score: NDArray[np.float64]
    nearest: NDArray[np.int64]
    distance: NDArray[np.float64]
    ratio: NDArray[np.float64]
    way: NDArray[np.int64]
    ways: tuple[str, ...]
    plain: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: NDArray[np.intp]) -> "Matches":
        """Those of some of the queries."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ARRAYS})


def joined(parts: Sequence[Matches]) -> Matches:
    """Put the matches of parts of the queries together, at least one."""
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    return replace(parts[0], **arrays)


class Comparison(Protocol):
    """Compares items with a training set that it holds."""

    @property
    def cost(self) -> int:
        """Pairs that are compared for each query, views counted."""
        ...

    def compare(
        self,
        queries: Any,
        own: NDArray[np.int64] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Matches:
        """Find for each query the training item that it resembles most.

        Args:
            queries: items of the training items' kind.
            own: of queries that are training items themselves, the group that each is of, which is left out [n].
            progress: called with (queries done, of how many).
        """
        ...
