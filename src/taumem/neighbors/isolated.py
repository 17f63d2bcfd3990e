"""Sets of items that are one when seen from outside: near-duplicates among few items."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from taumem.neighbors.search import nearest
from taumem.shapes import Items

__all__ = ["isolated_sets"]


def isolated_sets(
    items: Items, threshold: float, *, memory: int = 2**29
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """Group items that are one when seen from outside.

    The largest distance between two items of a group is less than ``threshold`` times the distance from any of them to
    any other item. It takes no scale, and holds for dense data and for sparse ones. Of two such sets that have an item
    in common, one contains the other; the larger one counts.

    The clusters of a mixture are such sets too, and must not count as one item each. So a set of more than sqrt(n) of
    the n items must be denser than the rest as well: its largest distance is less than ``threshold`` times the median
    distance of the other items to their nearest neighbors (in another group of at most sqrt(n)). Sets of more than half
    of the items are none. A chain of items, each near to the next, is no group.

    Args:
        items: [n, ...].
        threshold: in (0, 1).
        memory: bytes that the search may take.

    Returns:
        groups: for each item, the position of the first item of its group [n].
        reach: ``threshold`` times its distance to the nearest item of another group; 0 where there is none [n].
    """
    n = len(items)
    if n < 2:
        return torch.arange(n), torch.zeros(n, dtype=torch.float64)
    distances, places = nearest(items, items, k=n, memory=memory)
    sets = [_sets_of(size, distances, places, threshold) for size in range(2, n // 2 + 1)]
    groups, few = torch.arange(n, device=places.device), math.isqrt(n)
    for members in sets[: few - 1]:  # a larger set contains the smaller ones that it has items of
        groups[members] = members[:, :1]
    apart = _to_another(distances, places, groups)
    for members in [row for larger in sets[few - 1 :] for row in larger]:
        others = torch.ones_like(groups, dtype=torch.bool)
        others[members] = False
        if bool(distances[members, len(members) - 1].max() < threshold * apart[others].median()):
            groups[members] = members[0]
    return groups, threshold * _to_another(distances, places, groups)


def _to_another(
    distances: Float[Tensor, "n n"], places: Int[Tensor, "n n"], groups: Int[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """The distance of each item to the nearest one of another group; 0 where there is none."""
    first = (groups[places] != groups[:, None]).int().argmax(dim=1, keepdim=True)
    return distances.gather(1, first)[:, 0]


def _sets_of(
    size: int, distances: Float[Tensor, "n n"], places: Int[Tensor, "n n"], threshold: float
) -> Int[Tensor, "sets size"]:
    """Find all sets of that many items that are one when seen from outside; the members of each in their order."""
    farthest, beyond = distances[:, size - 1], distances[:, size]
    rows = (farthest < threshold * beyond).nonzero()[:, 0]
    # All its members are nearer to each other than to others: a set is the first neighbors of each of them.
    members = places[rows, :size].sort(dim=1).values
    members = members[members[:, 0] == rows]
    theirs = places[:, :size][members].sort(dim=2).values
    agree = (theirs == members[:, None]).flatten(1).all(dim=1)
    apart = farthest[members].amax(dim=1) < threshold * beyond[members].amin(dim=1)
    return members[agree & apart]
