"""Which references may be among the nearest of some queries: all that bounded rounding does not exclude.

As they are held in low precision, a query x' and a reference y' lie within r_x and r_y of the exact vectors, so the
exact distance is within r_x + r_y of |x' - y'|, and |x' - y'|^2 = |x'|^2 - 2 s with the score s = x'.y' - |y'|^2 / 2.
Scores come from products, which are fast, with a bound on their errors. From the best lower bounds of s follows how far
the k-th neighbor is at most, and from that which upper bounds of s are too low: those references are out, certainly.

Of each bundle of references of similar norm, the largest product alone says whether any of them may be in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from taumem.neighbors.held import Held
from taumem.neighbors.metrics import Metric
from taumem.neighbors.products import Precision
from taumem.neighbors.ranking import Best, first_of_each, ranks
from taumem.neighbors.tiles import Tile, Tiles, by_norm

__all__ = ["Search", "Sizes"]

BUNDLES, CANDIDATES = 16, 96
"""Of a query in one tile, beyond 4 for each neighbor asked for: where more may be within its reach, the tile is looked
at again in a finer precision."""
MOST = 0.5
"""Where more than this share of the queries remain undecided in a tile, the precision is passed over in the next."""
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


@dataclass(frozen=True)
class Scores:
    """Products of some queries with a tile, and what is known of the scores.

    Attributes:
        rows: which queries.
        x, tile: both, as they were multiplied.
        products: [n, members, bundles].
        lower, upper: the largest of each bundle, as far as the result was rounded [n, bundles].
        lost: what else a product is off by, over the norm of the reference [n, 1].
        given: how much a result was rounded.
    """

    rows: Int[Tensor, "n"]
    x: Held
    tile: Tile
    products: Float[Tensor, "n members bundles"]
    lower: Float[Tensor, "n bundles"]
    upper: Float[Tensor, "n bundles"]
    lost: Float[Tensor, "n 1"]
    given: float


class Search:
    """Finds the nearest of some queries among blocks of references that come one after another.

    Args:
        queries: rows [n, d].
        k: how many neighbors.
        metric: what distance means.
        precisions: of the metric, those to search in.
        sizes: how much is done at a time.
        grouped: whether only one reference of each group counts.
    """

    def __init__(
        self,
        queries: Shaped[Tensor, "n d"],
        k: int,
        metric: Metric,
        precisions: Sequence[Precision],
        sizes: Sizes,
        *,
        grouped: bool,
    ) -> None:
        self.queries, self.k, self.metric, self.precisions, self.sizes = queries, k, metric, precisions, sizes
        self.held = metric.hold(queries, precisions[0], closely=precisions[0].given == 0)
        self.best = Best(len(queries), k, grouped=grouped, device=queries.device)
        self.reach = torch.full_like(self.held.norm, torch.inf)
        """How far apart the vectors of a query and its k-th neighbor are, at most."""
        self.found: list[tuple[Tensor, Tensor, Tensor]] = []
        self.n_found, self.coarsest = 0, 0

    def add(self, block: Shaped[Tensor, "m d"], first: int, groups: Int[Tensor, "m"] | None) -> None:
        """Look at more references.

        Args:
            block: rows [m, d].
            first: the position of the first of them among all.
            groups: of these.
        """
        self.block, self.first, self.groups, self.coarsest = block, first, groups, 0
        self.n_groups = 0 if groups is None else int(groups.max()) + 1
        held = self.metric.hold(block, self.precisions[0])
        order = by_norm(block, held.half_square, self.k, groups)
        for chosen in torch.split(order, self.sizes.side):
            tiles = Tiles(block, chosen, self.k, self.metric, self.precisions, held)
            for start in range(0, len(self.queries), self.sizes.side):
                x = self.held[start : start + self.sizes.side]
                rows = torch.arange(start, start + len(x.rows), device=block.device)
                if self.coarsest:
                    x = self.metric.hold(self.queries[rows], self.precisions[self.coarsest], closely=True)
                self._scan(rows, x, tiles, self.coarsest)
        self._settle()

    def _scan(self, rows: Int[Tensor, "n"], x: Held, tiles: Tiles, tier: int) -> None:
        """Find the candidates of some queries in a tile in one precision, of those left undecided in the next."""
        is_last = tier + 1 == len(self.precisions)
        scores = self._scores(rows, x, tiles, tier)
        self._come_nearer(scores)
        needed = self._needed(scores)
        may_be = scores.upper + scores.tile.bundle_high >= needed
        limit = 4 * self.k + BUNDLES
        crowded = (may_be.sum(dim=1) > limit).nonzero()[:, 0]
        if len(crowded):
            self._look_closer(scores, crowded)
            needed = self._needed(scores)
            may_be = scores.upper + scores.tile.bundle_high >= needed
        undecided = (may_be.sum(dim=1) > limit) & (not is_last)
        found = []
        for candidates in self._candidates(scores, needed, may_be & ~undecided[:, None]):
            if is_last:
                self._keep(rows, *candidates)
            else:
                found.append(candidates)
        if is_last:
            return
        at, positions, nearest = (torch.cat(column) for column in zip(*found, strict=True))
        undecided |= torch.bincount(at, minlength=len(rows)) > 4 * self.k + CANDIDATES
        kept = ~undecided[at]
        self._keep(rows, at[kept], positions[kept], nearest[kept])
        n_undecided = int(undecided.sum())
        if n_undecided > MOST * min(self.sizes.side, len(self.queries)):
            self.coarsest = max(self.coarsest, tier + 1)
        if n_undecided:
            finer = self.metric.hold(self.queries[rows[undecided]], self.precisions[tier + 1], closely=True)
            self._scan(rows[undecided], finer, tiles, tier + 1)

    def _scores(self, rows: Int[Tensor, "n"], x: Held, tiles: Tiles, tier: int) -> "Scores":
        precision, y = self.precisions[tier], tiles[tier]
        products = precision.multiply(x.rows, y.rows).view(len(rows), -1, y.n_bundles)
        most = products.amax(dim=1).double()
        lost = (precision.off(x.rows.shape[1]) * x.norm)[:, None]
        given = most.abs().mul_(precision.given)
        return Scores(rows, x, y, products, most - given, most + given, lost, precision.given)

    def _come_nearer(self, scores: "Scores") -> None:
        """Lower the reach of queries to what is certain now: k references (of as many groups) lie within it."""
        x, y, rows = scores.x, scores.tile, scores.rows
        n = min(y.n_bundles, self.k if self.groups is None else SEVERAL * self.k)
        low, bundles = (scores.lower - scores.lost * y.bundle_norm + y.bundle_low).topk(n, dim=1)
        square = 2 * (x.half_square[:, None] + x.slack[:, None] - low)
        farthest = square.clamp_min(0).sqrt() + x.off[:, None] + y.bundle_off[bundles]
        if self.groups is not None:
            farthest = self._of_groups(scores, bundles, farthest)
        if farthest.shape[1] >= self.k:
            self.reach[rows] = torch.fmin(self.reach[rows], farthest[:, : self.k].amax(dim=1) * UP)

    def _of_groups(self, scores: "Scores", bundles: Tensor, farthest: Tensor) -> Tensor:
        """Of the bundles with the best scores, keep one for each group of their best members; the nearest first."""
        assert self.groups is not None
        y, row = scores.tile, torch.arange(len(bundles), device=bundles.device)[:, None]
        column = scores.products[row, :, bundles].argmax(dim=2) * y.n_bundles + bundles
        ordered, order = self.groups[y.positions[column]].sort(dim=1, stable=True)
        again = torch.zeros_like(ordered, dtype=torch.bool)
        again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        return farthest.masked_fill(again.gather(1, order.argsort(dim=1)), torch.inf).sort(dim=1).values

    def _look_closer(self, scores: "Scores", crowded: Int[Tensor, "some"]) -> None:
        """The same for some queries, reference by reference, where one bundle holds several of the nearest."""
        y, k = scores.tile, self.k
        columns = torch.arange(len(y.positions), device=crowded.device).view(-1, y.n_bundles)
        for at in torch.split(crowded, max(1, self.sizes.pairs // len(y.positions))):
            if self.groups is None:
                low = scores.lower[at] - scores.lost[at] * y.bundle_norm + y.bundle_low
                best = low.topk(min(k, y.n_bundles), dim=1).indices
                farthest = self._farthest(scores, at[:, None], columns[:, best].transpose(0, 1).flatten(1))
            else:
                names, number = torch.unique(self.groups[y.positions], return_inverse=True)
                every = self._farthest(scores, at[:, None], columns.flatten()[None])
                farthest = every.new_full((len(at), len(names)), torch.inf)
                farthest.scatter_reduce_(1, number.expand(len(at), -1), every, "amin")
            if farthest.shape[1] >= k:
                rows, reach = scores.rows[at], farthest.topk(k, dim=1, largest=False).values.amax(dim=1)
                self.reach[rows] = torch.fmin(self.reach[rows], reach * UP)

    def _farthest(self, scores: "Scores", at: Tensor, column: Tensor) -> Float[Tensor, "..."]:
        """How far references are from queries at most, in the columns of a tile."""
        x, y = scores.x, scores.tile
        product = scores.products.flatten(1)[at, column].double()
        low = product - scores.given * product.abs() - scores.lost[at, 0] * y.norm[column] + y.low[column]
        return (2 * (x.half_square[at] + x.slack[at] - low)).clamp_min(0).sqrt() + x.off[at] + y.off[column]

    def _needed(self, scores: "Scores") -> Float[Tensor, "n bundles"]:
        """The score below which a reference is out of reach, even if it is off by as much as any of its bundle."""
        x, y = scores.x, scores.tile
        beyond = self.reach[scores.rows] + x.off
        known = beyond.isfinite()
        least = torch.where(known, x.half_square - x.slack - beyond.square() / 2, -torch.inf)[:, None]
        slope = torch.where(known, beyond, 0)[:, None]
        return least - slope * y.bundle_off - scores.lost * y.bundle_norm - y.bundle_off.square() / 2

    def _candidates(
        self, scores: "Scores", needed: Tensor, may_be: Bool[Tensor, "n bundles"]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Members of bundles that may be within reach: of which query, their positions, how near they are at least."""
        x, y, given = scores.x, scores.tile, scores.given
        row, bundle = may_be.nonzero(as_tuple=True)
        together = scores.products.shape[1]
        high = y.high.view(together, y.n_bundles).T
        for part in torch.split(torch.arange(len(row), device=row.device), max(1, self.sizes.pairs // together)):
            at, of = row[part], bundle[part]
            product = scores.products[at, :, of].double()
            score = product + given * product.abs() + high[of]
            hit, member = (score >= needed[at, of][:, None]).nonzero(as_tuple=True)
            at, column = at[hit], member * y.n_bundles + of[hit]
            lost, off = scores.lost[at, 0] * y.norm[column], x.off[at] + y.off[column]
            square = x.half_square[at] - x.slack[at] - score[hit, member] - lost
            nearest = (2 * square).clamp_min(0).sqrt() - off
            kept = nearest <= self.reach[scores.rows[at]] * UP
            if self.groups is not None:
                kept &= self._may_lead(at, y.positions[column], nearest, self._farthest(scores, at, column))
            yield at[kept], y.positions[column[kept]], nearest[kept]

    def _may_lead(self, at: Tensor, positions: Tensor, nearest: Tensor, farthest: Tensor) -> Bool[Tensor, "pairs"]:
        """Whether each candidate may be the nearest of its group."""
        assert self.groups is not None
        which, place = torch.unique(at * self.n_groups + self.groups[positions], return_inverse=True)
        of_group = farthest.new_full((len(which),), torch.inf).scatter_reduce_(0, place, farthest, "amin")
        return nearest <= of_group[place] * UP

    def _keep(self, rows: Tensor, at: Tensor, positions: Tensor, nearest: Tensor) -> None:
        self.found.append((rows[at], positions, nearest))
        self.n_found += len(at)
        if self.n_found > self.sizes.pairs:
            self._settle()

    def _settle(self) -> None:
        """Look at the candidates exactly: first at the best k of each query, then at what these do not exclude."""
        if not self.found:
            return
        rows, positions, nearest = (torch.cat(column) for column in zip(*self.found, strict=True))
        self.found, self.n_found = [], 0
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
