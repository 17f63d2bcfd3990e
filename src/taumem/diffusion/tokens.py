"""What the diffusions of tokens share: predictions that are log-probabilities, their averages, and draws from them."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from taumem.diffusion.denoiser import Denoiser
from taumem.errors import ConfigError, DataError
from taumem.shapes import Times

__all__ = [
    "LogProbs",
    "MaskedTokens",
    "Tokens",
    "average_tokens",
    "check_tokens",
    "draw",
    "joint_log_prob",
    "one_hot",
    "one_hot_log",
    "predict",
]

Tokens = Int[Tensor, "batch *item"]
"""Symbols: integers from 0 to the vocabulary's size, without it (with it where a mask is one more symbol)."""

LogProbs = Float[Tensor, "batch *item vocabulary"]
"""The logarithm of a probability for each symbol at each position, in nats; -inf for what cannot be."""


@dataclass(frozen=True)
class MaskedTokens:
    """Symbols, and one more that hides them: what diffusions have in common that end in items that are all mask.

    Args:
        vocabulary: number of symbols, without the mask.

    Raises:
        ConfigError: fewer than one symbol.
    """

    vocabulary: int

    def __post_init__(self) -> None:
        if self.vocabulary < 1:
            raise ConfigError(f"a vocabulary needs at least 1 symbol; got {self.vocabulary}.")

    @property
    def mask(self) -> int:
        """The symbol that hides another one."""
        return self.vocabulary

    @property
    def symbols(self) -> int:
        """How many symbols xt may have: the vocabulary and the mask."""
        return self.vocabulary + 1

    def prior(self, n: int, item_shape: tuple[int, ...], generator: Generator) -> Tokens:
        """Give n items that are all mask; nothing is drawn."""
        return torch.full((n, *item_shape), self.mask, device=generator.device)


def check_tokens(x0: Tokens) -> None:
    """Refuse data that are no symbols.

    Raises:
        DataError: a type that is not torch.long.
    """
    if x0.dtype != torch.long:
        raise DataError(f"token diffusion takes symbols of type torch.int64; got {x0.dtype}. Convert them by .long().")


def predict(denoiser: Denoiser, xt: Tokens, t: Times, vocabulary: int) -> LogProbs:
    """Ask a denoiser, and refuse an answer that is not a number for each symbol at each position.

    Raises:
        ConfigError: an answer of another shape.
    """
    log_x0: Tensor = denoiser(xt, t)
    if log_x0.shape != (*xt.shape, vocabulary):
        raise ConfigError(
            f"a denoiser of tokens of shape {tuple(xt.shape)} over {vocabulary} symbols answers with log-probabilities "
            f"of shape {(*xt.shape, vocabulary)}; this one's have {tuple(log_x0.shape)}."
        )
    return log_x0


def one_hot(symbols: Tokens, n: int, dtype: torch.dtype) -> Float[Tensor, "batch *item n"]:
    """Give 1 at the place of each symbol, of n, and 0 elsewhere."""
    # Not functional.one_hot, which looks at the values: a batched program over many models (torch.func) cannot.
    return (symbols[..., None] == torch.arange(n, device=symbols.device)).to(dtype)


def one_hot_log(x0: Tokens, vocabulary: int, dtype: torch.dtype) -> LogProbs:
    """Give the prediction that is sure of x0: 0 for its symbols, -inf for all others."""
    # Not the logarithm of the one-hot table, since that of zero is slow on a CPU.
    is_there = x0[..., None] == torch.arange(vocabulary, device=x0.device)
    return torch.where(is_there, 0.0, -math.inf).to(dtype)


def average_tokens(weights: Float[Tensor, "batch n"], x0: Int[Tensor, "n *item"], vocabulary: int) -> LogProbs:
    """Give log sum_i w_i 1[x0_i = a] for each symbol a at each position, with the weights scaled to sum to 1.

    A row of weights that are all zero, or all NaN (the softmax of a row in which no candidate fits), says nothing of
    x0: its prediction is uniform.
    """
    # Position by position: the whole one-hot table of a large training set would not fit into memory.
    columns = [weights @ one_hot(column, vocabulary, weights.dtype) for column in x0.flatten(1).T]
    mass = torch.stack(columns, dim=1).reshape(len(weights), *x0.shape[1:], vocabulary)
    total = mass.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, (mass / total).log(), -math.log(vocabulary))


def joint_log_prob(
    log_likelihood: LogProbs, x0: Int[Tensor, "n *item"], dtype: torch.dtype
) -> Float[Tensor, "batch n"]:
    """Sum log q(xt_i | x0_i) over the positions of each candidate x0."""
    by_position = log_likelihood.double().flatten(1, -2)
    total = by_position.new_zeros(len(by_position), len(x0))
    for i, column in enumerate(x0.flatten(1).T):
        total += by_position[:, i, column]
    return total.to(dtype)


def draw(log_probs: LogProbs, generator: Generator) -> Tokens:
    """Draw a symbol at each position, independently; the probabilities need not be normalized.

    By the Gumbel trick: argmax_a (log p_a - log E_a) with E_a exponential. From equal generators two models draw
    equal symbols as often as their predictions are alike, whatever the order of the symbols. The number of draws
    depends on the shape alone. In double precision, since single-precision draws are known to be less diverse.

    Reference: Zheng et al. 2024, arXiv 2409.02908, section 4 (on the precision).
    """
    uniform = torch.rand(log_probs.shape, generator=generator, device=log_probs.device, dtype=torch.float64)
    # Where uniform = 0 the symbol loses, at -inf; uniform < 1 keeps the rest finite.
    return (log_probs - torch.log(-torch.log(uniform))).argmax(dim=-1)
