"""The nearest neighbors of items: exact, in bounded memory, whatever holds them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from taumem.errors import ConfigError, DataError
from taumem.neighbors.metrics import METRICS, MOST_SYMBOLS, MetricName
from taumem.neighbors.products import precisions
from taumem.neighbors.results import Results, digest_of
from taumem.neighbors.rows import Rows
from taumem.neighbors.shortlist import Search, Sizes

__all__ = ["nearest"]

TYPICAL = 64
"""Rows that say how large the numbers of all may be."""
COARSE = 300
"""References for each neighbor asked for, from which on the coarsest of three precisions saves time."""
SMALL = 2**30
"""Multiplications that take less time than to find out how to multiply fast."""
KEPT_TOGETHER = 2048
"""Queries that are finished at a time where results are kept in a file."""
LARGEST_SIDE = 2048
"""Queries and references of one product, at most: such products fit into caches, and larger ones are no faster."""


def nearest(
    queries: Any,
    references: Any,
    k: int = 2,
    *,
    metric: MetricName = "euclidean",
    groups: Int[Tensor, "m"] | None = None,
    memory: int = 2**29,
    progress: Callable[[int, int], None] | None = None,
    resume: Path | str | None = None,
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Find the k nearest references of each query, nearest first; of equally near ones, the one that stands first.

    A product in low precision proposes, with a bound on its errors; what the bound does not exclude is compared in
    double precision, by differences. The result is that of comparing all pairs so, to the bit: equal rows are at
    distance 0, and neither the order of the work nor the precision of the products shows.

    Args:
        queries: items [n, ...].
        references: items [m, ...] of the same shape. Both may be tensors, arrays, arrays that stay on disk
            (``np.memmap``), or anything with a length whose slices are such; these are read in blocks.
        k: how many, at most m, or the number of groups.
        metric: ``euclidean``; ``cosine``: 1 - cos of the angle, from 0 to 2; ``hamming``: the number of positions
            whose symbols differ (of integers).
        groups: a number for each reference: of each group only the nearest member counts, so that the k nearest are
            of k groups.
        memory: bytes to work in, from some MB on, besides what was in memory before, and the results.
        progress: called with (pairs compared, of how many).
        resume: a file in which results are kept, some queries at a time. Where it is there already, the search goes on
            from it.

    Returns:
        distances: exact to double precision [n, k].
        positions: of the neighbors among the references [n, k].

    Raises:
        DataError: items of different shapes or kinds (floats and integers), or that are not finite; groups that are
            not one for each reference; rows of zeros, which have no direction; symbols that are no integers.
        ConfigError: k below 1 or above the number of references or groups; an unknown metric.
        RecordError: the file to go on from is of another search, or cannot be read or written.
    """
    known = Rows(references, "references")
    asked = Rows(queries, "queries", like=known.first)
    _refuse(known, k, metric)
    numbers = None if groups is None else _numbered(groups, known, k)
    at_once, sizes = _sizes(known, metric, memory, is_lazy=known.is_lazy or asked.is_lazy)
    n, m = len(asked), len(known)
    results = Results(k, known.first.device)
    if resume is not None:
        digest = digest_of((asked, known), at_once, {"k": k, "metric": metric}, numbers)
        results.keep_in(Path(resume), digest)
    together = at_once if resume is None else min(at_once, KEPT_TOGETHER)
    # The bounds are those of products in the precision that is asked for: no autocast.
    with torch.no_grad(), torch.autocast(known.first.device.type, enabled=False):
        for start in range(results.n_done, n, together):
            rows = asked.block(start, min(n, start + together))
            search = _search(rows, known, k, metric, sizes, grouped=groups is not None)
            for first in range(0, m, at_once):
                block = known.block(first, min(m, first + at_once))
                search.add(block, first, None if numbers is None else numbers[first : first + at_once])
                if progress is not None:
                    progress(start * m + len(rows) * (first + len(block)), n * m)
            results.add(search.best.distances, search.best.positions)
    return results.all()


def _search(
    rows: Shaped[Tensor, "n d"], known: Rows, k: int, metric: MetricName, sizes: Sizes, *, grouped: bool
) -> Search:
    is_small = len(rows) * len(known) * rows.shape[1] < SMALL
    way = METRICS[metric](rows, known.block(0, TYPICAL), precisions(rows.device, is_small=is_small))
    # The coarser the precision, the more pairs are compared exactly, which costs most where k is large.
    skipped = 1 if len(known) < COARSE * k and len(way.precisions) > 2 else 0
    return Search(rows, k, way, way.precisions[skipped:], sizes, grouped=grouped)


def _refuse(known: Rows, k: int, metric: MetricName) -> None:
    if metric not in METRICS:
        raise ConfigError(f"metric is one of {', '.join(METRICS)}; got {metric!r}.")
    if metric == "hamming" and known.first.is_floating_point():
        raise DataError(f"the Hamming distance compares symbols, which are integers; got {known.first.dtype}.")
    if not 1 <= k <= len(known):
        raise ConfigError(f"asked for {k} neighbors among {len(known)} references; k must lie between the two.")


def _numbered(groups: Int[Tensor, "m"], known: Rows, k: int) -> Int[Tensor, "m"]:
    """The groups, numbered from 0, on the device of the references."""
    groups = torch.as_tensor(groups)
    if groups.shape != (len(known),) or groups.is_floating_point():
        raise DataError(
            f"groups are one integer for each of {len(known)} references; got {tuple(groups.shape)}, {groups.dtype}."
        )
    names, numbers = torch.unique(groups, return_inverse=True)
    if k > len(names):
        raise ConfigError(f"asked for neighbors of {k} groups, and the references have {len(names)}; ask for fewer.")
    placed: Tensor = numbers.to(known.first.device)
    return placed


def _sizes(known: Rows, metric: MetricName, memory: int, *, is_lazy: bool) -> tuple[int, Sizes]:
    """Rows of a block, and how much is done at a time, such that all fits into some bytes."""
    width = known.first[0].numel() * (MOST_SYMBOLS if metric == "hamming" else 1)
    # Each side as it is held, in single precision at most; and twice what was not in memory before, of 8 bytes.
    at_once = max(1, memory // 4 // ((20 if is_lazy else 4) * width))
    side = 1
    # Products, and the rows on both sides; in double precision these take most.
    while side < LARGEST_SIDE and 2 * side * (16 * 2 * side + 20 * width) <= memory // 2:
        side *= 2
    return at_once, Sizes(
        side=side,
        pairs=max(side, min(2**19, memory // 512)),
        numbers=max(width, min(2**18, memory // 256)),
    )
