"""Near-duplicates among items, and nearest neighbors that take them as one.

A copy is much nearer to one training item than to the second nearest. A near-duplicate of that item (the same picture,
compressed again) stands in for the second nearest, and hides the copy.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from taumem.errors import ConfigError
from taumem.neighbors.search import nearest
from taumem.shapes import Items

__all__ = ["near_duplicates", "nearest_groups"]

LARGEST = 64
"""Groups of more items are not looked for: each item's neighbors are kept in memory, one more than this."""


@torch.no_grad()
def near_duplicates(items: Items, threshold: float = 1 / 3, *, block: int = 1024) -> Int[Tensor, "n"]:
    """Group items that are near-duplicates of one another.

    A group is a set of items that are one when seen from outside: the largest distance between two of them is less than
    ``threshold`` times the distance from any of them to any other item. It takes no scale, and holds for dense data and
    for sparse ones. Of two such sets that have an item in common, one contains the other; the larger one counts.

    The clusters of a mixture are such sets too, and must not count as one item each. So a set of more than sqrt(n) of
    the n items must be denser than the rest as well: its largest distance is less than ``threshold`` times the median
    distance of the other items to their nearest neighbors (in another group of at most sqrt(n)). Sets of more than half
    of the items, or of more than 64, are none. A chain of items, each near to the next, is no group.

    All items are compared with one another: the time grows with the square of their number (4,096 CIFAR images: about
    10 s on one core), the memory in proportion to it.

    Args:
        items: [n, ...], distinct (see :func:`distinct_items`).
        threshold: in (0, 1).
        block: items compared at a time.

    Returns:
        For each item, the position of the first item of its group: its own, where it has no near-duplicates.

    Raises:
        ConfigError: a threshold outside (0, 1).
    """
    if not 0 < threshold < 1:
        raise ConfigError(f"near-duplicates are told by a ratio of distances between 0 and 1; got {threshold}.")
    alone = torch.arange(len(items), device=items.device)
    largest = min(LARGEST, len(items) // 2)
    if largest < 2:
        return alone
    distances, places = nearest(items, items, k=largest + 1)
    sets = [_sets_of(size, distances, places, threshold, block) for size in range(2, largest + 1)]
    groups, few = alone, math.isqrt(len(items))
    for members in sets[: few - 1]:  # a larger set contains the smaller ones that it has items of
        groups[members] = members[:, :1]
    to_another = (groups[places] != groups[:, None]).int().argmax(dim=1, keepdim=True)
    apart = distances.gather(1, to_another)[:, 0]
    for members in [row for larger in sets[few - 1 :] for row in larger]:
        others = torch.ones_like(groups, dtype=torch.bool)
        others[members] = False
        if bool(distances[members, len(members) - 1].max() < threshold * apart[others].median()):
            groups[members] = members[0]
    return groups


@torch.no_grad()
def nearest_groups(
    queries: Items, references: Items, groups: Int[Tensor, "m"]
) -> tuple[Float[Tensor, "n 2"], Int[Tensor, "n 2"]]:
    """Find the nearest reference of each query, and the nearest one of another group.

    Args:
        queries: items [n, ...].
        references: items [m, ...] of the same shape, in two groups at least.
        groups: a number for each reference, equal within a group: of :func:`near_duplicates`.

    Returns:
        distances: to both [n, 2].
        positions: of both among the references [n, 2].

    Raises:
        ConfigError: there are fewer than two groups.
    """
    n_groups = len(torch.unique(groups))
    if n_groups < 2:
        raise ConfigError(f"the nearest of another group needs at least 2 groups; got {n_groups}.")
    return nearest(queries, references, k=2, groups=groups)


def _sets_of(
    size: int, distances: Float[Tensor, "n k"], places: Int[Tensor, "n k"], threshold: float, block: int
) -> Int[Tensor, "sets size"]:
    """Find all sets of that many items that are one when seen from outside; the members of each in their order."""
    farthest, beyond = distances[:, size - 1], distances[:, size]
    found = [places.new_empty((0, size))]
    # All its members are nearer to each other than to others: a set is the first neighbors of each of them.
    for rows in torch.split((farthest < threshold * beyond).nonzero()[:, 0], block):
        members = places[rows, :size].sort(dim=1).values
        members = members[members[:, 0] == rows]
        theirs = places[:, :size][members].sort(dim=2).values
        agree = (theirs == members[:, None]).flatten(1).all(dim=1)
        apart = farthest[members].amax(dim=1) < threshold * beyond[members].amin(dim=1)
        found.append(members[agree & apart])
    return torch.cat(found)
