"""References that are multiplied together, sorted so that few numbers say enough about all of them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from taumem.neighbors.held import Held
from taumem.neighbors.metrics import Metric
from taumem.neighbors.products import Precision
from taumem.neighbors.ranking import first_of_each, ranks

__all__ = ["Tile", "by_norm", "tile"]

TOGETHER = 32
"""References in one bundle, at most."""
BUNDLES = 8
"""For each neighbor asked for there are at least so many bundles, if need be of fewer references."""


@dataclass(frozen=True)
class Tile:
    """References in bundles of similar norm; the members of a bundle stand ``n_bundles`` columns apart.

    Attributes:
        positions: within the block; -1 fills the last columns up.
        held: in the precision of the product.
        bias: what each adds to a score: minus half its squared norm. Infinite for one that cannot be multiplied, which
            is always a candidate; minus infinite for a filling.
        lowest, highest: the bias within each bundle; that of one that cannot be multiplied counts for nothing in the
            lowest.
        norm, off: the largest within each bundle.
    """

    positions: Int[Tensor, "columns"]
    held: Held
    bias: Float[Tensor, "columns"]
    lowest: Float[Tensor, "bundles"]
    highest: Float[Tensor, "bundles"]
    norm: Float[Tensor, "bundles"]
    off: Float[Tensor, "bundles"]

    @property
    def n_bundles(self) -> int:
        """How many bundles."""
        return len(self.norm)


def tile(
    block: Shaped[Tensor, "m d"], chosen: Int[Tensor, "some"], k: int, metric: Metric, precision: Precision
) -> Tile:
    """Bundle some references of a block, in the order in which they are chosen."""
    together = TOGETHER
    while together > 1 and len(chosen) < BUNDLES * k * together:
        together //= 2
    n_bundles = -(-len(chosen) // together)
    filled = torch.cat([chosen, chosen[-1:].expand(n_bundles * together - len(chosen))])
    is_filling = torch.arange(len(filled), device=chosen.device) >= len(chosen)
    filled, is_filling = (column.view(n_bundles, together).T.flatten() for column in (filled, is_filling))
    held = metric.hold(block[filled], precision)
    endless = held.off == torch.inf
    held = replace(held, off=held.off.masked_fill(endless, 0))
    bias = (-held.half_square).masked_fill(endless, torch.inf).masked_fill(is_filling, -torch.inf)

    def bundled(column: Tensor) -> Tensor:
        return column.view(together, n_bundles)

    return Tile(
        positions=filled.masked_fill(is_filling, -1),
        held=held,
        bias=bias,
        lowest=bundled(bias.masked_fill(endless, -torch.inf)).amin(dim=0),
        highest=bundled(bias).amax(dim=0),
        norm=bundled(held.norm).amax(dim=0),
        off=bundled(held.off).amax(dim=0),
    )


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
