"""What a probe is: a question that is put to a model, or to its samples, and changes neither."""

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Float
from scipy import stats
from torch import Generator, Tensor

from taumem.diffusion import Denoiser
from taumem.record import Estimate, Reading
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = ["ItemLoss", "Probe", "SampleProbe", "Sampler", "mean", "share"]

ItemLoss = Callable[[Denoiser, Batch, Times, Tensor], PerItem]
"""The loss of each item: (denoiser, x0, t, noise) -> [batch]. ``Diffusion.loss`` is one; a trainer's own is another."""

Sampler = Callable[[Denoiser, Generator], Items]
"""Generates samples: (denoiser, generator) -> [n, ...]."""


class Probe(Protocol):
    """A question to a denoiser."""

    def measure(self, denoiser: Denoiser, generator: Generator) -> Reading:
        """Answer. Every random draw comes from the generator; the denoiser stays as it is."""
        ...


class SampleProbe(Protocol):
    """A question to samples of a denoiser."""

    def measure(self, samples: Items, denoiser: Denoiser, generator: Generator) -> Reading:
        """Answer. The generator is in the state in which the samples' own generator was before it drew them."""
        ...


def mean(quantity: str, values: Float[Tensor, "n"], *, t: float | None = None, keep_items: bool = False) -> Estimate:
    """Estimate an average over items, with its standard error."""
    values = values.double()
    n = len(values)
    return Estimate(
        quantity=quantity,
        t=t,
        value=float(values.mean()),
        se=float(values.std() / n**0.5) if n > 1 else None,
        count=n,
        items=tuple(float(f"{v:.7g}") for v in values.tolist()) if keep_items else None,
    )


def share(quantity: str, count: int, n: int, *, level: float = 0.95) -> Estimate:
    """Estimate a share of n items, with the exact two-sided interval of Clopper and Pearson at the given level.

    Reference: Clopper & Pearson 1934.
    """
    interval = stats.binomtest(count, n).proportion_ci(level, method="exact")
    return Estimate(quantity=quantity, value=count / n, low=float(interval.low), high=float(interval.high), count=n)
