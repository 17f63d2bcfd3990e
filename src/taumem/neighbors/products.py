"""Matrix products in low precision, with what each may be off by, and which of them is fast on this machine.

A product in bfloat16 takes a fraction of the time of one in single precision where the processor has instructions for
it. All that a search must know of a product is a bound on its errors; which one was taken never shows in a result.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["DOUBLE", "HALF", "SINGLE", "Precision", "precisions"]

Multiply = Callable[[Tensor, Tensor], Tensor]
WORTH = 0.7
"""A coarser precision is tried first where its product takes at most this share of the next finer one's time."""
CLEARLY = 0.9
"""A way to multiply is preferred to one before it if it takes at most this share of its time."""
TRIAL, TURNS = (512, 1024), 8
"""Rows and coordinates of the products that are timed once in a process, and how often: others may be at work."""
LONGEST = 0.3
"""Seconds after which no other turn begins."""


@dataclass(frozen=True)
class Precision:
    """How rows are held while they are multiplied, and how far a product may be from the exact one of the held rows.

    Attributes:
        dtype: of the rows.
        multiply: [n, d] by [m, d] to [n, m].
        summed: a sum of d products is off by at most (d + 16) times this, relative to both norms.
        cut: numbers may lose this share of themselves on their way into the product.
        given: the result is rounded once more, by at most this share of itself.
        largest: norms of rows whose products stay finite.
        lost: products of two numbers below this may be lost.
    """

    dtype: torch.dtype
    multiply: Multiply
    summed: float
    given: float = 0.0
    cut: float = 0.0
    largest: float = 2.0**60
    lost: float = 2.0**-60

    def off(self, d: int) -> float:
        """How far a product of rows of d numbers may be off before it is given, over both norms."""
        return self.summed * (d + 16) + self.cut * (2 + self.cut)


def by_torch(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    """The product by whatever library torch was built with."""
    return x @ y.T


HALF = Precision(torch.bfloat16, by_torch, 2.0**-23, given=2.0**-8)
SINGLE = Precision(torch.float32, by_torch, 2.0**-23)
DOUBLE = Precision(torch.float64, by_torch, 2.0**-52, largest=2.0**500, lost=2.0**-500)


def precisions(device: torch.device, *, is_small: bool = False) -> tuple[Precision, ...]:
    """The precisions to search in, the coarsest first; the last is double precision.

    Args:
        device: where the rows are.
        is_small: whether the search takes no longer than it would to find out what is fast here.
    """
    # What is fast depends on the number of threads.
    half, way = (None, by_torch) if is_small else _fastest(device.type, torch.get_num_threads())
    # In reduced precision, which others may switch on at any time (TF32 and the like), at least bfloat16's is kept.
    single = replace(SINGLE, multiply=way, cut=0.0 if _keeps_all(way, device) else 2.0**-7)
    return (single, DOUBLE) if half is None else (half, single, DOUBLE)


def _keeps_all(way: Multiply, device: torch.device) -> bool:
    """Whether numbers enter a product with all their digits. Tried, since torch has several settings that forbid it."""
    x = torch.full((64, 64), 1 + 2.0**-20, dtype=torch.float32, device=device)
    return bool((way(x, torch.eye(64, dtype=torch.float32, device=device)) == x).all())


@cache
def _fastest(device: str, threads: int) -> tuple[Precision | None, Multiply]:
    """Half precision, where it is worth it, and the fastest way to multiply in single precision."""
    # An accelerator may round sums on the way if their result is rounded: there it must not be.
    half = HALF if device == "cpu" else replace(HALF, multiply=_to_single, given=0.0)
    # That of numpy comes last: it does not keep to the number of threads that torch is told.
    ways = [_by_onednn, by_torch, _by_numpy] if device == "cpu" else [by_torch]
    tried = [(half.multiply, half.dtype), *((way, torch.float32) for way in ways)]
    seconds_of_half, *seconds = _shortest(tried, device)
    way = next(way for way, took in zip(ways, seconds, strict=True) if took <= min(seconds) / CLEARLY)
    return (half if seconds_of_half < WORTH * min(seconds) else None), way


def _to_single(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return torch.mm(x, y.T, out_dtype=torch.float32)


def _by_numpy(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return torch.from_numpy(x.numpy() @ y.numpy().T)


def _by_onednn(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    made: Tensor = torch.ops.mkldnn._linear_pointwise(x, y, None, "none", [], "")
    return made


def _shortest(ways: Sequence[tuple[Multiply, torch.dtype]], device: str) -> list[float]:
    """The shortest seconds of each way to multiply, in turns; infinite for one that this build of torch lacks."""
    best, began = [float("inf")] * len(ways), time.perf_counter()
    for turn in range(TURNS):
        if turn > 1 and time.perf_counter() - began > LONGEST:
            break
        for k, (way, dtype) in enumerate(ways):
            x = torch.ones(TRIAL, dtype=dtype, device=device)
            now = time.perf_counter()
            try:
                is_right = float(way(x, x)[0, 0]) == TRIAL[1]  # which waits for an accelerator
            except (AttributeError, NotImplementedError, RuntimeError, TypeError):
                continue
            if is_right:  # and not a sum that stopped where its rounding outgrew the next term
                best[k] = min(best[k], time.perf_counter() - now)
    return best
