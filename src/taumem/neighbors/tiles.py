"""References that are multiplied together, sorted so that few numbers say enough about all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from taumem.neighbors.held import Held
from taumem.neighbors.metrics import Metric
from taumem.neighbors.products import Precision
from taumem.neighbors.ranking import first_of_each, ranks

__all__ = ["Tile", "Tiles", "by_norm"]

TOGETHER = 32
"""References in one bundle, at most."""
BUNDLES = 8
"""For each neighbor asked for there are at least so many bundles, if need be of fewer references."""


@dataclass(frozen=True)
class Tile:
    """References in bundles of similar norm; the members of a bundle stand ``n_bundles`` columns apart.

    Attributes:
        positions: within the block; the last columns are filled up.
        rows: in the precision of the product.
        low, high: what each adds to a score, minus half its squared norm, between these. Of one that cannot be
            multiplied, ``high`` is infinite: it is always a candidate. Of a filling it is minus infinite: never.
        norm, off: as in :class:`Held`.
        bundle_low, bundle_high, bundle_norm, bundle_off: the lowest and the largest within each bundle.
    """

    positions: Int[Tensor, "columns"]
    rows: Float[Tensor, "columns d"]
    low: Float[Tensor, "columns"]
    high: Float[Tensor, "columns"]
    norm: Float[Tensor, "columns"]
    off: Float[Tensor, "columns"]
    bundle_low: Float[Tensor, "bundles"]
    bundle_high: Float[Tensor, "bundles"]
    bundle_norm: Float[Tensor, "bundles"]
    bundle_off: Float[Tensor, "bundles"]

    @property
    def n_bundles(self) -> int:
        """How many bundles."""
        return len(self.bundle_norm)


class Tiles:
    """Some references of a block as tiles, one for each precision, made when it is asked for.

    Args:
        block: rows [m, d].
        chosen: positions of the references, sorted by norm.
        k: how many neighbors are asked for.
        metric: what distance means.
        precisions: those to search in.
        held: the block in the first of them.
    """

    def __init__(
        self,
        block: Shaped[Tensor, "m d"],
        chosen: Int[Tensor, "some"],
        k: int,
        metric: Metric,
        precisions: Sequence[Precision],
        held: Held,
    ) -> None:
        self.block, self.metric, self.precisions, self.held = block, metric, precisions, held
        together = TOGETHER
        while together > 1 and len(chosen) < BUNDLES * k * together:
            together //= 2
        self.n_bundles = -(-len(chosen) // together)
        place = torch.arange(self.n_bundles * together, device=chosen.device).view(-1, together).T.flatten()
        self.positions = chosen[place.clamp_max(len(chosen) - 1)]
        self.is_filling = place >= len(chosen)
        self.made: dict[int, Tile] = {}

    def __getitem__(self, tier: int) -> Tile:
        if tier not in self.made:
            finer = self.metric.hold(self.block[self.positions], self.precisions[tier]) if tier else None
            self.made[tier] = self._made(finer or self.held[self.positions])
        return self.made[tier]

    def _made(self, held: Held) -> Tile:
        endless, n = held.off == torch.inf, self.n_bundles
        low = (-held.half_square - held.slack).masked_fill(endless | self.is_filling, -torch.inf)
        high = (held.slack - held.half_square).masked_fill(endless, torch.inf)
        high, off = high.masked_fill(self.is_filling, -torch.inf), held.off.masked_fill(endless, 0)
        largest = (column.view(-1, n).amax(dim=0) for column in (high, held.norm, off))
        return Tile(self.positions, held.rows, low, high, held.norm, off, low.view(-1, n).amin(dim=0), *largest)


def by_norm(
    block: Shaped[Tensor, "m d"], norms: Float[Tensor, "m"], k: int, groups: Int[Tensor, "m"] | None
) -> Int[Tensor, "kept"]:
    """Sort the references of a block by their norms, and leave out those that equal k others before them.

    Of equal references (of different groups) the first k may be among the nearest, and no others.
    """
    order = norms.argsort(stable=True)
    norms = norms[order]
    alike = (norms[1:] == norms[:-1]).nonzero()[:, 0]
    if not len(alike):
        return order
    is_equal = [(block[order[part]] == block[order[part + 1]]).all(dim=1) for part in torch.split(alike, 256)]
    starts = torch.ones_like(order, dtype=torch.bool)
    starts[alike[torch.cat(is_equal)] + 1] = False
    runs = starts.cumsum(dim=0)
    if groups is not None:
        first = first_of_each(runs, groups[order])
        order, runs = order[first], runs[first]
    return order[ranks(runs) < k]
