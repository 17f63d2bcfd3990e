"""Uniform diffusion of tokens: symbols are redrawn at random, and nothing marks which ones."""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.gaussian import per_item
from taumem.diffusion.keeping import KeepSchedule, LinearBetas, Polynomial
from taumem.diffusion.tokens import (
    LogProbs,
    Tokens,
    average_tokens,
    check_tokens,
    draw,
    joint_log_prob,
    one_hot,
    one_hot_log,
    predict,
)
from taumem.errors import ConfigError
from taumem.shapes import PerItem, Times

__all__ = ["UniformDiffusion"]


@dataclass(frozen=True)
class UniformDiffusion:
    """Each symbol is kept with probability alpha_t, and redrawn uniformly from the v symbols otherwise.

        q(xt | x0) = alpha_t 1[xt = x0] + (1 - alpha_t) / v

    Items are torch.long of any shape. The loss of an item of d positions is, in nats per position,

        x0:  (1/d) sum_i -log p(x0_i | xt), the cross-entropy at time t
        kl:  (steps/d) sum_i KL(q(xs_i | xt_i, x0_i) || p(xs_i | xt)), s = t - 1/steps, with t raised to a step

    where p(xs | xt) averages q(xs | xt, x0) over the predicted x0. Under ``kl`` its mean over t, plus
    KL(q(x1 | x0) || uniform) / d, bounds -log p(x0) / d from above. (The authors' code gives it without the
    factor ``steps``, and multiplies the prediction into the posterior's formula where this one averages posteriors; of
    the two, only the average is best where the prediction is the posterior of x0, as every denoiser here promises.)

    Args:
        vocabulary: v, the number of symbols.
        schedule: alpha_t; continuous, or the discrete one of the grammar experiments, :class:`LinearBetas`.
        weighting: which of the two losses.
        steps: number of steps of the ``kl`` loss; None takes the schedule's own, where it has one.

    Raises:
        ConfigError: fewer than two symbols, an unknown weighting, or ``kl`` without steps.

    Reference: Austin et al. 2021, arXiv 2107.03006 (D3PM); Favero et al. 2025, arXiv 2505.16959 (on the grammar).
    """

    vocabulary: int
    schedule: KeepSchedule = field(default_factory=Polynomial)
    weighting: Literal["x0", "kl"] = "x0"
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.vocabulary < 2:
            raise ConfigError(f"uniform noise needs a vocabulary of at least 2 symbols; got {self.vocabulary}.")
        if self.weighting not in ("x0", "kl"):
            raise ConfigError(f"weighting must be 'x0' or 'kl'; got {self.weighting!r}.")
        if self.weighting == "kl" and self._n_steps() is None:
            raise ConfigError(
                "the 'kl' loss compares neighboring steps: give their number (diffusion.steps), or a schedule that has "
                "steps, LinearBetas() (diffusion.schedule = 'linear-betas')."
            )
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"the 'kl' loss needs at least 1 step; got {self.steps}.")

    @property
    def mask(self) -> None:
        """There is none: nothing in xt tells a symbol of the data from one that was redrawn."""
        return None

    @property
    def symbols(self) -> int:
        """How many symbols xt may have: the vocabulary."""
        return self.vocabulary

    def noise(self, x0: Tokens, generator: Generator) -> Float[Tensor, "batch *item 2"]:
        """Draw two uniform numbers for each position: one says when the symbol is redrawn, the other as what.

        So under the same noise, what is redrawn at one time is redrawn as the same symbol at all later ones.
        """
        return torch.rand((*x0.shape, 2), generator=generator, device=x0.device, dtype=torch.float32)

    def corrupt(self, x0: Tokens, t: Times, noise: Float[Tensor, "batch *item 2"]) -> Tokens:
        """Redraw the positions whose first noise is below 1 - alpha_t: their second one says as what.

        Raises:
            DataError: x0 is not of type torch.long.
        """
        check_tokens(x0)
        # Single precision may round (1 - 2^-24) v up to v.
        redrawn = (noise[..., 1] * self.vocabulary).long().clamp(max=self.vocabulary - 1)
        return torch.where(noise[..., 0] < per_item(self.schedule(t)[1], x0), redrawn, x0)

    def prior(self, n: int, item_shape: tuple[int, ...], generator: Generator) -> Tokens:
        """Draw n items of uniform symbols."""
        return torch.randint(self.vocabulary, (n, *item_shape), generator=generator, device=generator.device)

    def loss(self, denoiser: Denoiser, x0: Tokens, t: Times, noise: Float[Tensor, "batch *item 2"]) -> PerItem:
        """Give the loss of each item, averaged over all its positions, in nats.

        Raises:
            DataError: x0 is not of type torch.long.
            ConfigError: the denoiser's answer is not of shape [batch, ..., vocabulary].
        """
        if self.weighting == "kl" and (steps := self._n_steps()) is not None:
            return self._kl(denoiser, x0, t, noise, steps)
        log_x0 = predict(denoiser, self.corrupt(x0, t, noise), t, self.vocabulary)
        return -log_x0.gather(-1, x0[..., None])[..., 0].flatten(1).mean(dim=1)

    def posterior(self, log_x0: LogProbs, xt: Tokens, t: Times, s: Times) -> LogProbs:
        """Give log p(xs | xt) for s < t, when x0 given xt is distributed as predicted: -inf for what cannot be.

            p(xs = b | xt) = sum_a p(x0 = a | xt) q(xs = b | xt, x0 = a)
                           = q(xt | xs = b) sum_a q(xs = b | x0 = a) p(x0 = a | xt) / q(xt | x0 = a)

        Args:
            log_x0: a denoiser's prediction, normalized.
            xt: what it was asked about.
            t: diffusion times, in (0, 1].
            s: earlier ones, in [0, t].
        """
        (kept_t, lost_t), (kept_s, lost_s) = self.schedule(t), self.schedule(s)
        # By logarithms, so that a prediction of very small probabilities keeps a gradient.
        ratio = log_x0 - self.log_likelihood(xt, t)
        kept, lost = (per_item(scale, xt)[..., None] for scale in (kept_s, lost_s))
        spread = (lost / self.vocabulary).log() + ratio.logsumexp(dim=-1, keepdim=True)
        joint = self._log_transition(xt, kept_t / kept_s, (lost_t - lost_s) / kept_s)
        return torch.log_softmax(joint + torch.logaddexp(kept.log() + ratio, spread), dim=-1)

    def reverse(self, denoiser: Denoiser, xt: Tokens, t: float, s: float, generator: Generator) -> Tokens:
        """Step from t to an earlier s: each position is drawn from q(xs | xt, x0), averaged over the predicted x0.

        All positions are drawn independently of each other, which is exact only for small steps. A step to s = 0 draws
        from the prediction itself.
        """
        log_x0 = predict(denoiser, xt, torch.full((len(xt),), t, device=xt.device), self.vocabulary)
        # In double precision: alpha_s - alpha_t is the small difference of neighbors on a fine grid.
        start, end = (torch.full((len(xt),), time, device=xt.device, dtype=torch.float64) for time in (t, s))
        return draw(self.posterior(log_x0, xt, start, end), generator)

    def log_likelihood(self, xt: Tokens, t: Times) -> LogProbs:
        """Give log q(xt_i | x0_i = a) = log(alpha_t 1[xt_i = a] + (1 - alpha_t) / v) for each symbol a.

        At t = 0 the smallest normal number stands for a probability of 0, so that an xt that no candidate fits has
        the posterior of the limit t -> 0: the candidates that differ from it in the fewest positions.
        """
        return self._log_transition(xt, *self.schedule(t)).clamp(min=math.log(torch.finfo(t.dtype).tiny))

    def log_prob(self, xt: Tokens, x0: Int[Tensor, "n *item"], t: Times) -> Float[Tensor, "batch n"]:
        """Give log q(xt | x0) for each candidate x0."""
        return joint_log_prob(self.log_likelihood(xt, t), x0, t.dtype)

    def average(self, weights: Float[Tensor, "batch n"], x0: Int[Tensor, "n *item"]) -> LogProbs:
        """Give the log-probabilities of the mixture of the candidates: the uniform one where all weights are zero."""
        return average_tokens(weights, x0, self.vocabulary)

    def _log_transition(self, xt: Tokens, kept: Times, lost: Times) -> LogProbs:
        """Give log(kept 1[xt = a] + lost / v) for each symbol a."""
        kept, lost = (per_item(scale, xt)[..., None] for scale in (kept, lost))
        return (kept * one_hot(xt, self.vocabulary, kept.dtype) + lost / self.vocabulary).log()

    def _n_steps(self) -> int | None:
        own = self.schedule.steps if isinstance(self.schedule, LinearBetas) else None
        return own if self.steps is None else self.steps

    def _kl(
        self, denoiser: Denoiser, x0: Tokens, t: Times, noise: Float[Tensor, "batch *item 2"], steps: int
    ) -> PerItem:
        # The time of a step, k / steps, may be rounded up and must still be taken as step k.
        k = torch.ceil(t.double() * steps - 1e-3).clamp(1, steps)
        start, end = k / steps, (k - 1) / steps
        xt = self.corrupt(x0, start, noise)
        log_x0 = predict(denoiser, xt, start.to(t.dtype), self.vocabulary)
        truth = self.posterior(one_hot_log(x0, self.vocabulary, torch.float64), xt, start, end)
        model = self.posterior(log_x0.double(), xt, start, end)
        # Where the truth has no mass there is nothing to compare: 0 log 0 = 0, in the gradient too.
        possible = truth > -torch.inf
        terms = truth.exp() * (truth - model.masked_fill(~possible, 0)).masked_fill(~possible, 0)
        # A divergence that rounding has made negative is 0.
        return (steps * terms.sum(dim=-1).clamp(min=0)).flatten(1).mean(dim=1).to(log_x0.dtype)
