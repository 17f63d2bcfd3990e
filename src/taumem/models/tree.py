"""The U-Net of the grammar: one level of the network for each level of the tree that generated the string."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from taumem.diffusion.tokens import Tokens, one_hot
from taumem.errors import ConfigError
from taumem.models.initialization import initialize, without_global_draws
from taumem.shapes import Times

__all__ = ["TreeUNet"]


class TreeUNet(nn.Module):
    """Maps a corrupted string of s^L symbols and its diffusion time to a logit for each symbol at each position.

    :class:`taumem.models.Categorical` makes a denoiser of it; by itself it is none, and cannot be trained.

    On the way up the tree, level l reads s neighbors of level l - 1 and keeps W_l numbers for each of them; on the way
    down, each node gives s children their part, to which the children's own numbers are added (the skip connection):

        h_0 = one-hot symbols                    h_l     = relu(up_l [s neighbors of h_(l-1)])
        g_L = h_L                                g_(l-1) = relu(down_l g_l [child by child] + skip_(l-1) h_(l-1))
        logits = leave g_1 [child by child]

    Every layer is a plain linear map, and no layer knows of any other position than its own, its children's and, by
    them, its neighbors': the receptive fields are the grammar's subtrees. No normalization, no dropout.

    Args:
        s: branching of the tree, and size and stride of every filter.
        L: depth of the tree.
        vocabulary: number of symbols that are predicted.
        widths: W_1, ..., W_L, from the symbols up; or one number for all. Widths that grow toward the root, such as
            [48, 128, 384] for L = 3, memorize in time proportional to the training set; constant ones more slowly.
        symbols: number of symbols that are read; None for the vocabulary and a mask. ``diffusion.symbols`` says it.
        time_features: how many functions of t, cos(pi k t) with k = 1, 2, ..., are added into every layer. 0 for none,
            as masked diffusion wants it: what is masked says all about the time.
        generator: of the initial weights; None takes a fixed one.

    Raises:
        ConfigError: a branching, vocabulary or number of symbols below 2, no level, a list of widths that does not give
            one to each level, a width below 1, or a negative number of time features.

    Reference: Favero et al. 2025, arXiv 2505.16959 (U-Nets of L levels for the grammar); He et al. 2015, arXiv
    1502.01852 (the initial weights).
    """

    @without_global_draws
    def __init__(
        self,
        s: int,
        L: int,  # noqa: N803  (the grammar's own letter)
        vocabulary: int,
        widths: int | Sequence[int] = 128,
        *,
        symbols: int | None = None,
        time_features: int = 0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        symbols = vocabulary + 1 if symbols is None else symbols
        widths = [widths] * L if isinstance(widths, int) else list(widths)
        _check(s, L, vocabulary, symbols, widths, time_features)
        self.s = s
        self.positions = s**L
        self.symbols = symbols
        self.vocabulary = vocabulary
        self.time_features = time_features
        self.up = nn.ModuleList(nn.Linear(s * lower, upper) for lower, upper in pairwise([symbols, *widths]))
        self.down = nn.ModuleList(nn.Linear(upper, s * lower) for lower, upper in pairwise(widths))
        self.skip = nn.ModuleList(nn.Linear(width, width, bias=False) for width in widths[:-1])
        self.leave = nn.Linear(widths[0], s * vocabulary)
        # One for each layer with a nonlinearity: up the tree, then down.
        reads_time = [*widths, *widths[-2::-1]] if time_features else []
        self.time = nn.ModuleList(nn.Linear(time_features, width, bias=False) for width in reads_time)
        initialize(self, generator)
        _widen_to_he(self)

    def forward(self, xt: Tokens, t: Times) -> Tensor:
        """Map strings [batch, s^L] and times [batch] to logits [batch, s^L, vocabulary].

        Raises:
            ConfigError: strings of another length.
        """
        if xt.shape[-1] != self.positions:
            raise ConfigError(f"this tree has {self.positions} leaves; got strings of {xt.shape[-1]} symbols.")
        features = _cosines(t, self.time_features)
        # In every layer what t contributes is the same at all nodes.
        times = [layer(features)[:, None] for layer in self.time]
        h = one_hot(xt, self.symbols, t.dtype)
        heights = []
        for level, up in enumerate(self.up):
            h = up(self._join(h))
            h = torch.relu(h + times[level] if times else h)
            heights.append(h)
        g = heights.pop()
        for down, skip in zip(reversed(self.down), reversed(self.skip), strict=True):
            g = self._part(down(g)) + skip(heights.pop())
            g = torch.relu(g + times[-1 - len(heights)] if times else g)
        return self._part(self.leave(g))

    def _join(self, h: Tensor) -> Tensor:
        """Lay s neighbors side by side: [batch, nodes, width] to [batch, nodes / s, s width]."""
        return h.reshape(h.shape[0], h.shape[1] // self.s, self.s * h.shape[2])

    def _part(self, h: Tensor) -> Tensor:
        """Give each of the s children its part: [batch, nodes, s width] to [batch, s nodes, width]."""
        return h.reshape(h.shape[0], h.shape[1] * self.s, h.shape[2] // self.s)


def _cosines(t: Times, n: int) -> Tensor:
    """Give cos(pi k t) for k = 1, ..., n: [batch, n]."""
    return torch.cos(math.pi * t[:, None] * torch.arange(1, n + 1, device=t.device, dtype=t.dtype))


@torch.no_grad()
def _widen_to_he(network: nn.Module) -> None:
    """Scale torch's uniform weights, of variance 1/(3 fan-in), to He's of variance 2/fan-in; biases start at zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.mul_(math.sqrt(6))
            if layer.bias is not None:
                layer.bias.zero_()


def _check(s: int, L: int, vocabulary: int, symbols: int, widths: Sequence[int], time_features: int) -> None:  # noqa: N803
    if min(s, vocabulary, symbols) < 2 or L < 1:
        raise ConfigError(
            f"a tree needs a branching s and a vocabulary of at least 2 and a depth L of at least 1; "
            f"got s = {s}, L = {L}, vocabulary {vocabulary}, symbols {symbols}."
        )
    if len(widths) != L:
        raise ConfigError(
            f"widths names {len(widths)} levels and the tree has L = {L}; give each level one, or one number for all."
        )
    if min(widths) < 1 or time_features < 0:
        raise ConfigError(
            f"widths must be at least 1 and time_features at least 0; got {list(widths)} and {time_features}."
        )
