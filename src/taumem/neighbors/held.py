"""Rows as they enter a product: in some precision, with what that may have changed."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.neighbors.products import Precision

__all__ = ["Held", "hold", "joined"]

MORE = 16
"""Roundings of a sum of d squares, beyond d; generous."""


@dataclass(frozen=True)
class Held:
    """Rows in some precision; all bounds in double precision.

    Attributes:
        rows: [n, d]; zeros for a row that is too large to be multiplied.
        norm: of the rows as they are held, at most [n].
        half_square: half of their squared norm [n].
        slack: how far ``half_square`` may be off [n].
        off: how far, at most, a row lies from the exact one [n]; infinite for a row that is too large.
    """

    rows: Float[Tensor, "n d"]
    norm: Float[Tensor, "n"]
    half_square: Float[Tensor, "n"]
    slack: Float[Tensor, "n"]
    off: Float[Tensor, "n"]

    def __getitem__(self, which: Tensor | slice) -> "Held":
        bounds = (column[which] for column in (self.norm, self.half_square, self.slack, self.off))
        return Held(self.rows[which], *bounds)


def joined(parts: list[Held]) -> Held:
    """Put parts of the rows together, at least one."""
    names = ("rows", "norm", "half_square", "slack", "off")
    return Held(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def hold(near: Float[Tensor, "n d"], precision: Precision, *, is_exact: bool = False, closely: bool = False) -> Held:
    """Hold rows in a precision.

    Args:
        near: the rows; overwritten.
        precision: how to hold them; no finer than the type of ``near``.
        is_exact: whether they are exact already, rather than each number off by up to two roundings of their type.
        closely: whether to take their norms in double precision, which takes longer.
    """
    rounding = torch.finfo(near.dtype).eps
    summing = (near.shape[1] + MORE) * rounding
    rows = near.to(precision.dtype)
    counted = torch.float64 if closely else near.dtype
    norm = torch.linalg.vector_norm(rows, dim=1, dtype=counted).double()
    off = (0 if is_exact else 2 * rounding) * norm + precision.lost * near.shape[1]
    if rows is not near:
        off += torch.linalg.vector_norm(near.sub_(rows), dim=1).double() * (1 + summing)
    half_square = norm.square() / 2
    slack = 2 * (near.shape[1] + MORE) * torch.finfo(counted).eps * half_square + near.shape[1] * precision.lost**2
    norm = norm * (1 + summing) + near.shape[1] * precision.lost
    too_large = ~(norm + off <= precision.largest)
    rows[too_large] = 0
    norm, half_square, slack = (column.masked_fill(too_large, 0) for column in (norm, half_square, slack))
    return Held(rows, norm, half_square, slack, off.masked_fill(too_large, torch.inf))
