"""Items against a training set, by what is near: the search behind every count of copies."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from taumem.errors import ConfigError
from taumem.neighbors.gaps import gap_ratio
from taumem.neighbors.matches import Matches, joined
from taumem.neighbors.search import nearest
from taumem.neighbors.views import View, coarse, orbit, standardized

__all__ = ["NearestComparison", "averaged", "without_own"]

TIED = 1e-5
"""Root mean square per number below which two relit images are equal: their numbers are about 1, or 0 of flat ones."""
AT_ONCE = 1024
"""Training images that are averaged at a time."""

Progress = Callable[[int, int], None]


class NearestComparison:
    """Finds the nearest training item of each query in each view, and keeps the view that stands out most.

    What stands out is the gap ratio: the distance to the nearest training item over that to the nearest of another
    group. It needs no scale, so views that compare different numbers can be held against each other.

    Args:
        train: training items [P, ...], or anything with a length whose slices are such items.
        groups: a number for each training item, equal where items count as one; None takes each for itself.
        views: of images, the views to search in; the plain one alone for items of other kinds.
        metric: ``euclidean`` of numbers, ``hamming`` of symbols.
        n_plain: how many distances to keep of the items as they are, to the nearest groups, at least 2.
        memory: bytes that a search may take.

    Raises:
        ConfigError: there are fewer than two groups.
    """

    def __init__(
        self,
        train: Any,
        *,
        groups: Int[Tensor, "P"] | None = None,
        views: Sequence[View] = orbit("none"),
        metric: Literal["euclidean", "hamming"] = "euclidean",
        n_plain: int = 2,
        memory: int = 2**29,
    ) -> None:
        self.train, self.views, self.metric, self.memory = train, tuple(views), metric, memory
        self.groups = torch.arange(len(train)) if groups is None else groups
        n_groups = len(torch.unique(self.groups))
        if n_groups < 2:
            raise ConfigError(
                "a copy is much nearer to one training item than to the others: at least 2 distinct ones are needed; "
                f"got {n_groups}."
            )
        # One less than all, since an item that is left out must leave as many.
        self.n_plain = max(2, min(n_plain, n_groups - 1))
        self.averaged = averaged(train, memory) if any(view.is_coarse for view in self.views) else None
        size = torch.as_tensor(train[:1]).numel()
        self.at_once = max(1, memory // (4 * 8 * size))

    @property
    def cost(self) -> int:
        """Pairs that are compared for each query, views counted."""
        return len(self.train) * len(self.views)

    @property
    def ways(self) -> tuple[str, ...]:
        """The names of the views."""
        return tuple(view.name for view in self.views)

    def compare(
        self, queries: Any, own: NDArray[np.int64] | None = None, *, progress: Progress | None = None
    ) -> Matches:
        """Find for each query the training item that stands out most.

        Args:
            queries: items [n, ...] of the training items' kind.
            own: of queries that are training items themselves, the group that each is of, which is left out [n].
            progress: called with (work done, work in all), of a query in a view.
        """
        parts, n = [], len(queries)
        for start in range(0, n, self.at_once):
            part = slice(start, min(n, start + self.at_once))

            def advance(done: int, part: slice = part) -> None:
                if progress:
                    progress(part.start * len(self.views) + (part.stop - part.start) * done, n * len(self.views))

            parts.append(self._of_part(torch.as_tensor(queries[part]), None if own is None else own[part], advance))
        return joined(parts)

    def _of_part(self, queries: Tensor, own: NDArray[np.int64] | None, advance: Callable[[int], None]) -> Matches:
        n, plain = len(queries), np.empty((len(queries), 0))
        score, distance = np.full(n, np.inf), np.full(n, np.nan)
        found, way = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for place, view in enumerate(self.views):
            distances, positions = self._search(view, queries, own, k=2 if place else self.n_plain)
            ratio = gap_ratio(distances[:, :2]).cpu().numpy()
            # Two groups that are equally near, down to rounding, are no reason to take the query for a copy of one.
            ratio[distances[:, 1].cpu().numpy() <= (TIED if view.relit else 0.0)] = 1.0
            better = view.handicap * ratio < score
            score[better], way[better] = view.handicap * ratio[better], place
            found[better], distance[better] = positions[better, 0], distances[better, 0]
            plain = plain if place else distances.cpu().numpy()
            advance(place + 1)
        handicaps = np.array([view.handicap for view in self.views])
        return Matches(score, found, distance, score / handicaps[way], way, self.ways, plain)

    def _search(
        self, view: View, queries: Tensor, own: NDArray[np.int64] | None, k: int
    ) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
        """The k nearest groups in a view: distances as root mean square per number, and positions."""
        rows, inside = (queries.flatten(1), None) if view.is_plain else view.of(queries)
        train = _Seen(self.averaged if view.is_coarse else self.train, inside, view.relit)
        wanted = k if own is None else k + 1
        distances, positions = nearest(
            rows, train, k=wanted, groups=self.groups, metric=self.metric, memory=self.memory
        )
        if own is not None:
            distances, positions = without_own(torch.from_numpy(own), self.groups, distances, positions)
        return distances / rows.shape[1] ** (0.5 if self.metric == "euclidean" else 1.0), positions


@dataclass(frozen=True)
class _Seen:
    """Training items as a view sees them, slice by slice."""

    items: Any
    inside: Bool[Tensor, "height width"] | None
    relit: bool

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, part: slice) -> Tensor:
        items = torch.as_tensor(self.items[part])
        rows = items.flatten(1) if self.inside is None else items[:, :, self.inside].flatten(1)
        return standardized(rows) if self.relit else rows


def averaged(train: Any, memory: int) -> Any:
    """The training images at few rows: in memory, or in a file of their own that vanishes with them."""
    shape = (len(train), *coarse(torch.as_tensor(train[:1])).shape[1:])
    fits = 4 * math.prod(shape) <= memory // 2
    # The file has no name, and is gone once nothing refers to it.
    kept = np.empty(shape, np.float32) if fits else np.memmap(TemporaryFile(), np.float32, shape=shape)  # noqa: SIM115
    for start in range(0, len(train), AT_ONCE):
        part = torch.as_tensor(train[start : start + AT_ONCE])
        kept[start : start + len(part)] = coarse(part).cpu().numpy()
    return torch.from_numpy(kept).to(part.device) if fits else kept


def without_own(
    own: Int[Tensor, "n"],
    groups: Int[Tensor, "P"],
    distances: Float[Tensor, "n more"],
    positions: Int[Tensor, "n more"],
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Leave each query's own group out, or the farthest one where it is not among the nearest."""
    is_own = groups[positions] == own[:, None]
    order = is_own.long().argsort(dim=1, stable=True)[:, :-1]
    return distances.gather(1, order), positions.gather(1, order)
