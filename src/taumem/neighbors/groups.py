"""Near-duplicates among items, and nearest neighbors that take them as one.

A copy is much nearer to one training item than to the second nearest. A near-duplicate of that item (the same picture,
compressed again) stands in for the second nearest, and hides the copy.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from taumem.errors import ConfigError
from taumem.neighbors.isolated import isolated_sets
from taumem.neighbors.search import nearest
from taumem.randomness import generator_for
from taumem.shapes import Items

__all__ = ["NearDuplicates", "near_duplicates", "nearest_groups"]

FEW = 64
"""Up to so many items there are too few neighbors to calibrate by; sets that are one from outside are groups."""
NEIGHBORS = 50
"""How many of an item's neighbors tell how far apart items are around it: at most, and at most a quarter of all."""
RARE = 0.01
"""The share of fresh items that come as near to an item as its near-duplicates, by accident."""
RARER = RARE / 5
"""The same for what is there for the sake of many near-duplicates."""
SPARSE = 16
"""One of so many items is drawn, to see past more near-duplicates than neighbors are asked for."""
FEWER_NEIGHBORS = 16
"""Among these; each stands for 16."""
FARTHEST = 1 / 2
"""Of the distance to the last of these neighbors: no item that is farther is a near-duplicate, however rare it is."""


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Which items are near-duplicates of one another. Make one with :meth:`of`.

    Attributes:
        items: the items [n, ...].
        groups: for each item, the position of the first item of its group: its own, where it has no near-duplicates.
        reach: how near to each item another one has to be to count as its near-duplicate [n].
    """

    items: Any
    groups: Int[Tensor, "n"]
    reach: Float[Tensor, "n"]

    @classmethod
    @torch.no_grad()
    def of(cls, items: Any, threshold: float = 1 / 3, *, memory: int = 2**29) -> "NearDuplicates":
        """Find the near-duplicates among items, as :func:`near_duplicates` says."""
        if not 0 < threshold < 1:
            raise ConfigError(f"near-duplicates are told by a ratio of distances between 0 and 1; got {threshold}.")
        if len(items) <= FEW:
            return cls(items, *isolated_sets(items, threshold, memory=memory))
        around = _Around.of(items, None, NEIGHBORS, memory)
        apart = around.apart()
        everywhere = min(threshold, (RARER / math.log(2)) ** float(around.inverse_dimensions().median())) * apart
        reach = torch.full_like(around.distances[:, 0], everywhere)
        groups, reach = _linked(items, around, reach, threshold * apart)
        if not _has_large(groups, around):
            sparse = _Around.of(items, _drawn(len(items)), FEWER_NEIGHBORS, memory)
            reach = reach.maximum(around.reach(RARE)).maximum(sparse.reach(RARER))
            groups, reach = _linked(items, around, reach, threshold * apart)
        if _has_large(groups, around):
            # All that such an item is compared with are its own near-duplicates; the first of them has others.
            kept, place = torch.unique(groups, return_inverse=True)
            again = cls.of(_taken(items, kept), threshold, memory=memory)
            groups, reach = kept[again.groups][place], reach.maximum(again.reach[place])
        return cls(items, groups, reach)

    @torch.no_grad()
    def near(self, queries: Items, *, memory: int = 2**29) -> Bool[Tensor, "m"]:
        """Say of other items whether each would be a near-duplicate of the item that is nearest to it.

        Args:
            queries: items [m, ...] of the same shape.
            memory: as in :func:`nearest`, and so are the errors.
        """
        distances, places = nearest(queries, self.items, k=1, memory=memory)
        return distances[:, 0] <= self.reach[places[:, 0]]


def near_duplicates(items: Any, threshold: float = 1 / 3, *, memory: int = 2**29) -> Int[Tensor, "n"]:
    """Group items that are near-duplicates of one another.

    Two items are near-duplicates if their distance is within the reach of both. The reach of an item is the largest of:

    - What one in a hundred fresh items would come near to it by accident, but at most half of the distance r to its
      neighbor number K (50, or a quarter of all items if these are fewer). In D dimensions a share K * t^D of fresh
      items comes within t * r of an item, so that is r * (0.01 / K)^(1 / D). D is that of the data around the item: how
      fast its neighbors come one after another. Only the farther half of them is asked, since near-duplicates may be
      among the nearer half.
    - The same, for one in 500, with its neighbor number 16 among a sixteenth of all items: past more near-duplicates.
    - What is near anywhere: ``threshold`` times the median distance of items to their nearest neighbors, or less if one
      in 500 fresh items would come nearer.

    Groups are what such pairs connect, chains too; where one is larger than K / 2, its first item stands for it and is
    compared once more. A cluster is not one item: of more than half of the n items, or of more than sqrt(n) that lie
    farther than ``threshold`` times that median from the first of them, only equal ones are a group.

    Few items, up to 64, give too little to calibrate by. There a group is a set of items that are one when seen from
    outside: see :func:`taumem.neighbors.isolated.isolated_sets`.

    How often it errs is measured by ``benchmarks/near_duplicates.py``. Not found: near-duplicates of most items that
    are more than 25 each in a set of a few thousand, and many copies with so much noise that they are nearer to other
    items than to each other.

    All items are compared with one another: the time grows with the square of their number, the memory in proportion to
    it (4,096 CIFAR images: about 5 s on one core).

    Args:
        items: [n, ...], a tensor, or what gives parts of one by slices and by arrays of places, as what stays on disk;
            equal items are near-duplicates.
        threshold: in (0, 1).
        memory: bytes that the search may take.

    Returns:
        For each item, the position of the first item of its group: its own, where it has no near-duplicates.

    Raises:
        ConfigError: a threshold outside (0, 1).

    Reference: Levina and Bickel 2004, NeurIPS 17 (dimension from distances to neighbors).
    """
    return NearDuplicates.of(items, threshold, memory=memory).groups


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


@dataclass(frozen=True, eq=False)
class _Around:
    """What lies around each item.

    Attributes:
        distances: to the nearest others among some of the items [n, K].
        places: of these among all items [n, K].
        times: how many items there are for each of those that are looked among.
    """

    distances: Float[Tensor, "n K"]
    places: Int[Tensor, "n K"]
    times: float

    @classmethod
    def of(cls, items: Any, among: Int[Tensor, "m"] | None, most: int, memory: int) -> "_Around":
        known = items if among is None else _taken(items, among)
        n = min(most, len(known) // 4)
        distances, places = nearest(items, known, k=n + 1, memory=memory)
        places = places if among is None else among.to(places.device)[places]
        everyone = torch.arange(len(items), device=places.device)
        # One too many was asked for: itself goes. Among many equal items it may not be there; then one of them is as
        # good. The last one goes where an item is not looked among.
        goes = places == everyone[:, None]
        if among is not None:
            goes[:, -1] |= ~torch.isin(everyone, among.to(places.device))
        order = goes.int().argsort(dim=1, descending=True, stable=True)[:, 1:]
        return cls(distances.gather(1, order), places.gather(1, order), len(items) / len(known))

    def inverse_dimensions(self) -> Float[Tensor, "n"]:
        """1 / D around each item. It varies slowly: over the neighbors it is known better than from one item."""
        n, half = self.distances.shape[1], self.distances.shape[1] // 2
        spread = (self.distances[:, -1] / self.distances[:, half - 1]).log() / math.log(n / half)
        usual = spread.nanmedian()
        # Where it is far from what is usual, the neighbors are near-duplicates of one another, and tell nothing of D.
        spread = spread.where(spread.isfinite(), usual).clamp(usual / 2, 2 * usual)
        return torch.cat([spread[:, None], spread[self.places]], dim=1).mean(dim=1)

    def reach(self, rare: float) -> Float[Tensor, "n"]:
        """How near to each item so few fresh items come."""
        share = rare / (self.times * self.distances.shape[1])
        nearer = torch.clamp(share ** self.inverse_dimensions(), max=FARTHEST)
        return (self.distances[:, -1] * nearer).nan_to_num(0.0)

    def apart(self) -> float:
        """The median distance of items to their nearest neighbors that do not equal them."""
        unequal = torch.where(self.distances > 0, self.distances, torch.inf).amin(dim=1)
        return float(unequal.nan_to_num(posinf=0.0).median())


def _drawn(n: int) -> Int[Tensor, "m"]:
    """Some of n items, by a fixed draw."""
    return torch.randperm(n, generator=generator_for(0, "near-duplicates"))[: max(FEW, n // SPARSE)]


def _taken(items: Any, places: Int[Tensor, "m"]) -> Items:
    """Some of the items, whether they are a tensor or an array, which may be on disk."""
    return items[places.to(items.device)] if isinstance(items, Tensor) else torch.as_tensor(items[places.cpu().numpy()])


def _linked(
    items: Any, around: _Around, reach: Float[Tensor, "n"], widest: float
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """Give each item the first one it hangs together with, and its reach: 0 in a cluster, which is not one item."""
    groups = _connected(around, reach)
    sizes = groups.bincount(minlength=len(items))
    is_cluster = torch.zeros_like(reach, dtype=torch.bool)
    for first in (sizes > math.isqrt(len(items))).nonzero()[:, 0].tolist():
        members = (groups == first).nonzero()[:, 0]
        is_cluster[members] = len(members) > len(items) // 2 or _extent(_taken(items, members)) >= widest
    reach = reach.where(~is_cluster, 0.0)
    return _connected(around, reach), reach


def _has_large(groups: Int[Tensor, "n"], around: _Around) -> bool:
    """Whether an item may have no neighbors but of its own group."""
    return int(groups.bincount().max()) > around.places.shape[1] // 2


def _extent(items: Items) -> float:
    """The largest distance of an item to the first of them."""
    rows = items.flatten(1).double()
    return float((rows - rows[:1]).norm(dim=1).max())


def _connected(around: _Around, reach: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    n = len(reach)
    link = around.distances <= reach[:, None].minimum(reach[around.places])
    rows, columns = link.nonzero()[:, 0].cpu().numpy(), around.places[link].cpu().numpy()
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    part = torch.from_numpy(connected_components(graph, directed=False)[1]).long()
    first = torch.full((n,), n).scatter_reduce_(0, part, torch.arange(n), reduce="amin")
    return first[part].to(reach.device)
