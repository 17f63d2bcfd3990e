"""Partial copies of images: the square patch of each sample that most resembles one patch of one training image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from taumem.errors import ConfigError, DataError
from taumem.neighbors import nearest
from taumem.neighbors.comparison import averaged, without_own

__all__ = ["PatchComparison", "PatchMatches", "Window", "windows_of"]

SHARES = (3 / 8, 1 / 2, 3 / 4)
"""Of the shorter side of an image: the sides of the patches."""
SHIFT = 1 / 16
"""Of the shorter side: a patch is looked for so far around its own place, in each direction."""
FLOOR = 0.05
"""Root mean square per number, of images in [-1, 1], that is added to all distances: where one flat patch is nearer
than another by less, that says nothing."""

Progress = Callable[[int, int], None]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """A square part of an image, in pixels of averaged images."""

    side: int
    row: int
    column: int

    def of(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n numbers"]:
        """Cut it out of images."""
        return images[:, :, self.row : self.row + self.side, self.column : self.column + self.side].flatten(1)


@dataclass(frozen=True, eq=False)
class PatchMatches:
    """The patch of each image, of each size, that stands out most.

    Attributes:
        sides: of the patches, in pixels, ascending [sizes].
        ratio: distance to the nearest patch over that to the nearest of another group of training images, small for a
            copy [n, sizes].
        distance: to the nearest, root mean square per number [n, sizes].
        nearest: position of the training image that has it [n, sizes].
        at: its row and column in the query, in pixels [n, sizes, 2].
        train_at: and in the training image [n, sizes, 2].
    """

    sides: tuple[int, ...]
    ratio: Floats
    distance: Floats
    nearest: Places
    at: Places
    train_at: Places

    def __len__(self) -> int:
        return len(self.ratio)

    def __getitem__(self, rows: NDArray[Any] | slice) -> "PatchMatches":
        """Those of some of the queries."""
        names = ("ratio", "distance", "nearest", "at", "train_at")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @property
    def score(self) -> Floats:
        """How suspicious, small for a copy: the smallest ratio of any size [n]."""
        smallest: Floats = self.ratio.min(axis=1)
        return smallest

    def thresholds(self, rare: float) -> Floats:
        """Of images that copy nothing: for each size the ratio that a share ``rare`` of them stays below, in all sizes
        together [sizes].

        Ratios of different sizes are not alike; each threshold is passed by equally many.
        """
        n = len(self)
        ranks = self.ratio.argsort(axis=0).argsort(axis=0).min(axis=1)  # the best that an image reaches in any size
        passed = int(np.quantile(ranks, rare, method="lower")) if n else 0
        return np.sort(self.ratio, axis=0)[passed] if n else np.zeros(len(self.sides))

    def largest(self, thresholds: Floats) -> Places:
        """Give the side of the largest patch of each query whose ratio is below the threshold of its size, in pixels; 0
        where there is none [n]."""
        sides: Places = np.where(self.ratio < thresholds, np.array(self.sides), 0).max(axis=1)
        return sides

    def places(self, thresholds: Floats) -> Places:
        """Give the size to show of each query: the largest that is below its threshold, or else the one that stands out
        most [n]."""
        n_sizes, passed = len(self.sides), self.ratio < thresholds
        largest = n_sizes - 1 - passed[:, ::-1].argmax(axis=1)
        places: Places = np.where(passed.any(axis=1), largest, (self.ratio / thresholds.clip(1e-9)).argmin(axis=1))
        return places


class PatchComparison:
    """Finds for patches of images the nearest patches of training images, at their place or a little beside it.

    Images are averaged to at most 16 rows and columns first, queries also moved by half of what is averaged. In each
    size, patches of a query overlap by half, and each is compared with the patches of all training images at all places
    up to a sixteenth of the side away (or anywhere). A patch that stands out is much nearer to one training image than
    to any other: a patch of plain sky is not, however near it is.

    Args:
        train: training images [P, channels, height, width] in [-1, 1], or anything whose slices are such.
        groups: a number for each, equal where images count as one; None takes each for itself.
        shares: sides of the patches as shares of the images' shorter side, in (0, 1].
        anywhere: whether a patch may have come from anywhere in a training image: four to nine times the work.
        memory: bytes that a search may take.

    Attributes:
        columns: for each share, which column of the matches has the patches of its size: on few pixels, the same for
            several.

    Raises:
        DataError: training items that are no images, or fewer than two groups of them.
        ConfigError: shares outside (0, 1].
    """

    def __init__(
        self,
        train: Any,
        *,
        groups: NDArray[np.int64] | None = None,
        shares: Sequence[float] = SHARES,
        anywhere: bool = False,
        memory: int = 2**29,
    ) -> None:
        first = torch.as_tensor(train[:1])
        self.groups = np.arange(len(train)) if groups is None else np.asarray(groups)
        if first.ndim != 4 or len(np.unique(self.groups)) < 2:
            raise DataError(
                "patches are compared with those of at least 2 different training images [P, channels, height, width]; "
                f"got {len(np.unique(self.groups))} of shape {tuple(first.shape[1:])}."
            )
        if not shares or not all(0 < share <= 1 for share in shares):
            raise ConfigError(f"patches have a share of an image's side, above 0 and at most 1; got {list(shares)}.")
        self.averaged, self.memory = averaged(train, memory), memory
        height, width = self.averaged.shape[2:]
        self.scale = first.shape[2] // height
        sides = [max(1, round(share * min(height, width))) for share in shares]
        self.windows = {side: windows_of(side, height, width) for side in sorted(set(sides))}
        self.columns = {share: list(self.windows).index(side) for share, side in zip(shares, sides, strict=True)}
        half = self.scale // 2
        self.moves = tuple(product((0, half), (0, half))) if half else ((0, 0),)
        self.away = max(height, width) if anywhere else max(1, round(SHIFT * min(height, width)))

    @property
    def cost(self) -> int:
        """Pairs of patches that are compared for each query."""
        windows = [window for part in self.windows.values() for window in part]
        n_places = sum(self._around(window).n_places for window in windows)
        return n_places * len(self.moves) * len(self.averaged)

    def compare(self, queries: Any, own: Places | None = None, *, progress: Progress | None = None) -> PatchMatches:
        """Find for each query the patch of each size that stands out most.

        Args:
            queries: images [n, channels, height, width].
            own: of queries that are training images themselves, the group that each is of, which is left out [n].
            progress: called with (searches done, of how many).
        """
        found = {side: _nothing(side * self.scale, len(queries)) for side in self.windows}
        windows = [window for part in self.windows.values() for window in part]
        for number, (down, right) in enumerate(self.moves):
            images = torch.as_tensor(averaged(_Moved(queries, down, right), self.memory)[:])
            for done, window in enumerate(windows, 1 + number * len(windows)):
                _keep_better(found[window.side], self._search(window, images, own), down, right)
                if progress:
                    progress(done, len(windows) * len(self.moves))
        names = ("ratio", "distance", "nearest", "at", "train_at")
        columns = [np.concatenate([getattr(part, name) for part in found.values()], axis=1) for name in names]
        return PatchMatches(tuple(part.sides[0] for part in found.values()), *columns)

    def _around(self, window: Window) -> "_Patches":
        height, width = self.averaged.shape[2:]
        row, column = max(0, window.row - self.away), max(0, window.column - self.away)
        bottom = min(height, window.row + window.side + self.away)
        right = min(width, window.column + window.side + self.away)
        return _Patches(self.averaged, window.side, (row, bottom), (column, right))

    def _search(self, window: Window, images: Tensor, own: Places | None) -> PatchMatches:
        rows, patches = window.of(images), self._around(window)
        groups = torch.from_numpy(self.groups).repeat_interleave(patches.n_places)
        distances, places = nearest(rows, patches, k=2 if own is None else 3, groups=groups, memory=self.memory)
        if own is not None:
            distances, places = without_own(torch.from_numpy(own), groups, distances, places)
        near = (distances / rows.shape[1] ** 0.5).cpu().numpy() + FLOOR
        image, row, column = patches.whereabouts(places[:, 0].cpu().numpy())
        return PatchMatches(
            sides=(self.scale * window.side,),
            ratio=near[:, :1] / near[:, 1:2],
            distance=near[:, :1] - FLOOR,
            nearest=image[:, None],
            at=self.scale * np.broadcast_to([window.row, window.column], (len(rows), 1, 2)),
            train_at=self.scale * np.stack([row, column], axis=1)[:, None],
        )


def windows_of(side: int, height: int, width: int) -> tuple[Window, ...]:
    """Windows of a size that overlap by half, up to all edges."""
    rows, columns = ([*range(0, length - side, max(1, side // 2)), length - side] for length in (height, width))
    return tuple(Window(side, row, column) for row, column in product(rows, columns))


@dataclass(frozen=True)
class _Moved:
    """Images moved up and to the left by some pixels; what comes in at the edges repeats them."""

    images: Any
    down: int
    right: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> Tensor:
        images = torch.as_tensor(self.images[part])
        height, width = images.shape[2:]
        rows, columns = torch.arange(height) + self.down, torch.arange(width) + self.right
        return images[:, :, rows.clamp(max=height - 1)][:, :, :, columns.clamp(max=width - 1)]


@dataclass(frozen=True)
class _Patches:
    """All patches of a size in a part of some images, image after image, as rows that are cut when asked for."""

    images: Any
    side: int
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """How many places there are, down and to the right."""
        return self.rows[1] - self.rows[0] - self.side + 1, self.columns[1] - self.columns[0] - self.side + 1

    @property
    def n_places(self) -> int:
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return len(self.images) * self.n_places

    def __getitem__(self, part: slice) -> Float[Tensor, "n numbers"]:
        start, stop, _ = part.indices(len(self))
        first, last = start // self.n_places, -(-stop // self.n_places)
        images = torch.as_tensor(self.images[first:last])[:, :, slice(*self.rows), slice(*self.columns)]
        patches = images.unfold(2, self.side, 1).unfold(3, self.side, 1).permute(0, 2, 3, 1, 4, 5)
        skipped = first * self.n_places
        return patches.reshape(len(images) * self.n_places, -1)[start - skipped : stop - skipped]

    def whereabouts(self, places: Places) -> tuple[Places, Places, Places]:
        """The image, row and column of patches."""
        image, place = np.divmod(places, self.n_places)
        row, column = np.divmod(place, self.shape[1])
        return image, row + self.rows[0], column + self.columns[0]


def _nothing(side: int, n: int) -> PatchMatches:
    none, nowhere = np.full((n, 1), np.inf), np.zeros((n, 1, 2), np.int64)
    return PatchMatches((side,), none, none.copy(), np.zeros((n, 1), np.int64), nowhere, nowhere.copy())


def _keep_better(kept: PatchMatches, found: PatchMatches, down: int, right: int) -> None:
    """Put into what is kept what stands out more in queries that were moved so far up and to the left."""
    better = found.ratio[:, 0] < kept.ratio[:, 0]
    for name in ("ratio", "distance", "nearest", "at", "train_at"):
        getattr(kept, name)[better] = getattr(found, name)[better]
    kept.at[better] += (down, right)
