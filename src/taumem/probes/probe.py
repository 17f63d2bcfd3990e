"""What a probe is: a question that is put to a model, or to its samples, and changes neither."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from jaxtyping import Float
from scipy import stats
from torch import Generator, Tensor, nn

from taumem.diffusion import Denoiser
from taumem.errors import ConfigError
from taumem.record import Estimate, Reading
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = [
    "ItemLoss",
    "Probe",
    "SampleProbe",
    "Sampler",
    "check_levels",
    "mean",
    "share",
    "undisturbed",
    "variance_of_sum",
]

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


def share(quantity: str, count: int, n: int, *, confidence: float = 0.95) -> Estimate:
    """Estimate a share of n items, with the exact two-sided interval of Clopper and Pearson at the given confidence.

    Reference: Clopper & Pearson 1934.
    """
    interval = stats.binomtest(count, n).proportion_ci(confidence, method="exact")
    return Estimate(
        quantity=quantity,
        value=count / n,
        low=float(interval.low),
        high=float(interval.high),
        confidence=confidence,
        count=n,
    )


def variance_of_sum(a: Float[Tensor, "n"], b: Float[Tensor, "m"]) -> float | None:
    """Estimate the variance of mean(a) + mean(b), where values at the same place may share their noise.

    It is var(a) / n + var(b) / m + 2 k cov(a, b) / (n m), with k = min(n, m) pairs; None where n or m is 1.
    """
    a, b = a.double(), b.double()
    n, m = len(a), len(b)
    if (k := min(n, m)) < 2:
        return None
    shared = torch.cov(torch.stack([a[:k], b[:k]]))[0, 1]
    return max(float(a.var() / n + b.var() / m + 2 * k * shared / (n * m)), 0.0)


def check_levels(levels: Sequence[float]) -> None:
    """Refuse diffusion times at which a probe cannot ask.

    Raises:
        ConfigError: no level, or one outside (0, 1).
    """
    if not levels or not all(0 < t < 1 for t in levels):
        raise ConfigError(f"levels are diffusion times between 0 and 1, at least one; got {list(levels)}.")


@contextmanager
def undisturbed(denoiser: Denoiser) -> Iterator[None]:
    """Look without touching: inside, evaluation mode and no gradients; after, every module's own mode as it was.

    Torch's global random state is put back too: a trainer's own loss may draw from it.
    """
    modes = [(m, m.training) for m in denoiser.modules()] if isinstance(denoiser, nn.Module) else []
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices), torch.no_grad():
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training
