"""Rows as they enter a product: in some precision, with what that may have changed."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.neighbors.products import Precision

__all__ = ["Held", "hold", "joined"]

ABOVE = 1 + 2.0**-20
"""Norms are rounded up by this, more than what their own computation may be off by."""


@dataclass(frozen=True)
class Held:
    """Rows in some precision.

    Attributes:
        rows: [n, d]; zeros for a row that is too large to be multiplied.
        norm: of the rows as they are held, bounded from above [n].
        half_square: half of their squared norm, to double precision [n].
        off: how far, at most, a row lies from the exact one [n]; infinite for a row that is too large.
    """

    rows: Float[Tensor, "n d"]
    norm: Float[Tensor, "n"]
    half_square: Float[Tensor, "n"]
    off: Float[Tensor, "n"]

    def __getitem__(self, which: Tensor | slice) -> "Held":
        return Held(self.rows[which], self.norm[which], self.half_square[which], self.off[which])


def joined(parts: list[Held]) -> Held:
    """Put parts of the rows together, at least one."""
    columns = ([getattr(part, name) for part in parts] for name in ("rows", "norm", "half_square", "off"))
    return Held(*(torch.cat(column) for column in columns))


def hold(exact: Float[Tensor, "n d"], precision: Precision) -> Held:
    """Hold rows in a precision.

    Args:
        exact: the rows in double precision, each number off by its last digit at most; overwritten.
        precision: how to hold them.
    """
    rows = exact.to(precision.dtype, copy=True)
    again = rows.double()
    exact -= again
    half_square = again.square().sum(dim=1) / 2
    norm = (2 * half_square).sqrt() * ABOVE
    off = exact.square_().sum(dim=1).sqrt() * ABOVE + (2.0**-51 + precision.cut) * norm + precision.lost * rows.shape[1]
    too_large = ~(norm + off <= precision.largest)
    rows[too_large] = 0
    norm, half_square = norm.masked_fill(too_large, 0), half_square.masked_fill(too_large, 0)
    return Held(rows, norm, half_square, off.masked_fill(too_large, torch.inf))
