"""Exact nearest neighbors among texts by the Hamming distance: the number of positions whose symbols differ."""

from typing import Any

from jaxtyping import Int
from torch import Tensor

from taumem.neighbors.search import nearest

__all__ = ["nearest_hamming"]


def nearest_hamming(
    queries: Any, references: Any, k: int = 1, *, memory: int = 2**29
) -> tuple[Int[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Find the k references that differ from each query at the fewest positions, nearest first.

    Of equally near references, the one that stands first comes first.

    Args:
        queries: symbols [n, ...], of any type of integers.
        references: symbols [m, ...] of items of the same shape.
        k: how many, at most m.
        memory: as in :func:`taumem.neighbors.nearest`.

    Returns:
        distances: numbers of positions, from 0 to all positions of an item [n, k].
        positions: of the neighbors among the references [n, k].

    Raises:
        DataError: items of different shapes, or numbers that are no symbols.
        ConfigError: k below 1 or above the number of references.
    """
    distances, positions = nearest(queries, references, k, metric="hamming", memory=memory)
    return distances.long(), positions
