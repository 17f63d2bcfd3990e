"""Exact distances of pairs of rows: by their differences in double precision, and the same to the bit wherever."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

__all__ = ["between", "euclidean_distances"]

TINIEST = 1e-290
"""A sum of squares below this has lost digits, or all of them."""


def euclidean_distances(x: Shaped[Tensor, "pairs d"], y: Shaped[Tensor, "pairs d"]) -> Float[Tensor, "pairs"]:
    """Euclidean distances of pairs of rows, 0 exactly where they are equal."""
    return between(x.to(torch.float64, copy=True), y)


def between(x: Float[Tensor, "pairs d"], y: Shaped[Tensor, "pairs d"]) -> Float[Tensor, "pairs"]:
    """The same of rows that are in double precision already; ``x`` is overwritten.

    The squares are added by halves, always in the same order: a pair has the same distance to the bit, whichever pairs
    are computed beside it, and on whatever machine.
    """
    apart = x.sub_(y)
    sums = _summed(apart * apart)
    distances = sums.sqrt()
    strange = ((sums < TINIEST) | (sums == torch.inf)).nonzero()[:, 0]
    if len(strange):
        most = apart[strange].abs().amax(dim=1, keepdim=True)
        scaled = _summed((apart[strange] / most).square()).sqrt()
        distances[strange] = most[:, 0] * torch.where(most[:, 0] > 0, scaled, 0)
    return distances


def _summed(squares: Float[Tensor, "pairs d"]) -> Float[Tensor, "pairs"]:
    width = squares.shape[1]
    while width > 1:
        half = width // 2
        squares[:, :half] += squares[:, half : 2 * half]
        if width % 2:
            squares[:, 0] += squares[:, width - 1]
        width = half
    return squares[:, 0]
