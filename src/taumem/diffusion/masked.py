"""Masked diffusion of tokens (absorbing noise): symbols are hidden one by one, and found again in any order."""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.gaussian import per_item
from taumem.diffusion.keeping import CosineKeeping, KeepSchedule, Polynomial, time_when
from taumem.diffusion.tokens import (
    LogProbs,
    MaskedTokens,
    Tokens,
    average_tokens,
    check_tokens,
    draw,
    joint_log_prob,
    one_hot_log,
    predict,
)
from taumem.errors import ConfigError
from taumem.shapes import PerItem, Times

__all__ = ["MaskedDiffusion", "complete_in_any_order", "cosine_grid", "sample_in_any_order"]


@dataclass(frozen=True)
class MaskedDiffusion(MaskedTokens):
    """Each symbol is kept with probability alpha_t, and replaced by a mask otherwise.

    Items are torch.long of any shape; xt has one more symbol, the mask. The loss of an item of d positions, in nats
    per position, is a cross-entropy over the positions that are masked in xt:

        elbo:  (-alpha'_t / (1 - alpha_t)) (1/d) sum_masked -log p(x0_i | xt)
        x0:                                (1/d) sum_masked -log p(x0_i | xt)

    Under ``elbo``, its mean over t (uniform in [0, 1]) and noise bounds -log p(x0) / d from above, whatever the
    schedule, and is the entropy per position for a denoiser that is exact; divided by log 2, it is bits per symbol.

    Args:
        vocabulary: number of symbols, without the mask.
        schedule: alpha_t.
        weighting: which of the two losses.
        t_min: the smallest diffusion time at which the loss is taken; smaller ones are raised to it, since the weight
            grows as 1/t. Under 1 - t^e it biases the bound by a share of about (e - 1) t_min^e: of the order of t_min^2
            where e is 1, much more where it is small.

    Raises:
        ConfigError: fewer than one symbol, an unknown weighting, or a t_min outside (0, 1).

    Reference: Shi et al. 2024, arXiv 2406.04329 (MD4); Austin et al. 2021, arXiv 2107.03006 (absorbing noise).
    """

    schedule: KeepSchedule = field(default_factory=Polynomial)
    weighting: Literal["elbo", "x0"] = "elbo"
    t_min: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weighting not in ("elbo", "x0"):
            raise ConfigError(f"weighting must be 'elbo' or 'x0'; got {self.weighting!r}.")
        if not 0 < self.t_min < 1:
            raise ConfigError(f"t_min, the smallest diffusion time of the loss, lies in (0, 1); got {self.t_min}.")

    def noise(self, x0: Tokens, generator: Generator) -> Float[Tensor, "batch *item"]:
        """Draw a uniform number for each position: it is masked as soon as 1 - alpha_t exceeds it.

        So under the same noise, what is masked at one time is masked at all later ones.
        """
        return torch.rand(x0.shape, generator=generator, device=x0.device, dtype=torch.float32)

    def corrupt(self, x0: Tokens, t: Times, noise: Float[Tensor, "batch *item"]) -> Tokens:
        """Mask the positions whose noise is below 1 - alpha_t.

        Raises:
            DataError: x0 is not of type torch.long.
        """
        check_tokens(x0)
        return torch.where(noise < per_item(self.schedule(t)[1], x0), self.mask, x0)

    def loss(self, denoiser: Denoiser, x0: Tokens, t: Times, noise: Float[Tensor, "batch *item"]) -> PerItem:
        """Give the weighted cross-entropy of each item over its masked positions, in nats per position.

        Raises:
            DataError: x0 is not of type torch.long.
            ConfigError: the denoiser's answer is not of shape [batch, ..., vocabulary].
        """
        t = t.clamp(min=self.t_min)
        xt = self.corrupt(x0, t, noise)
        log_x0 = predict(denoiser, xt, t, self.vocabulary)
        surprise = -log_x0.gather(-1, x0[..., None])[..., 0]
        return self._weight(t) * torch.where(xt == self.mask, surprise, 0).flatten(1).mean(dim=1)

    def posterior(self, log_x0: LogProbs, xt: Tokens, t: Times, s: Times) -> Float[Tensor, "batch *item symbols"]:
        """Give log p(xs | xt) for s < t, when x0 given xt is distributed as predicted: -inf for what cannot be.

            masked xt:  the mask with probability (1 - alpha_s) / (1 - alpha_t), else a symbol from the prediction
            other xt:   xs = xt, whatever the prediction

        Args:
            log_x0: a denoiser's prediction.
            xt: what it was asked about.
            t: diffusion times, in (0, 1].
            s: earlier ones, in [0, t].
        """
        still = per_item(self.schedule(s)[1] / self.schedule(t)[1], xt)[..., None].clamp(0, 1)
        hidden = torch.cat([log_x0 + (1 - still).log(), still.log().expand(*xt.shape, 1)], dim=-1)
        return torch.where((xt == self.mask)[..., None], hidden, one_hot_log(xt, self.symbols, hidden.dtype))

    def reverse(self, denoiser: Denoiser, xt: Tokens, t: float, s: float, generator: Generator) -> Tokens:
        """Step from t to an earlier s: each mask falls with probability (alpha_s - alpha_t) / (1 - alpha_t).

        Positions found in one step are drawn independently of each other, which is exact only for small steps;
        :func:`sample_in_any_order` has no such error. A step to s = 0 leaves no mask.
        """
        log_x0 = predict(denoiser, xt, torch.full((len(xt),), t, device=xt.device), self.vocabulary)
        # In double precision: alpha_s - alpha_t is the small difference of neighbors on a fine grid.
        start, end = (torch.full((len(xt),), time, device=xt.device, dtype=torch.float64) for time in (t, s))
        return draw(self.posterior(log_x0, xt, start, end), generator)

    def log_likelihood(self, xt: Tokens, t: Times) -> LogProbs:
        """Give log q(xt_i | x0_i = a) for each symbol a: log alpha_t if xt_i is a, -inf if it is another one.

        A masked position gives log(1 - alpha_t) for all symbols. Where alpha_t is 0 or 1, the smallest normal number
        stands for a probability of 0, so that what is possible at no other time only (a symbol seen at t = 1, a mask at
        t = 0) still leaves a posterior, which does not depend on t anyway.
        """
        kept, lost = (per_item(_log(scale), xt)[..., None] for scale in self.schedule(t))
        seen = kept + one_hot_log(xt, self.symbols, kept.dtype)[..., : self.vocabulary]
        return torch.where((xt == self.mask)[..., None], lost, seen)

    def log_prob(self, xt: Tokens, x0: Int[Tensor, "n *item"], t: Times) -> Float[Tensor, "batch n"]:
        """Give log q(xt | x0) for each candidate x0: -inf for one that contradicts a symbol of xt."""
        return joint_log_prob(self.log_likelihood(xt, t), x0, t.dtype)

    def average(self, weights: Float[Tensor, "batch n"], x0: Int[Tensor, "n *item"]) -> LogProbs:
        """Give the log-probabilities of the mixture of the candidates.

        Weights that are all zero, or all NaN (the softmax where no candidate fits), give the uniform prediction.
        """
        return average_tokens(weights, x0, self.vocabulary)

    def _weight(self, t: Times) -> Times:
        return self.schedule.rate(t) / self.schedule(t)[1] if self.weighting == "elbo" else torch.ones_like(t)


@torch.no_grad()
def sample_in_any_order(
    diffusion: MaskedDiffusion, denoiser: Denoiser, n: int, item_shape: tuple[int, ...], generator: Generator
) -> Tokens:
    """Generate n items position by position, each item in a random order of its own: as many steps as positions.

    No two positions of an item are drawn at once, so that an exact denoiser draws exactly from its distribution. At
    each step the denoiser is told the time t at which, on average, as many positions are masked.

    Args:
        diffusion: whose reversal it is.
        denoiser: the model.
        n: how many items.
        item_shape: the shape of one item.
        generator: of every random draw, on the device where the items are wanted.

    Reference: Hoogeboom et al. 2022, arXiv 2110.02037.
    """
    return complete_in_any_order(diffusion, denoiser, diffusion.prior(n, item_shape, generator), generator)


@torch.no_grad()
def complete_in_any_order(diffusion: MaskedDiffusion, denoiser: Denoiser, xt: Tokens, generator: Generator) -> Tokens:
    """Find the masked symbols of each item, one after another in a random order of its own; the others stay.

    As :func:`sample_in_any_order`, which starts from masks alone: each symbol is drawn given all that are there.

    Args:
        diffusion: whose reversal it is.
        denoiser: the model.
        xt: items of which some symbols are masked, others not.
        generator: of every random draw, on the items' device.
    """
    x, positions = xt.flatten(1), math.prod(xt.shape[1:])
    masked = x == diffusion.mask
    n_masked = masked.sum(dim=1)
    drawn = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float64)
    order = drawn.masked_fill(~masked, math.inf).argsort(dim=1)
    lost = 1 - torch.arange(positions, dtype=torch.float64) / positions
    times = time_when(lost, diffusion.schedule).to(x.device, torch.float32)
    for k in range(int(n_masked.max()) if len(x) else 0):
        asked = (n_masked > k).nonzero()[:, 0]
        items = x[asked].reshape(-1, *xt.shape[1:])
        log_x0 = predict(denoiser, items, times[positions - n_masked[asked] + k], diffusion.vocabulary).flatten(1, -2)
        place = order[asked, k, None]
        found = draw(log_x0.take_along_dim(place[..., None], dim=1), generator)
        x = x.index_copy(0, asked, x[asked].scatter(1, place, found))
    return x.reshape(xt.shape)


def cosine_grid(schedule: KeepSchedule, steps: int) -> list[float]:
    """Give the times of MD4's sampler: the k-th step ends with a share cos(pi k / (2 steps)) of the symbols masked.

    So the first steps, which know least, find the fewest symbols at once. They are the times at which the schedule
    itself masks such shares, so that a denoiser that reads the time is asked about those it was trained at.

    Args:
        schedule: of the diffusion whose samples are wanted.
        steps: how many, at least 1.

    Raises:
        ConfigError: fewer than one step.

    Reference: Shi et al. 2024, arXiv 2406.04329.
    """
    if steps < 1:
        raise ConfigError(f"sampling needs at least 1 step; got {steps}.")
    _, lost = CosineKeeping()(torch.linspace(1, 0, steps + 1, dtype=torch.float64)[1:-1])
    return [1.0, *time_when(lost, schedule).tolist(), 0.0]


def _log(probability: Times) -> Times:
    """Give log max(p, the smallest normal number)."""
    return probability.clamp(min=torch.finfo(probability.dtype).tiny).log()
