"""Autoregressive models of tokens as a diffusion: the end of a text is hidden, and found again from left to right."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.gaussian import per_item
from taumem.diffusion.keeping import KeepSchedule, Polynomial
from taumem.diffusion.tokens import (
    LogProbs,
    MaskedTokens,
    Tokens,
    average_tokens,
    check_tokens,
    draw,
    one_hot,
    predict,
)
from taumem.errors import ConfigError
from taumem.shapes import PerItem, Times

__all__ = ["AutoregressiveDiffusion"]


@dataclass(frozen=True)
class AutoregressiveDiffusion(MaskedTokens):
    """At time t the last t d of the d positions of an item are hidden by a mask; each is found from all before it.

    Items are torch.long of any shape, whose positions stand in the order of memory. A denoiser here answers at each
    position i what comes after the symbols before it, log p(x0_i | x_1 ... x_(i-1)): a causal network reads neither
    position i itself nor what is behind it (:class:`taumem.models.Transformer` with ``causal=True``), so that one look
    at a whole item answers for all its positions (teacher forcing). The loss, in nats per position:

        hidden:  the mean of -log p(x0_i | x_1 ... x_(i-1)) over the positions that are hidden at t, at least the last
        all:     the mean over all positions, whatever t: the loss of language models, -log p(x0) / d

    Args:
        vocabulary: number of symbols, without the mask.
        weighting: which of the two losses.

    Raises:
        ConfigError: fewer than one symbol, or an unknown weighting.

    Reference: Austin et al. 2021, arXiv 2107.03006, section 4 (autoregressive models are discrete diffusion).
    """

    weighting: Literal["all", "hidden"] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weighting not in ("all", "hidden"):
            raise ConfigError(f"weighting must be 'all' or 'hidden'; got {self.weighting!r}.")

    @property
    def schedule(self) -> KeepSchedule:
        """The share of the positions that is kept: 1 - t."""
        return Polynomial()

    def noise(self, x0: Tokens, generator: Generator) -> Float[Tensor, "batch"]:
        """Draw a uniform number for each item: whether a position that is hidden in part counts as hidden.

        So under the same noise, what is hidden at one time is hidden at all later ones.
        """
        return torch.rand(len(x0), generator=generator, device=x0.device, dtype=torch.float32)

    def corrupt(self, x0: Tokens, t: Times, noise: Float[Tensor, "batch"]) -> Tokens:
        """Mask the last floor(t d + noise) positions, t d on average.

        Raises:
            DataError: x0 is not of type torch.long.
        """
        check_tokens(x0)
        return torch.where(_last(self._count(x0, t, noise), x0), self.mask, x0)

    def loss(self, denoiser: Denoiser, x0: Tokens, t: Times, noise: Float[Tensor, "batch"]) -> PerItem:
        """Give the mean cross-entropy of each item, over its hidden or over all its positions, in nats.

        Raises:
            DataError: x0 is not of type torch.long.
            ConfigError: the denoiser's answer is not of shape [batch, ..., vocabulary].
        """
        check_tokens(x0)
        surprise = -predict(denoiser, x0, t, self.vocabulary).gather(-1, x0[..., None])[..., 0]
        if self.weighting == "all":
            return surprise.flatten(1).mean(dim=1)
        hidden = _last(self._count(x0, t, noise).clamp(min=1), x0).flatten(1)
        return torch.where(hidden, surprise.flatten(1), 0).sum(dim=1) / hidden.sum(dim=1)

    def reverse(self, denoiser: Denoiser, xt: Tokens, t: float, s: float, generator: Generator) -> Tokens:
        """Find the masked positions in order, each after a look at all before it, until the last s d are left.

        So samples are exact draws from the model, in however few steps from t = 1 to 0.
        """
        x, shape = xt.flatten(1).clone(), xt.shape
        times = torch.full((len(x),), t, device=x.device)
        for i in range(x.shape[1] - int(s * x.shape[1])):
            masked = x[:, i] == self.mask
            if bool(masked.any()):
                log_x0 = predict(denoiser, x.reshape(shape), times, self.vocabulary).flatten(1, -2)
                x[:, i] = torch.where(masked, draw(log_x0[:, i], generator), x[:, i])
        return x.reshape(shape)

    def log_prob(self, xt: Tokens, x0: Int[Tensor, "n *item"], t: Times) -> Float[Tensor, "batch n"]:
        """Give log q(xt | x0) but for a constant for each candidate x0: 0 where it begins as xt does, else -inf."""
        given, candidates = xt.flatten(1), x0.flatten(1)
        fits = torch.ones(len(given), len(candidates), dtype=torch.bool, device=xt.device)
        for column, symbols in zip(given.T, candidates.T, strict=True):
            fits &= (column[:, None] == symbols) | (column == self.mask)[:, None]
        return torch.where(fits, 0.0, -torch.inf).to(t.dtype)

    def average(self, weights: Float[Tensor, "batch n"], x0: Int[Tensor, "n *item"]) -> LogProbs:
        """Give the log-probabilities of the mixture of the candidates: the uniform one where all weights are zero."""
        return average_tokens(weights, x0, self.vocabulary)

    def continuations(self, xt: Tokens, x0: Int[Tensor, "n *item"], dtype: torch.dtype) -> LogProbs:
        """Give at each position the shares of the symbols by which candidates go on that begin as xt does.

        It is the best that a denoiser can say when the data are the candidates; uniform where none begins so, as
        behind a mask.
        """
        given, candidates = xt.flatten(1), x0.flatten(1)
        fits = torch.ones(len(given), len(candidates), dtype=dtype, device=xt.device)
        answers = []
        for column, symbols in zip(given.T, candidates.T, strict=True):
            answers.append(fits @ one_hot(symbols, self.vocabulary, dtype))
            fits = fits * (column[:, None] == symbols)
        mass = torch.stack(answers, dim=1).reshape(*xt.shape, self.vocabulary)
        total = mass.sum(dim=-1, keepdim=True)
        return torch.where(total > 0, mass / total, 1 / self.vocabulary).log()

    def _count(self, x0: Tokens, t: Times, noise: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
        return (t * x0[0].numel() + noise).floor()


def _last(count: Float[Tensor, "batch"], x0: Tokens) -> Bool[Tensor, "batch *item"]:
    """Say which positions of each item are its last ones."""
    d = x0[0].numel()
    return torch.arange(d, device=x0.device).reshape(x0.shape[1:]) >= d - per_item(count, x0)
