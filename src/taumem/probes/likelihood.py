"""How many bits a symbol costs under a model of tokens: the bound on its likelihood, on each set."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from taumem.diffusion import AutoregressiveDiffusion, Denoiser, MaskedDiffusion, TokenDiffusion, UniformDiffusion
from taumem.diffusion.keeping import time_when
from taumem.errors import ConfigError
from taumem.probes.isolation import undisturbed
from taumem.probes.probe import BLOCK, in_blocks, items_for, mean
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["BitsPerSymbol"]

GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, without their whole part, lie evenly in [0, 1), however many there are."""


class BitsPerSymbol:
    """Measures the bound on -log2 p(x0), in bits per symbol, of each set: ``train_bits``, ``heldout_bits``, ...

    It is the bound of the diffusion's own corruption, whichever loss the model is trained with: ``elbo`` of
    :class:`MaskedDiffusion`, ``kl`` of :class:`UniformDiffusion` with its constant. An exact denoiser reaches the
    entropy of the data, and the empirical optimum log2(P) / d on its own P training items of d positions each. Of an
    autoregressive model it is no bound but -log2 p(x0) itself, from one look.

    **Masks.** A bound over random times has large errors, since the weight grows as 1/t. With u = 1 - alpha_t, and k
    of the d positions masked, it is the same whether u comes first or k,

        (1/u) Binomial(k; d, u) du = (1/k) Beta(u; k, d + 1 - k) du,

    so here k comes first, each of 1, ..., d as often as any other; then the time at which, under uniform noise, the
    k-th position is masked; and the loss is the mean over the k masked positions, with no weight at all:

        -log p(x0) / d <= E_k [(1/k) sum_masked -log p(x0_i | xt)].

    No schedule and no smallest time enters but by the time that the model is told.

    **Noise.** Each item meets ``n_times`` corruptions, spread evenly over k (or over t), in pairs of opposite noise:
    what is masked first in one is masked last in the other. Item i of every set meets the same ones at every step, and
    items one after another lie evenly between each other's. So the standard error, which is the items', is not below
    the true one.

    Args:
        diffusion: of tokens; its weighting is not used.
        sets: items of each set by name, of one shape.
        n_times: corruptions of each item, at least 1.
        seed: of the noise.
        block: items that the model looks at together.
        baselines: bits per symbol that other models take on the held-out set, by name: ``heldout_bits_NAME`` is
            recorded beside; given item by item, [n], with its error.

    Raises:
        ConfigError: no diffusion of tokens, uniform noise without steps, no times, or a set that is empty or of another
            shape.
        DataError: texts that are no symbols of the diffusion's vocabulary.

    Reference: Shi et al. 2024, arXiv 2406.04329, equation 4; Hoogeboom et al. 2022, arXiv 2110.02037 (over k); Austin
    et al. 2021, arXiv 2107.03006 (uniform noise).
    """

    def __init__(
        self,
        diffusion: TokenDiffusion,
        sets: Mapping[str, Items],
        *,
        n_times: int = 8,
        seed: int = 0,
        block: int = BLOCK,
        baselines: Mapping[str, float | Float[Tensor, "n"]] | None = None,
    ) -> None:
        if not isinstance(diffusion, TokenDiffusion):
            raise ConfigError(f"bits per symbol are those of tokens; got {type(diffusion).__name__}.")
        if n_times < 1:
            raise ConfigError(f"bits per symbol need at least 1 corruption of each item; got n_times = {n_times}.")
        sets = {name: items_for(diffusion, items, f"texts of '{name}'") for name, items in sets.items()}
        if not sets or not all(map(len, sets.values())) or len({items.shape[1:] for items in sets.values()}) > 1:
            shapes = {name: tuple(items.shape) for name, items in sets.items()}
            raise ConfigError(f"bits per symbol need items of one shape in each set; got {shapes}.")
        self.diffusion: TokenDiffusion
        if isinstance(diffusion, MaskedDiffusion):
            self.diffusion = replace(diffusion, weighting="x0", t_min=torch.finfo(torch.float32).tiny)
        elif isinstance(diffusion, AutoregressiveDiffusion):
            self.diffusion, n_times = replace(diffusion, weighting="all"), 1
        else:
            self.diffusion = replace(diffusion, weighting="kl")
        self.sets = sets
        self.n_times = n_times
        self.seed = seed
        self.block = block
        self.baselines = dict(baselines or {})
        self._longest = max(self.sets.values(), key=len)

    @property
    def settings(self) -> dict[str, Any]:
        """The number of corruptions, the seed of their noise and the numbers of items."""
        n_items = {name: len(items) for name, items in self.sets.items()}
        return {"n_times": self.n_times, "seed": self.seed, "n_items": n_items}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Measure all sets, under the same noise at every look."""
        totals = {name: torch.zeros(len(items), dtype=torch.float64) for name, items in self.sets.items()}
        with undisturbed(denoiser):
            for corruption in self._corruptions():
                for name, items in self.sets.items():
                    corrupted = (part[: len(items)] for part in corruption)
                    totals[name] += in_blocks(partial(self._bits, denoiser), self.block, items, *corrupted)
        estimates = [mean(f"{name}_bits", total / self.n_times) for name, total in totals.items()]
        return Reading((*estimates, *self._of_the_others()))

    def _bits(
        self,
        denoiser: Denoiser,
        items: Items,
        t: Float64[Tensor, "n"],
        noise: Float[Tensor, "n ..."],
        weight: Float64[Tensor, "n"],
    ) -> Float64[Tensor, "n"]:
        losses = self.diffusion.loss(denoiser, items, t.float().to(items.device), noise.to(items.device))
        return (losses.cpu().double() * weight + _constant(self.diffusion)) / math.log(2)

    def _corruptions(self) -> Iterator[tuple[Float64[Tensor, "n"], Float[Tensor, "n ..."], Float64[Tensor, "n"]]]:
        """Give, one corruption after another, each item's time, noise and weight; items of smaller sets come first."""
        n = len(self._longest)
        between = (torch.arange(n, dtype=torch.float64) * GOLDEN + _uniform(self.seed, "between")) % 1
        for repeat in range(self.n_times):
            opposite = self.n_times - 1 - repeat
            # In memory of the run only: drawn again at each look, and the same again.
            generator = generator_for(self.seed, "likelihood", min(repeat, opposite))
            noise = self.diffusion.noise(self._longest.cpu(), generator)
            place = (min(repeat, opposite) + between) / self.n_times
            yield self._corruption(1 - place, 1 - noise) if repeat > opposite else self._corruption(place, noise)

    def _corruption(
        self, place: Float64[Tensor, "n"], noise: Float[Tensor, "n ..."]
    ) -> tuple[Float64[Tensor, "n"], Float[Tensor, "n ..."], Float64[Tensor, "n"]]:
        if not isinstance(self.diffusion, MaskedDiffusion):
            return place, noise, torch.ones_like(place)
        d = noise[0].numel()
        ranked, order = noise.flatten(1).double().sort(dim=1)
        k = (place * d).long().clamp(max=d - 1)[:, None]  # one less than the number of masked positions
        t = time_when(ranked.gather(1, k)[:, 0], self.diffusion.schedule)
        # -1 is always masked and 1 never: which positions are does not hang on how a time is rounded.
        sure = torch.where(torch.arange(d) <= k, -1.0, 1.0).to(noise.dtype)
        return t, torch.empty_like(sure).scatter_(1, order, sure).reshape(noise.shape), d / (k[:, 0] + 1)

    def _of_the_others(self) -> Iterator[Estimate]:
        for name, bits in self.baselines.items():
            quantity = f"heldout_bits_{name}"
            if isinstance(bits, Tensor):
                yield mean(quantity, bits)
            else:
                yield Estimate(quantity=quantity, value=float(bits), count=len(self.sets.get("heldout", ())))


def _uniform(seed: int, purpose: str) -> float:
    return float(torch.rand((), generator=generator_for(seed, "likelihood", purpose), dtype=torch.float64))


def _constant(diffusion: TokenDiffusion) -> float:
    """Give KL(q(x1 | x0) || prior) for each position, in nats; under masks there is none."""
    if not isinstance(diffusion, UniformDiffusion):
        return 0.0
    v = diffusion.vocabulary
    kept, lost = (float(scale) for scale in diffusion.schedule(torch.ones(1, dtype=torch.float64)))
    return sum(n * p * math.log(p * v) for n, p in ((1, kept + lost / v), (v - 1, lost / v)) if p > 0)
