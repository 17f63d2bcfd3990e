"""From a network that scores symbols to a denoiser of tokens, which predicts log-probabilities."""

import torch
from torch import Tensor, nn

from taumem.diffusion import AutoregressiveDiffusion, MaskedDiffusion, TokenDiffusion
from taumem.diffusion.tokens import LogProbs, Tokens, one_hot, one_hot_log
from taumem.errors import ConfigError
from taumem.shapes import Times

__all__ = ["Categorical", "OneHot"]


class Categorical(nn.Module):
    """A denoiser made of a network that gives a score (a logit) for each symbol at each position.

        log p(x0_i = a | xt) = log_softmax_a network(xt, t)_i

    Under masked diffusion, where a position of xt that is not masked is that of the data, the prediction there is xt
    itself, whatever the network says: 0 for its symbol and -inf for all others.

    Args:
        network: maps tokens [batch, positions] and times [batch] to logits [batch, positions, vocabulary].
        diffusion: says which symbol, if any, is the mask.

    Raises:
        ConfigError: a network that is not causal, for autoregressive diffusion: it would read what it is asked for.

    Reference: Shi et al. 2024, arXiv 2406.04329 (the mean parametrization of masked diffusion).
    """

    def __init__(self, network: nn.Module, diffusion: TokenDiffusion) -> None:
        super().__init__()
        if isinstance(diffusion, AutoregressiveDiffusion) and not getattr(network, "causal", True):
            raise ConfigError(
                "autoregressive diffusion needs a network that reads only what stands before a position, such as a "
                f"Transformer that is built with causal=True; got {type(network).__name__} without."
            )
        self.network = network
        self.diffusion = diffusion

    def forward(self, xt: Tokens, t: Times) -> LogProbs:
        """Predict x0 from xt [batch, positions] at times t [batch]."""
        log_x0 = torch.log_softmax(self.network(xt, t), dim=-1)
        if not isinstance(self.diffusion, MaskedDiffusion):
            return log_x0
        known = one_hot_log(xt, self.diffusion.symbols, log_x0.dtype)[..., : self.diffusion.vocabulary]
        return torch.where((xt == self.diffusion.mask)[..., None], log_x0, known)


class OneHot(nn.Module):
    """Lets a network for vectors, such as the MLP, take tokens: as a control without a text's or grammar's structure.

    Args:
        network: maps [batch, positions, symbols] (1 for the symbol that is there, 0 elsewhere) and times [batch] to a
            tensor of the same shape; ``MLP((positions, diffusion.symbols))`` is one.
        diffusion: masked or uniform; says how many symbols there are. Of the network's outputs the first ``vocabulary``
            are used.
    """

    causal = False

    def __init__(self, network: nn.Module, diffusion: TokenDiffusion) -> None:
        super().__init__()
        self.network = network
        self.diffusion = diffusion

    def forward(self, xt: Tokens, t: Times) -> Tensor:
        """Map tokens [batch, positions] and times [batch] to logits [batch, positions, vocabulary]."""
        logits: Tensor = self.network(one_hot(xt, self.diffusion.symbols, t.dtype), t)
        return logits[..., : self.diffusion.vocabulary]
