"""Which references may be among the nearest of some queries: all that bounded rounding does not exclude.

As they are held in low precision, a query x' and a reference y' lie within r_x and r_y of the exact vectors, so the
exact distance is within r_x + r_y of |x' - y'|, and |x' - y'|^2 = |x'|^2 - 2 s with the score s = x'.y' - |y'|^2 / 2.
Scores come from products, which are fast, with a bound on their errors. From the best lower bounds of s follows how far
the k-th neighbor is at most, and from that which upper bounds of s are too low: those references are out, certainly.

Of each bundle of references of similar norm, the largest product alone says whether any of them may be in.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from taumem.neighbors.held import Held
from taumem.neighbors.metrics import Metric
from taumem.neighbors.ranking import Best, first_of_each, ranks
from taumem.neighbors.tiles import Tile, by_norm, tile

__all__ = ["Search", "Sizes"]

FEW = 64
"""Bundles of one tile that may hold neighbors of a query, beyond 4 for each neighbor asked for: where there are more,
the tile is looked at again in a finer precision."""
SEVERAL = 4
"""For each group asked for, so many bundles are looked through for their groups."""
UP = 1 + 2.0**-40
"""What a bound is widened by: more than rounding does to it in double precision."""


@dataclass(frozen=True)
class Sizes:
    """How much is done at a time.

    Attributes:
        side: queries and references of one product.
        pairs: candidates that are kept before they are looked at exactly.
        numbers: of pairs that are looked at exactly together.
    """

    side: int
    pairs: int
    numbers: int


class Search:
    """Finds the nearest of some queries among blocks of references that come one after another.

    Args:
        queries: rows [n, d].
        k: how many neighbors.
        metric: what distance means.
        sizes: how much is done at a time.
        grouped: whether only one reference of each group counts.
    """

    def __init__(self, queries: Shaped[Tensor, "n d"], k: int, metric: Metric, sizes: Sizes, *, grouped: bool) -> None:
        self.queries, self.k, self.metric, self.sizes = queries, k, metric, sizes
        self.held = metric.hold(queries, metric.precisions[0])
        self.best = Best(len(queries), k, grouped=grouped, device=queries.device)
        self.reach = torch.full_like(self.held.norm, torch.inf)
        """How far apart the vectors of a query and its k-th neighbor are, at most."""
        self.found: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, block: Shaped[Tensor, "m d"], first: int, groups: Int[Tensor, "m"] | None) -> None:
        """Look at more references.

        Args:
            block: rows [m, d].
            first: the position of the first of them among all.
            groups: of these.
        """
        self.block, self.first, self.groups = block, first, groups
        coarsest = self.metric.precisions[0]
        norms = torch.cat(
            [self.metric.hold(part, coarsest).half_square for part in torch.split(block, self.sizes.side)]
        )
        for chosen in torch.split(by_norm(block, norms, self.k, groups), self.sizes.side):
            tiles: dict[int, Tile] = {}
            for rows in torch.split(torch.arange(len(self.queries), device=block.device), self.sizes.side):
                self._scan(rows, chosen, tiles, 0)
        self._settle()

    def _scan(self, rows: Int[Tensor, "n"], chosen: Int[Tensor, "m"], tiles: dict[int, Tile], tier: int) -> None:
        """Find the candidates of some queries in a tile in one precision, of those left undecided in the next."""
        precision, is_last = self.metric.precisions[tier], tier + 1 == len(self.metric.precisions)
        if tier not in tiles:
            tiles[tier] = tile(self.block, chosen, self.k, self.metric, precision)
        y = tiles[tier]
        x = self.held[rows] if tier == 0 else self.metric.hold(self.queries[rows], precision)
        products = precision.multiply(x.rows, y.held.rows)
        summed = precision.summed * (x.rows.shape[1] + 16)
        most = products.view(len(rows), -1, y.n_bundles).amax(dim=1).double()
        error = precision.given * most.abs() + summed * x.norm[:, None] * y.norm
        self._come_nearer(rows, x, y, most - error + y.lowest, products)
        beyond = self.reach[rows] + x.off
        known = beyond.isfinite()
        least = torch.where(known, x.half_square - beyond.square() / 2, -torch.inf)
        slope = torch.where(known, beyond, 0)[:, None]
        may_be = most + error + y.highest + slope * y.off + y.off.square() / 2 >= least[:, None]
        undecided = (may_be.sum(dim=1) > 4 * self.k + FEW) & (not is_last)
        may_be &= ~undecided[:, None]
        row, bundle = may_be.nonzero(as_tuple=True)
        members = y.n_bundles * torch.arange(len(y.bias) // y.n_bundles, device=rows.device)
        for part in torch.split(torch.arange(len(row), device=rows.device), max(1, self.sizes.pairs // len(members))):
            at, column = row[part].repeat_interleave(len(members)), (bundle[part, None] + members).flatten()
            product = products[at, column].double()
            error = precision.given * product.abs() + summed * x.norm[at] * y.held.norm[column]
            off = x.off[at] + y.held.off[column]
            score = product + y.bias[column]
            nearest = (2 * (x.half_square[at] - score - error)).clamp_min(0).sqrt() - off
            kept = (nearest <= self.reach[rows[at]] * UP) & (y.positions[column] >= 0)
            if self.groups is not None:
                farthest = (2 * (x.half_square[at] - score + error)).clamp_min(0).sqrt() + off
                kept &= self._may_lead(at, y.positions[column], nearest, farthest.masked_fill(~kept, torch.inf))
            self._keep(rows[at[kept]], y.positions[column[kept]], nearest[kept])
        if bool(undecided.any()):
            self._scan(rows[undecided], chosen, tiles, tier + 1)

    def _come_nearer(self, rows: Tensor, x: Held, y: Tile, low: Tensor, products: Tensor) -> None:
        """Lower the reach of queries to what is certain now: k references (of as many groups) lie within it."""
        n = min(low.shape[1], self.k if self.groups is None else SEVERAL * self.k)
        scores, bundles = low.topk(n, dim=1)
        farthest = (2 * (x.half_square[:, None] - scores)).clamp_min(0).sqrt() + x.off[:, None] + y.off[bundles]
        if self.groups is not None:
            farthest = self._farthest_of_groups(products, bundles, y, farthest)
        if farthest.shape[1] >= self.k:
            self.reach[rows] = torch.fmin(self.reach[rows], farthest[:, : self.k].amax(dim=1) * UP)

    def _farthest_of_groups(self, products: Tensor, bundles: Tensor, y: Tile, farthest: Tensor) -> Tensor:
        """Of the bundles with the best scores, keep one for each group of their best members; the first come first."""
        assert self.groups is not None
        members = y.n_bundles * torch.arange(len(y.bias) // y.n_bundles, device=bundles.device)
        columns = bundles[:, :, None] + members
        best = products.gather(1, columns.flatten(1)).view(columns.shape).argmax(dim=2, keepdim=True)
        groups = self.groups[y.positions[columns.gather(2, best)[:, :, 0]].clamp_min(0)]
        ordered, order = groups.sort(dim=1, stable=True)
        again = torch.zeros_like(ordered, dtype=torch.bool)
        again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        return farthest.masked_fill(again.gather(1, order.argsort(dim=1)), torch.inf).sort(dim=1).values

    def _may_lead(self, at: Tensor, positions: Tensor, nearest: Tensor, farthest: Tensor) -> Tensor:
        """Whether each candidate may be the nearest of its group."""
        assert self.groups is not None
        n_groups = int(self.groups.max()) + 1
        which, place = torch.unique(at * n_groups + self.groups[positions], return_inverse=True)
        nearest_of_group = farthest.new_full((len(which),), torch.inf).scatter_reduce_(0, place, farthest, "amin")
        return nearest <= nearest_of_group[place] * UP

    def _keep(self, rows: Tensor, positions: Tensor, nearest: Tensor) -> None:
        self.found.append((rows, positions, nearest))
        if sum(len(found) for found, _, _ in self.found) > self.sizes.pairs:
            self._settle()

    def _settle(self) -> None:
        """Look at the candidates exactly: first at the best k of each query, then at what these do not exclude."""
        if not self.found:
            return
        rows, positions, nearest = (torch.cat(column) for column in zip(*self.found, strict=True))
        self.found = []
        order = nearest.argsort(stable=True)
        order = order[rows[order].argsort(stable=True)]
        rows, positions, nearest = rows[order], positions[order], nearest[order]
        first = torch.zeros_like(rows, dtype=torch.bool)
        leading = torch.arange(len(rows), device=rows.device)
        if self.groups is not None:
            leading = first_of_each(rows, self.groups[positions])
        first[leading[ranks(rows[leading]) < self.k]] = True
        self._compare(rows[first], positions[first])
        rest = ~first & (nearest <= self.reach[rows] * UP)
        self._compare(rows[rest], positions[rest])

    def _compare(self, rows: Tensor, positions: Tensor) -> None:
        if not len(rows):
            return
        at_once = max(1, self.sizes.numbers // self.block.shape[1])
        pairs = zip(torch.split(rows, at_once), torch.split(positions, at_once), strict=True)
        distances = torch.cat([self.metric.distances(self.queries[i], self.block[j]) for i, j in pairs])
        groups = None if self.groups is None else self.groups[positions]
        self.best.offer(rows, distances, positions + self.first, groups)
        self.reach = torch.fmin(self.reach, self.metric.apart(self.best.distances[:, -1]) * UP)
