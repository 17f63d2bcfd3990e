"""The nearest found so far, by exact distances; equally near ones in the order of their positions."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from taumem.errors import ConfigError

__all__ = ["Best", "first_of_each", "merge", "ranks"]


class Best:
    """The k nearest references of each of n queries among those offered so far, each of another group.

    Attributes:
        distances: ascending, infinite where there is none yet [n, k].
        positions: of the references, -1 where there is none yet [n, k].
        groups: of the references [n, k]; None if each counts for itself.
    """

    def __init__(self, n: int, k: int, *, grouped: bool, device: torch.device | str = "cpu") -> None:
        self.distances = torch.full((n, k), torch.inf, dtype=torch.float64, device=device)
        self.positions = torch.full((n, k), -1, device=device)
        self.groups = torch.full((n, k), -1, device=device) if grouped else None

    def offer(
        self,
        rows: Int[Tensor, "found"],
        distances: Float[Tensor, "found"],
        positions: Int[Tensor, "found"],
        groups: Int[Tensor, "found"] | None = None,
    ) -> None:
        """Take in what was found: the distance of a reference to the query of a row."""
        if not len(rows):
            return
        touched = torch.unique(rows)
        known = self.positions[touched].flatten() >= 0
        k = self.distances.shape[1]
        rows = torch.cat([touched.repeat_interleave(k)[known], rows])
        distances = torch.cat([self.distances[touched].flatten()[known], distances])
        positions = torch.cat([self.positions[touched].flatten()[known], positions])
        order = positions.argsort()
        order = order[distances[order].argsort(stable=True)]
        order = order[rows[order].argsort(stable=True)]
        if self.groups is not None and groups is not None:
            groups = torch.cat([self.groups[touched].flatten()[known], groups])
            order = order[first_of_each(rows[order], groups[order])]
        rank = ranks(rows[order])
        order, rank = order[rank < k], rank[rank < k]
        self.distances[rows[order], rank] = distances[order]
        self.positions[rows[order], rank] = positions[order]
        if self.groups is not None and groups is not None:
            self.groups[rows[order], rank] = groups[order]


def merge(
    parts: Sequence[tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]],
    starts: Sequence[int],
    *,
    groups: Int[Tensor, "m"] | None = None,
    k: int | None = None,
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Put searches over parts of the references together: to the bit what one search over all of them finds.

    Args:
        parts: distances and positions of each part, as :func:`taumem.neighbors.nearest` gives them. A part with fewer
            than k references (or groups) gives all it has.
        starts: where among all references each part begins.
        groups: of all references.
        k: how many to keep; None keeps as many as the part with the most.

    Raises:
        ConfigError: there are no parts, not as many starts, or fewer than k in all of them.
    """
    if not parts or len(parts) != len(starts):
        raise ConfigError(f"merging takes a start for each part, and at least one; got {len(parts)}, {len(starts)}.")
    k = k or max(distances.shape[1] for distances, _ in parts)
    n, device = len(parts[0][0]), parts[0][0].device
    best = Best(n, k, grouped=groups is not None, device=device)
    for (distances, positions), start in zip(parts, starts, strict=True):
        rows = torch.arange(n, device=device).repeat_interleave(positions.shape[1])
        there = positions.flatten().to(device) + start
        best.offer(rows, distances.flatten().to(device), there, None if groups is None else groups.to(device)[there])
    if n and bool((best.positions < 0).any()):
        raise ConfigError(f"asked for {k} neighbors of each query, and the parts hold fewer; ask each for more.")
    return best.distances, best.positions


def ranks(rows: Int[Tensor, "found"]) -> Int[Tensor, "found"]:
    """Number the entries of each row from 0, rows being sorted."""
    place = torch.arange(len(rows), device=rows.device)
    return place - torch.searchsorted(rows, rows)


def first_of_each(rows: Int[Tensor, "found"], groups: Int[Tensor, "found"]) -> Int[Tensor, "kept"]:
    """Where each pair of a row and a group stands first."""
    order = groups.argsort(stable=True)
    order = order[rows[order].argsort(stable=True)]
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = (rows[order[1:]] != rows[order[:-1]]) | (groups[order[1:]] != groups[order[:-1]])
    return order[first].sort().values
