"""Over-used motifs of images: square patches that recur in samples, but not in held-out images."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.stats import hypergeom
from torch import Tensor

from taumem.audit.stretches import fewest_tested
from taumem.errors import ConfigError, DataError
from taumem.neighbors.comparison import averaged
from taumem.neighbors.patches import FLOOR, Window, windows_of

__all__ = ["PatchMotif", "overused_patches", "spread"]

SHARES = (1 / 4, 3 / 8, 1 / 2, 3 / 4)
"""Of the shorter side of an image: the sides of the patches."""
NEAR = 1 / 3
"""Patches are alike if they are nearer than this share of the median distance between patches at their place."""
MOST_COMPARED = 1000
"""Samples, and held-out images, that are compared with one another, evenly spread over all."""


@dataclass(frozen=True)
class PatchMotif:
    """A patch that more samples have, at one place, than held-out images let expect.

    Attributes:
        sample: position of a sample that has it.
        side: its height and width in pixels.
        row: of its upper edge.
        column: of its left edge.
        n_samples: how many samples have it, of ``of_samples`` that were compared.
        n_heldout: how many held-out images do, of ``of_heldout``.
        of_samples: how many samples were compared.
        of_heldout: how many held-out images were.
        p: of so many samples or more, if the images that have it were as likely samples as held-out (hypergeometric,
            exact, the sample itself not counted).
        q: p times the number of patches that were tested: the chance that any of them does as well, at most. (One motif
            has many patches, all of them found: a share of these that may be false would let in others.)
    """

    sample: int
    side: int
    row: int
    column: int
    n_samples: int
    n_heldout: int
    of_samples: int
    of_heldout: int
    p: float
    q: float


def overused_patches(samples: Any, heldout: Any, *, q: float = 0.05, most: int = 20) -> tuple[PatchMotif, ...]:
    """Find patches that samples use more often than held-out images do.

    Each patch of each sample is compared with those at the same place of all other samples and held-out images, at
    most 16 rows and columns of pixels after averaging. What counts as alike is told by all of these together, so that
    if samples and held-out images are exchangeable, the alike ones are samples and held-out images by chance. A patch
    that all images have, such as a plain background, is no motif, unless samples have it more often.

    Args:
        samples: images that a model has drawn, independently [n, channels, height, width], in [-1, 1].
        heldout: images that it never saw [m, ...], of the same shape.
        q: the chance, at most, that any motif is found where there is none, in (0, 1).
        most: how many to give at most.

    Returns:
        The largest first, without those that are over-used only in samples which a larger one is in.

    Raises:
        ConfigError: q outside (0, 1).
        DataError: fewer than two samples, no held-out images, or images of different shapes.
    """
    if not 0 < q < 1:
        raise ConfigError(f"the chance q of a false motif lies between 0 and 1; got {q}.")
    shapes = [tuple(torch.as_tensor(images[:1]).shape[1:]) for images in (samples, heldout)]
    if len(samples) < 2 or len(heldout) < 1 or shapes[0] != shapes[1] or len(shapes[0]) != 3:
        raise DataError(
            "patches of at least 2 samples are set against those of held-out images of the same shape; got "
            f"{len(samples)} of shape {shapes[0]} and {len(heldout)} of shape {shapes[1]}."
        )
    places, others = spread(len(samples), MOST_COMPARED), spread(len(heldout), MOST_COMPARED)
    mine, theirs = (_few(images, rows) for images, rows in ((samples, places), (heldout, others)))
    height, width = mine.shape[2:]
    scale = shapes[0][1] // height
    sides = sorted({max(1, round(share * min(height, width))) for share in SHARES})
    windows = [window for side in sides for window in windows_of(side, height, width)]
    counts = np.stack([_counted(window.of(mine), window.of(theirs)) for window in windows])  # [windows, samples, 2]
    n, m = len(mine), len(theirs)
    p, n_tested = _tested(counts, n - 1, m, q)
    found = []
    for place, row in np.argwhere(p * n_tested <= q):
        window, (with_it, heldout_with_it) = windows[place], counts[place, row]
        at = scale * window.side, scale * window.row, scale * window.column
        numbers = 1 + int(with_it), int(heldout_with_it), n, m
        chance = float(p[place, row])
        found.append((PatchMotif(int(row), *at, *numbers, p=chance, q=chance * n_tested), window))
    kept = _without_explained(found, mine, theirs, q / max(1, n_tested))[:most]
    return tuple(replace(motif, sample=int(places[motif.sample])) for motif in kept)


def _tested(counts: NDArray[np.int64], n_samples: int, n_heldout: int, q: float) -> tuple[NDArray[np.float64], int]:
    """The p of each patch, 2 where too few images have it for a test to say anything, and how many were tested."""
    total, n = counts.sum(axis=2), n_samples + n_heldout
    tested = total >= max(1, fewest_tested(total.ravel(), n_samples, n, q))
    p = np.full(total.shape, 2.0)
    p[tested] = hypergeom.sf(counts[tested, 0] - 1, n, total[tested], n_samples)
    return p, int(tested.sum())


def _counted(mine: Float[Tensor, "n numbers"], theirs: Float[Tensor, "m numbers"]) -> NDArray[np.int64]:
    """How many other samples and how many held-out images have a patch like each sample's [n, 2]."""
    alike = _alike(mine, mine, theirs, torch.arange(len(mine)))
    return torch.stack([alike[:, : len(mine)].sum(dim=1), alike[:, len(mine) :].sum(dim=1)], dim=1).numpy()


def _alike(
    rows: Float[Tensor, "k numbers"],
    mine: Float[Tensor, "n numbers"],
    theirs: Float[Tensor, "m numbers"],
    places: Tensor,
) -> Tensor:
    """Which samples and held-out images have a patch like each of these rows, which are of samples at these places."""
    pool = torch.cat([mine, theirs])
    distances = torch.cdist(rows, pool) / rows.shape[1] ** 0.5
    itself = torch.arange(len(rows)), places
    distances[itself] = torch.inf
    alike: Tensor = distances <= (NEAR * distances.median(dim=1, keepdim=True).values).clamp_min(FLOOR)
    alike[itself] = False
    return alike


def _without_explained(
    found: list[tuple[PatchMotif, Window]], mine: Tensor, theirs: Tensor, largest_p: float
) -> list[PatchMotif]:
    """Keep the largest and most frequent ones, and of the others those that are over-used in the remaining samples."""
    kept: list[PatchMotif] = []
    free = torch.ones(len(mine), dtype=torch.bool)
    for motif, window in sorted(found, key=lambda pair: (-pair[0].side, -pair[0].n_samples, pair[0].p)):
        if free[motif.sample]:
            patches, row = window.of(mine), torch.tensor([motif.sample])
            others = _alike(patches[row], patches, window.of(theirs), row)[0, : len(mine)]
            n_free, n_having = int(free.sum()) - 1, int((others & free).sum())
            p = hypergeom.sf(n_having - 1, n_free + len(theirs), n_having + motif.n_heldout, n_free)
            if p <= largest_p:
                kept.append(motif)
                free[others] = False
                free[motif.sample] = False
    return kept


def spread(n: int, most: int) -> NDArray[np.int64]:
    """Places of at most so many of n items, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def _few(images: Any, places: NDArray[np.int64]) -> Float[Tensor, "n channels height width"]:
    taken = images[torch.from_numpy(places)] if isinstance(images, Tensor) else images[places]
    few: Tensor = averaged(taken, 2**40)  # in memory
    return few
