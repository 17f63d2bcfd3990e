"""What a probe is: a question that is put to a model, or to its samples, and changes neither."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from taumem.analysis import exact_interval
from taumem.analysis.shares import CHANCE_KNOWN_TO, FEWEST_HELDOUT
from taumem.data.items import as_items, as_symbols
from taumem.diffusion import Denoiser, Diffusion, GaussianDiffusion, TokenDiffusion
from taumem.errors import ConfigError, DataError, TaumemWarning
from taumem.probes.isolation import undisturbed
from taumem.randomness import generator_for
from taumem.record import CopyRule, Estimate, Reading
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = [
    "BLOCK",
    "CountsCopies",
    "GoesOnFromSamples",
    "ItemLoss",
    "Probe",
    "SampleProbe",
    "Sampler",
    "chance_of",
    "check_times",
    "draw_samples",
    "in_blocks",
    "items_for",
    "mean",
    "share",
    "variance_of_sum",
]

ItemLoss = Callable[[Denoiser, Batch, Times, Tensor], PerItem]
"""The loss of each item: (denoiser, x0, t, noise) -> [batch]. ``Diffusion.loss`` is one; a trainer's own is another."""

Sampler = Callable[[Denoiser, Generator], Items]
"""Generates samples: (denoiser, generator) -> [n, ...]."""


BLOCK = 256
"""Items that a model looks at together, unless a probe is asked to use another number."""


class Probe(Protocol):
    """A question to a denoiser. One that draws owns its seed, and draws the same at every look."""

    @property
    def settings(self) -> dict[str, Any]:
        """What must be known to judge its numbers, as JSON: diffusion times, seed, numbers of items, thresholds."""
        ...

    def measure(self, denoiser: Denoiser) -> Reading:
        """Answer; the denoiser stays as it is."""
        ...


class SampleProbe(Protocol):
    """A question to samples of a denoiser. One that draws owns its seed, and draws the same at every look."""

    @property
    def settings(self) -> dict[str, Any]:
        """What must be known to judge its numbers, as JSON: thresholds, numbers of items, seed."""
        ...

    def measure(self, samples: Items) -> Reading:
        """Answer."""
        ...


@runtime_checkable
class GoesOnFromSamples(Probe, Protocol):
    """A probe that draws samples first: where these very ones are there already, it goes on from them."""

    sampler: Sampler
    seed: int

    def measure_from(self, denoiser: Denoiser, samples: Items) -> Reading:
        """Answer, from the samples that ``draw_samples(sampler, denoiser, seed)`` gives."""
        ...


@runtime_checkable
class CountsCopies(Protocol):
    """A probe that counts copies."""

    @property
    def copy_rule(self) -> CopyRule:
        """When a sample counts as one."""
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
    """Estimate a share of n items, with its exact interval.

    Raises:
        ConfigError: there are no items, or fewer than were counted.
    """
    if n < 1:
        raise ConfigError(f"{quantity} is a share of items; got none to count among.")
    low, high = exact_interval(count, n, confidence)
    return Estimate(quantity=quantity, value=count / n, low=low, high=high, confidence=confidence, count=n)


def chance_of(quantity: str, count: int, n: int) -> Estimate:
    """Estimate the share of held-out items that look like copies, and warn where it may be high.

    Warns:
        TaumemWarning: the upper end of its exact 95 % interval is above 5 %.
    """
    chance = share(quantity, count, n)
    if chance.high is not None and chance.high > CHANCE_KNOWN_TO:
        few = (
            f"hold out at least {FEWEST_HELDOUT} items"
            if n < FEWEST_HELDOUT
            else "near-duplicates may be on both sides"
        )
        warnings.warn(
            f"{count} of {n} held-out items count as copies, though they copy nothing: chance may be up to "
            f"{chance.high:.0%}, and fewer copies than that show nothing; {few}.",
            TaumemWarning,
            stacklevel=3,
        )
    return chance


def items_for(diffusion: Diffusion, given: object, what: str) -> Items:
    """Take items that a diffusion can corrupt: floats for Gaussian noise, symbols of its vocabulary for tokens.

    Raises:
        DataError: they are none.
    """
    if isinstance(diffusion, TokenDiffusion):
        return as_symbols(given, what, vocabulary=diffusion.vocabulary)
    items = as_items(given, what)
    if isinstance(diffusion, GaussianDiffusion) and not items.is_floating_point():
        raise DataError(
            f"{what} are {items.dtype}; Gaussian noise is added to floats: images of bytes by x / 127.5 - 1."
        )
    return items


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


def check_times(times: Sequence[float]) -> None:
    """Refuse diffusion times at which a probe cannot ask.

    Raises:
        ConfigError: no time, or one outside (0, 1).
    """
    if not times or not all(0 < t < 1 for t in times):
        raise ConfigError(f"a probe asks at diffusion times between 0 and 1, at least one; got {list(times)}.")


def in_blocks(ask: Callable[..., Tensor], block: int, *rows: Tensor) -> Tensor:
    """Ask about ``block`` items at a time, so that memory does not grow with their number, and join the answers.

    Args:
        ask: answers row by row: from as many rows of each tensor, as many rows.
        block: items at a time, at least 1. It changes answers by rounding only.
        rows: what to ask about, each tensor [n, ...].

    Raises:
        ConfigError: a block below 1.
    """
    if block < 1:
        raise ConfigError(f"a model looks at a block of at least 1 item at a time; got block = {block}.")
    return torch.cat([ask(*part) for part in zip(*(torch.split(tensor, block) for tensor in rows), strict=True)])


def draw_samples(sampler: Sampler, denoiser: Denoiser, seed: int) -> Items:
    """Draw samples from the noise that belongs to a seed: the same for every model, and at every look.

    Raises:
        DataError: the sampler gives no items, or some that are not finite.
    """
    with undisturbed(denoiser):
        return as_items(sampler(denoiser, generator_for(seed, "samples")), "samples", least=1)
