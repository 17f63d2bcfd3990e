"""What distance means: Euclidean, between directions (cosine), or the number of symbols that differ (Hamming).

Each turns rows into vectors whose Euclidean distances are in the same order, so that one search serves all three.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from taumem.errors import DataError
from taumem.neighbors.exact import between, euclidean_distances
from taumem.neighbors.held import Held, hold, joined
from taumem.neighbors.products import Precision

__all__ = ["METRICS", "Metric", "MetricName"]

MetricName = Literal["euclidean", "cosine", "hamming"]
Rows = Shaped[Tensor, "n d"]
Distances = Float[Tensor, "n"]
Precisions = tuple[Precision, ...]

AT_ONCE = 2**17
"""Numbers that are turned into double precision at a time."""
MOST_SYMBOLS = 48
"""Of a larger alphabet, comparing symbols one by one is faster than a product."""
CENTERED = 0.75
"""Rows are shifted where more than this share of them are nearer to their center than to 0."""
EXACT_IN_SINGLE = {torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16}
"""Types whose numbers are numbers of single precision."""
EXACT_IN_HALF = 2**8
"""Whole numbers up to this are exact in bfloat16."""


class Metric(Protocol):
    """A way to measure distances."""

    precisions: Precisions

    def hold(self, rows: Rows, precision: Precision, *, closely: bool = False) -> Held:
        """Turn rows into vectors, in one of its precisions; ``closely`` as in :func:`taumem.neighbors.held.hold`."""
        ...

    def distances(self, x: Rows, y: Rows) -> Distances:
        """Exact distances of pairs of rows, in double precision."""
        ...

    def apart(self, distances: Distances) -> Distances:
        """How far apart the vectors of rows at these distances are."""
        ...


class Euclidean:
    """Vectors are the rows, shifted and scaled alike, which changes no comparison.

    Smaller norms cancel less in products, and powers of two round nothing.

    Args:
        queries: some of them [n, d].
        references: some of them [m, d], typical; a few that are not do not matter.
        precisions: to search in, the coarsest first.
    """

    def __init__(self, queries: Rows, references: Rows, precisions: Precisions) -> None:
        self.precisions = precisions
        known = references.double()
        center = known.median(dim=0).values
        # Where only some are nearer to it than to 0, it would swamp rows that are much smaller than the others.
        nearer = (known / 2 - center / 2).square().sum(dim=1) < (known / 2).square().sum(dim=1)
        center *= float(nearer.double().mean()) > CENTERED
        self.center = torch.where(center.float().isfinite(), center.float().double(), center)
        sizes = [
            (rows.double() / 2 - self.center / 2).abs().amax(dim=1)
            for rows in (references, queries[: len(references)])
            if len(rows)
        ]
        typical = next((float(size) for of in sizes for size in (of.median(), of.max()) if size > 0), 1.0)
        self.scale = math.ldexp(1.0, min(1000, max(-1000, -math.frexp(typical)[1])))
        self.is_moderate = 2.0**-60 < self.scale < 2.0**60 and bool((self.center.abs() * self.scale < 2.0**60).all())

    def hold(self, rows: Rows, precision: Precision, *, closely: bool = False) -> Held:
        single = self.is_moderate and rows.dtype in EXACT_IN_SINGLE
        dtype = torch.float32 if single and precision.dtype != torch.float64 else torch.float64
        center, is_exact = self.center.to(dtype), not self.center.any() and (single or rows.dtype == torch.float64)
        parts = ((part.to(dtype) - center).mul_(self.scale) for part in _in_parts(rows))
        return joined([hold(part, precision, is_exact=is_exact, closely=closely) for part in parts])

    def distances(self, x: Rows, y: Rows) -> Distances:
        return euclidean_distances(x, y)

    def apart(self, distances: Distances) -> Distances:
        return distances * self.scale


class Cosine:
    """1 - cos of the angle, from 0 to 2: half the squared distance of the rows once all have length 1.

    Args:
        queries: some of them [n, d].
        references: some of them [m, d].
        precisions: to search in, the coarsest first.
    """

    def __init__(self, queries: Rows, references: Rows, precisions: Precisions) -> None:
        self.precisions = precisions

    def hold(self, rows: Rows, precision: Precision, *, closely: bool = False) -> Held:
        return joined([hold(_directions(part), precision) for part in _in_parts(rows)])

    def distances(self, x: Rows, y: Rows) -> Distances:
        return between(_directions(x), _directions(y)).square() / 2

    def apart(self, distances: Distances) -> Distances:
        return (2 * distances).sqrt()


def _directions(rows: Rows) -> Float[Tensor, "n d"]:
    exact = rows.double()
    most = exact.abs().amax(dim=1, keepdim=True)
    if bool((most == 0).any()):
        raise DataError("a row of zeros has no direction, and no cosine to others; leave such items out.")
    exact = exact / most
    return exact / between(exact.clone(), torch.zeros_like(exact))[:, None]


class Hamming:
    """The number of positions whose symbols differ: half the squared distance of vectors with a one for each symbol.

    A symbol that no query holds agrees with none. Of large alphabets symbols are compared one by one instead.

    Args:
        queries: all of them [n, positions].
        references: some of them [m, positions].
        precisions: of which the coarsest is taken that is exact.
    """

    def __init__(self, queries: Rows, references: Rows, precisions: Precisions) -> None:
        self.n_positions = references.shape[1]
        self.symbols = torch.unique(queries).long()
        half = self.n_positions <= EXACT_IN_HALF
        self.is_small = len(self.symbols) <= MOST_SYMBOLS
        self.precisions: Precisions
        if self.is_small:
            able = [p for p in precisions if p.dtype != torch.bfloat16 or half]
            self.precisions = (replace(able[0], summed=0.0, given=0.0, cut=0.0, lost=0.0),)
        else:
            self.precisions = (Precision(torch.float32, self._agreeing, 0.0, lost=0.0),)

    def hold(self, rows: Rows, precision: Precision, *, closely: bool = False) -> Held:
        return joined([self._hold(part, precision) for part in _in_parts(rows)])

    def _hold(self, rows: Rows, precision: Precision) -> Held:
        numbers = torch.searchsorted(self.symbols, rows.long().contiguous())
        numbers[self.symbols[numbers.clamp_max_(len(self.symbols) - 1)] != rows] = -1
        if self.is_small:
            every = torch.arange(len(self.symbols), device=rows.device)
            numbers = (numbers[:, :, None] == every).flatten(1)
        n = torch.full((len(rows),), float(self.n_positions), dtype=torch.float64, device=rows.device)
        return Held(numbers.to(precision.dtype), n.sqrt(), n / 2, torch.zeros_like(n), torch.zeros_like(n))

    def distances(self, x: Rows, y: Rows) -> Distances:
        return (x != y).sum(dim=1).double()

    def apart(self, distances: Distances) -> Distances:
        return (2 * distances).sqrt()

    def _agreeing(self, x: Float[Tensor, "n positions"], y: Float[Tensor, "m positions"]) -> Float[Tensor, "n m"]:
        """How many positions agree: "norm 0" counts those that differ. What is unknown agrees with nothing."""
        return self.n_positions - torch.cdist(x, y, p=0)


def _in_parts(rows: Rows) -> tuple[Rows, ...]:
    return torch.split(rows, max(1, AT_ONCE // rows.shape[1]))


METRICS: dict[MetricName, Callable[[Rows, Rows, Precisions], Metric]] = {
    "euclidean": Euclidean,
    "cosine": Cosine,
    "hamming": Hamming,
}
