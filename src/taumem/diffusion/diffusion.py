"""What a diffusion process is, whatever its noise: the protocol that images and tokens share."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor

from taumem.diffusion.denoiser import Denoiser
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = ["Diffusion", "stratified_times"]


@runtime_checkable
class Diffusion(Protocol):
    """A corruption of data in time, and its reversal. Time runs from t = 0 (data) to t = 1 (noise)."""

    def noise(self, x0: Batch, generator: Generator) -> Tensor:
        """Draw all the randomness that corrupts these items: keep it, and the same noise serves again."""
        ...

    def corrupt(self, x0: Batch, t: Times, noise: Tensor) -> Batch:
        """Draw xt from q(xt | x0) with the given noise."""
        ...

    def prior(self, n: int, item_shape: tuple[int, ...], generator: Generator) -> Batch:
        """Draw n items from the distribution at t = 1, on the generator's device."""
        ...

    def loss(self, denoiser: Denoiser, x0: Batch, t: Times, noise: Tensor) -> PerItem:
        """Give the training loss of each item, never reduced over the batch."""
        ...

    def reverse(self, denoiser: Denoiser, xt: Batch, t: float, s: float, generator: Generator) -> Batch:
        """Draw xs from the model's p(xs | xt), for an earlier time s < t."""
        ...

    def log_prob(self, xt: Batch, x0: Items, t: Times) -> Float[Tensor, "batch n"]:
        """Give log q(xt | x0) under each candidate x0, up to a constant of xt and t, the same for all candidates."""
        ...

    def average(self, weights: Float[Tensor, "batch n"], x0: Items) -> Shaped[Tensor, "batch ..."]:
        """Give the prediction that candidates with these weights make together (weights sum to at most 1)."""
        ...


def stratified_times(n: int, generator: Generator) -> Times:
    """Draw n diffusion times from [0, 1), one in each of n equal strata, in random order.

    Each time is uniform on its own; together they cover the range evenly, which lowers the variance of a batch's loss.
    """
    device = generator.device
    strata = torch.randperm(n, generator=generator, device=device)
    return (strata + torch.rand(n, generator=generator, device=device)) / n
