"""A transformer for text: every position attends to all others, before and behind it, or to those before it alone."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from taumem.diffusion.tokens import Tokens, one_hot
from taumem.errors import ConfigError, nearest_name
from taumem.models.initialization import initialize, without_global_draws
from taumem.models.recomputation import InStages
from taumem.models.time_embedding import sinusoids
from taumem.shapes import Times

__all__ = ["Transformer"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


class Transformer(InStages):
    """Maps a corrupted text and its diffusion time to a logit for each symbol at each position.

    :class:`taumem.models.Categorical` makes a denoiser of it; by itself it is none, and cannot be trained.

        h_i = stem [x_(i-k), ..., x_i, ..., x_(i+k)]      one-hot symbols, k = (stem - 1) / 2, zeros beyond the ends
        h = h + attention(norm h);  h = h + mlp(norm h)   in each of the ``depth`` blocks
        logits = leave(norm h)

    Queries and keys are rotated by angles proportional to their positions, so that attention depends on distances only;
    where a text ends is told by the stem's zeros (and by nothing where the stem is 1).

    A causal one answers at each position from what stands before it: position i does not enter its own answer, nor does
    anything behind it. Its stem shows the last ``stem`` symbols, x_(i-stem), ..., x_(i-1), and attention looks back.

    With time conditioning, a vector c(t) scales and shifts each norm and gates each branch (adaLN-zero): the gates
    start at zero, so the blocks start as identities. Masked diffusion needs none: what is masked says all about t.

    Args:
        positions: the longest text that is taken, at least 1.
        vocabulary: number of symbols that are predicted.
        symbols: number of symbols that are read; None for the vocabulary and a mask. ``diffusion.symbols`` says it.
        width: numbers at each position; a multiple of ``2 * heads``.
        depth: number of blocks, at least 1.
        heads: of the attention.
        mlp_ratio: width of the hidden layer of a block, in units of ``width``.
        stem: how many symbols around a position (causal: before it) its input shows, odd; 1 is an ordinary embedding,
            with which small models stall for long at the frequencies of single symbols.
        time_conditioning: whether t is read.
        activation: ``relu`` or ``gelu``, which takes longer on a CPU.
        causal: whether nothing is read but what stands before a position, as
            :class:`taumem.diffusion.AutoregressiveDiffusion` needs it.
        generator: of the initial weights; None takes a fixed one.

    Raises:
        ConfigError: a number out of its range, an even stem, a width that the heads cannot share in pairs, or an
            unknown activation.

    The defaults are about 0.25 million parameters at 27 symbols; MD4's size for text8 is ``width=768, depth=12,
    heads=12``.

    Reference: Shi et al. 2024, arXiv 2406.04329 (MD4); Su et al. 2021, arXiv 2104.09864 (rotary positions); Peebles
    and Xie 2022, arXiv 2212.09748 (adaLN-zero); Xiong et al. 2020, arXiv 2002.04745 (norms before the branches).
    """

    @without_global_draws
    def __init__(
        self,
        positions: int,
        vocabulary: int,
        *,
        symbols: int | None = None,
        width: int = 96,
        depth: int = 2,
        heads: int = 2,
        mlp_ratio: float = 4.0,
        stem: int = 9,
        time_conditioning: bool = False,
        activation: str = "relu",
        causal: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        symbols = vocabulary + 1 if symbols is None else symbols
        hidden = round(mlp_ratio * width)
        _check(positions, vocabulary, symbols, stem, activation)
        _check_widths(width, depth, heads, hidden)
        self.positions = positions
        self.symbols = symbols
        self.width = width
        self.angles = width // heads // 2
        self.causal = causal
        self.around = (stem, -1) if causal else (stem // 2, stem // 2)
        self.stem = nn.Linear(stem * symbols, width)
        self.time = _time_network(width) if time_conditioning else None
        self.attend = nn.ModuleList(
            Residual(Attention(width, heads, causal), width, time_conditioning) for _ in range(depth)
        )
        self.transform = nn.ModuleList(
            Residual(_mlp(width, hidden, activation), width, time_conditioning) for _ in range(depth)
        )
        self.norm = Norm(width, time_conditioning)
        self.leave = nn.Linear(width, vocabulary)
        initialize(self, generator)
        _balance(self)

    def forward(self, xt: Tokens, t: Times) -> Tensor:
        """Map tokens [batch, n] with n <= positions, and times [batch], to logits [batch, n, vocabulary].

        Raises:
            ConfigError: texts longer than the positions.
        """
        if xt.shape[-1] > self.positions:
            raise ConfigError(
                f"this transformer has {self.positions} positions; got texts of {xt.shape[-1]} symbols. Cut them into "
                "shorter windows, or build it with more positions."
            )
        h = self.stem(_surroundings(one_hot(xt, self.symbols, t.dtype), *self.around))
        c = None if self.time is None else self.time(sinusoids(t, self.width))[:, None]
        rotation = _rotation(xt.shape[-1], self.angles, t)
        for attend, transform in zip(self.attend, self.transform, strict=True):
            h = self.through(transform, self.through(attend, h, c, rotation), c)
        out: Tensor = self.leave(self.norm(h, c))
        return out


class Norm(nn.Module):
    """Brings each position's numbers to mean 0 and variance 1, then scales and shifts them: by weights, or by c(t)."""

    def __init__(self, width: int, time_conditioning: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=not time_conditioning)
        self.modulate = nn.Linear(width, 2 * width) if time_conditioning else None

    def forward(self, h: Tensor, c: Tensor | None) -> Tensor:
        out: Tensor = self.norm(h)
        if self.modulate is None:
            return out
        modulation: Tensor = self.modulate(c)
        scale, shift = modulation.chunk(2, dim=-1)
        return out * (1 + scale) + shift


class Residual(nn.Module):
    """h + gate(c) branch(norm h); without time conditioning there is no gate."""

    def __init__(self, branch: nn.Module, width: int, time_conditioning: bool) -> None:
        super().__init__()
        self.norm = Norm(width, time_conditioning)
        self.branch = branch
        self.gate = nn.Linear(width, width) if time_conditioning else None

    def forward(self, h: Tensor, c: Tensor | None, *context: object) -> Tensor:
        out: Tensor = self.branch(self.norm(h, c), *context)
        return h + (out if self.gate is None else self.gate(c) * out)


class Attention(nn.Module):
    """Self-attention over all positions, or over those up to each one, with rotated queries and keys."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.qkv = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        batch, n, width = x.shape
        qkv = self.qkv(x).reshape(batch, n, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(dim=0)
        q, k = _rotate(q, rotation), _rotate(k, rotation)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.leave(mixed.transpose(1, 2).reshape(batch, n, width))
        return out


def _mlp(width: int, hidden: int, activation: str) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), ACTIVATIONS[activation](), nn.Linear(hidden, width))


def _time_network(width: int) -> nn.Sequential:
    """Make c(t) from sinusoids; its last nonlinearity is that of every layer which reads c."""
    return nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())


def _surroundings(x: Tensor, before: int, behind: int) -> Tensor:
    """Lay the vectors from ``before`` positions before each one to ``behind`` behind it side by side.

    The answer is [batch, n, (before + behind + 1) symbols]; with ``behind = -1`` a position does not see itself.
    """
    n = x.shape[1]
    padded = functional.pad(x, (0, 0, before, max(behind, 0)))
    return torch.cat([padded[:, start : start + n] for start in range(before + behind + 1)], dim=-1)


def _rotation(n: int, angles: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Give cosines and sines of position * 10000^(-k / angles), k = 0, ..., angles - 1: [n, angles] each."""
    place = torch.arange(n, device=like.device, dtype=like.dtype)
    k = torch.arange(angles, device=like.device, dtype=like.dtype)
    angle = place[:, None] * torch.exp(-math.log(10_000) / angles * k)
    return torch.cos(angle), torch.sin(angle)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x_k, x_(k + angles)) of a head by its angle."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


@torch.no_grad()
def _balance(network: Transformer) -> None:
    """Let the stem start with variance 1, the branches add about as much together, and the gates be shut."""
    # Of the stem's inputs only one in ``symbols`` is 1, the others are 0; torch's variance counts them all.
    network.stem.weight.mul_(math.sqrt(3 * network.symbols))
    branches = [residual.branch for residual in (*network.attend, *network.transform)]
    for branch in branches:
        last = branch.leave if isinstance(branch, Attention) else branch[-1]
        last.weight.div_(math.sqrt(len(branches)))
    for module in network.modules():
        shut = module.gate if isinstance(module, Residual) else module.modulate if isinstance(module, Norm) else None
        if shut is not None:
            nn.init.zeros_(shut.weight)
            nn.init.zeros_(shut.bias)


def _check(positions: int, vocabulary: int, symbols: int, stem: int, activation: str) -> None:
    if positions < 1 or min(vocabulary, symbols) < 2:
        raise ConfigError(
            f"a transformer needs at least 1 position and 2 symbols; got positions {positions}, vocabulary "
            f"{vocabulary}, symbols {symbols}."
        )
    if stem < 1 or stem % 2 == 0:
        raise ConfigError(f"stem counts the symbols around a position, itself included: an odd number; got {stem}.")
    if activation not in ACTIVATIONS:
        raise ConfigError(f"there is no activation {activation!r}; {nearest_name(activation, ACTIVATIONS)}")


def _check_widths(width: int, depth: int, heads: int, hidden: int) -> None:
    if min(width, depth, heads, hidden) < 1:
        raise ConfigError(
            f"width, depth, heads and the hidden layer of width mlp_ratio * width must be at least 1; got {width}, "
            f"{depth}, {heads} and {hidden}."
        )
    if width % (2 * heads):
        raise ConfigError(
            f"each of {heads} heads rotates its numbers in pairs: width must be a multiple of {2 * heads}; got {width}."
        )
