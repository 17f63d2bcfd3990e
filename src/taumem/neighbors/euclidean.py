"""Exact nearest neighbors by Euclidean distance, in bounded memory.

A matrix product finds a short list; differences in double precision then rank it. The short list alone would not do:
|x - y|^2 = |x|^2 - 2 x.y + |y|^2 cancels when x is close to y, which is the very case a search for copies is about
(torch.cdist reports distances of up to 0.02 between equal images).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from taumem.data.items import as_items
from taumem.errors import ConfigError, DataError
from taumem.shapes import Items

__all__ = ["distinct_items", "gap_ratio", "nearest"]

SPARE = 8
"""Candidates kept beyond the k asked for, so that rounding in the short list cannot lose a true neighbor."""


@torch.no_grad()
def nearest(
    queries: Items, references: Items, k: int = 2, *, block: int = 1024
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Find the k nearest references of each query, nearest first.

    Args:
        queries: items [n, ...].
        references: items [m, ...] of the same shape.
        k: how many, at most m.
        block: queries and references compared at a time; memory is about block * (block + coordinates) numbers.

    Returns:
        distances: Euclidean, exact to double precision [n, k].
        positions: of the neighbors among the references [n, k].

    Raises:
        DataError: items of different shapes or kinds (floats and integers), or that are not finite.
        ConfigError: k below 1 or above the number of references.
    """
    references = as_items(references, "references")
    queries = as_items(queries, "queries", like=references)
    if not 1 <= k <= len(references):
        raise ConfigError(f"asked for {k} neighbors among {len(references)} references; k must lie between the two.")
    known = references.flatten(1)
    kept = min(k + SPARE, len(known))
    distances, positions = [], []
    for part in torch.split(queries.flatten(1), block):
        rows = part.double()
        short = _short_list(rows, known, kept, block)
        # One neighbor after another: all at once would take ``kept`` times the memory.
        squares = [(rows - known[column].double()).square().sum(dim=1) for column in short.unbind(dim=1)]
        exact = torch.stack(squares, dim=1).sqrt()
        order = exact.argsort(dim=1, stable=True)[:, :k]
        distances.append(exact.gather(1, order))
        positions.append(short.gather(1, order))
    return torch.cat(distances), torch.cat(positions)


def gap_ratio(distances: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
    """Distance to the nearest over distance to the second nearest, in [0, 1]: small for a copy.

    Where both are 0 (two equal references) the ratio is 0: the query is a copy. Search among
    :func:`distinct_items` and this does not arise.

    Raises:
        DataError: distances of another shape, negative ones, or ones that are not finite: what is no number is neither
            a copy nor novel.

    Reference: Yoon et al. 2023; Bonnaire et al. 2025, arXiv 2505.17638, eq. 6 (a copy: ratio below 1/3).
    """
    distances = as_items(distances, "distances")
    if distances.shape[1:] != (2,) or not distances.is_floating_point() or bool((distances < 0).any()):
        raise DataError(
            "the gap ratio takes the distances to the nearest and the second nearest, [n, 2], at least 0; got "
            f"{tuple(distances.shape)}, {distances.dtype}."
        )
    first, second = distances[:, 0], distances[:, 1]
    return torch.where(second == 0, torch.zeros_like(first), first / second)


def distinct_items(items: Items) -> Int[Tensor, "m"]:
    """Give the positions at which each distinct item stands first, ascending.

    Among duplicates the second nearest neighbor is as near as the nearest: the gap ratio is 1 and a copy goes unseen.

    Raises:
        DataError: items that are not finite.
    """
    items = as_items(items, "items")
    _, group = torch.unique(items.flatten(1), dim=0, return_inverse=True)
    first = torch.full((len(items),), len(items), device=items.device)
    first.scatter_reduce_(0, group, torch.arange(len(items), device=items.device), reduce="amin")
    return first[first < len(items)].sort().values


def _short_list(rows: Tensor, known: Tensor, kept: int, block: int) -> Tensor:
    """Positions of the ``kept`` references with the smallest |y|^2 - 2 x.y, one block of references at a time."""
    # A common shift changes no distance, and smaller norms cancel less.
    center = known[:block].double().mean(dim=0)
    shifted = rows - center
    scores = torch.empty((len(rows), 0), dtype=rows.dtype, device=rows.device)
    places = torch.empty((len(rows), 0), dtype=torch.long, device=rows.device)
    for start in range(0, len(known), block):
        part = known[start : start + block].double() - center
        fresh = part.square().sum(dim=1) - 2 * shifted @ part.T
        scores = torch.cat([scores, fresh], dim=1)
        numbers = torch.arange(start, start + len(part), device=rows.device).expand(len(rows), -1)
        places = torch.cat([places, numbers], dim=1)
        scores, best = scores.topk(min(kept, scores.shape[1]), dim=1, largest=False)
        places = places.gather(1, best)
    return places
