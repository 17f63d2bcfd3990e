"""The U-Net of improved DDPM, from 0.2 million parameters up.

Residual blocks whose second normalization is scaled and shifted by the diffusion time, self-attention at chosen
resolutions, and a skip connection from every block of the way down to one on the way up. A pixel-unshuffle at the
entrance trades resolution for channels, which makes small networks on small images several times faster.

Reference: Nichol & Dhariwal 2021, arXiv 2102.09672; Ho et al. 2020, arXiv 2006.11239.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from taumem.errors import ConfigError
from taumem.models.initialization import initialize, without_global_draws
from taumem.models.recomputation import InStages
from taumem.models.time_embedding import sinusoids
from taumem.shapes import Batch, Times

__all__ = ["UNet"]


class UNet(InStages):
    """Maps a corrupted image and its diffusion time to one or more images of the same shape.

    Args:
        item_shape: (channels, height, width) of an image.
        channels: width of the first level.
        multipliers: width of each level, in units of ``channels``; each level halves the resolution.
        blocks: residual blocks on the way down, of each level or of all alike; 0 is allowed on the last level, whose
            middle blocks remain.
        attention: resolutions (heights after the pixel-unshuffle) that attend over all positions; the middle does.
        head_channels: channels of one attention head.
        patch: side of the pixel-unshuffle at the entrance; 1 for none.
        dropout: share of activations dropped in every residual block.
        outputs: how many images come out, one after the other along the channels: 2 for a mean and a variance.
        generator: of the initial weights; None takes a fixed one.

    Raises:
        ConfigError: an image that the levels cannot halve, lists of different lengths, numbers too small to build
            with, or attention at a resolution that no level has.
    """

    @without_global_draws
    def __init__(
        self,
        item_shape: Sequence[int],
        *,
        channels: int = 16,
        multipliers: Sequence[int] = (1, 4),
        blocks: int | Sequence[int] = (1, 0),
        attention: Sequence[int] = (),
        head_channels: int = 32,
        patch: int = 1,
        dropout: float = 0.0,
        outputs: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        depths = [blocks] * len(multipliers) if isinstance(blocks, int) else list(blocks)
        _check(item_shape, channels, multipliers, depths, patch)
        _check_attention(attention, head_channels, [item_shape[1] // patch // 2**k for k in range(len(depths))])
        widths = [channels * multiplier for multiplier in multipliers]
        side = item_shape[1] // patch
        inner = item_shape[0] * patch**2
        embedding = 4 * channels

        self.patch = patch
        self.channels = channels
        self.embed = nn.Sequential(nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.enter = nn.Conv2d(inner, widths[0], 3, padding=1)

        def stage(inner: int, outer: int, side: int) -> Stage:
            attends = Attention(outer, head_channels) if side in attention else None
            return Stage(ResidualBlock(inner, outer, embedding, dropout), attends)

        self.down = nn.ModuleList()
        skips = [widths[0]]
        width = widths[0]
        for level, (wide, depth) in enumerate(zip(widths, depths, strict=True)):
            for _ in range(depth):
                self.down.append(stage(width, wide, side))
                width = wide
                skips.append(width)
            if level < len(widths) - 1:
                self.down.append(Stage(Downsample(width, width), None))
                skips.append(width)
                side //= 2

        self.middle_in = Stage(
            ResidualBlock(width, widths[-1], embedding, dropout), Attention(widths[-1], head_channels)
        )
        self.middle_out = Stage(ResidualBlock(widths[-1], widths[-1], embedding, dropout), None)
        width = widths[-1]

        self.up = nn.ModuleList()
        for level, (wide, depth) in reversed(list(enumerate(zip(widths, depths, strict=True)))):
            for _ in range(depth + 1):
                self.up.append(stage(width + skips.pop(), wide, side))
                width = wide
            if level > 0:
                self.up.append(Upsample(width, width))
                side *= 2
        self.leave = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, outputs * inner, 3, padding=1))
        initialize(self, generator)
        _zero_last_layers(self)

    def forward(self, xt: Batch, t: Times) -> Tensor:
        """Map images [batch, channels, height, width] and times [batch] to images, outputs times the channels."""
        emb = self.embed(sinusoids(t, self.channels))
        h = self.enter(functional.pixel_unshuffle(xt, self.patch))
        skips = [h]
        for stage in self.down:
            h = self.through(stage, h, emb)
            skips.append(h)
        h = self.through(self.middle_out, self.through(self.middle_in, h, emb), emb)
        for stage in self.up:
            if isinstance(stage, Upsample):
                h = self.through(stage, h)
            else:
                h = self.through(stage, torch.cat([h, skips.pop()], dim=1), emb)
        return functional.pixel_shuffle(self.leave(h), self.patch)


class Stage(nn.Module):
    """A residual block or a downsampling, and perhaps attention after it."""

    def __init__(self, block: nn.Module, attention: nn.Module | None) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        h = self.block(h, emb)
        out: Tensor = h if self.attention is None else self.attention(h)
        return out


class ResidualBlock(nn.Module):
    """h + conv(silu(norm(conv(silu(norm(h)))) * (1 + scale) + shift)), scale and shift from the time embedding."""

    def __init__(self, inner: int, outer: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(inner), nn.SiLU(), nn.Conv2d(inner, outer, 3, padding=1))
        self.modulate = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * outer))
        self.norm = _norm(outer)
        self.second = nn.Sequential(nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(outer, outer, 3, padding=1))
        self.shortcut = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, 1)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        scale, shift = self.modulate(emb)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = self.shortcut(h) + self.second(self.norm(self.first(h)) * (1 + scale) + shift)
        return out


class Attention(nn.Module):
    """Self-attention over all positions of a feature map, added to it."""

    def __init__(self, width: int, head_channels: int) -> None:
        super().__init__()
        # As many heads as wanted, or the next fewer that share the width evenly.
        self.heads = next(n for n in range(max(1, width // head_channels), 0, -1) if width % n == 0)
        self.norm = _norm(width)
        self.qkv = Pointwise(width, 3 * width)
        self.leave = Pointwise(width, width)

    def forward(self, h: Tensor) -> Tensor:
        batch, width, height, wide = h.shape
        qkv = self.qkv(self.norm(h)).reshape(batch, 3, self.heads, width // self.heads, height * wide)
        q, k, v = qkv.transpose(-1, -2).unbind(dim=1)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = h + self.leave(mixed.transpose(-1, -2).reshape(batch, width, height, wide))
        return out


class Pointwise(nn.Conv2d):
    """Mixes the channels of each pixel: a convolution of 1 x 1, as one product, which is faster on processors."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(inner, outer, 1)

    def forward(self, h: Tensor) -> Tensor:
        if self.groups > 1:  # several networks side by side
            return super().forward(h)
        mixed = functional.linear(h.flatten(2).mT, self.weight.flatten(1), self.bias)
        return mixed.mT.reshape(h.shape[0], -1, *h.shape[2:])


class Downsample(nn.Conv2d):
    """Halves the resolution by a convolution of stride 2. Takes the time embedding and ignores it, as stages do."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(inner, outer, 3, stride=2, padding=1)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(h)


class Upsample(nn.Conv2d):
    """Doubles the resolution: nearest neighbor, then a convolution."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(inner, outer, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(functional.interpolate(h, scale_factor=2))


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(width, 32 if width >= 64 else 8), width)


def _zero_last_layers(unet: UNet) -> None:
    """Set the last layer of every branch to zero: a block starts as the identity, the network as zero (as in iDDPM)."""
    lasts: list[nn.Module] = [m.second[-1] for m in unet.modules() if isinstance(m, ResidualBlock)]
    lasts += [m.leave for m in unet.modules() if isinstance(m, Attention)]
    for last in [*lasts, unet.leave[-1]]:
        for weight in last.parameters():
            nn.init.zeros_(weight)


def _check(
    item_shape: Sequence[int], channels: int, multipliers: Sequence[int], depths: Sequence[int], patch: int
) -> None:
    if len(item_shape) != 3:
        raise ConfigError(f"a U-Net takes images (channels, height, width); got items of shape {tuple(item_shape)}.")
    if channels < 2 or channels % 2:
        raise ConfigError(f"channels must be an even number (half of them sines, half cosines of t); got {channels}.")
    if not multipliers or min(multipliers) < 1 or min(depths, default=0) < 0 or patch < 1:
        raise ConfigError(
            f"multipliers and patch must be at least 1 and blocks at least 0; got multipliers {tuple(multipliers)}, "
            f"blocks {tuple(depths)}, patch {patch}."
        )
    if len(depths) != len(multipliers):
        raise ConfigError(f"blocks names {len(depths)} levels and multipliers {len(multipliers)}; give each level one.")
    stride = patch * 2 ** (len(multipliers) - 1)
    if any(side % stride for side in item_shape[1:]):
        raise ConfigError(
            f"images of {item_shape[1]}x{item_shape[2]} cannot be halved {len(multipliers) - 1} times after a "
            f"pixel-unshuffle of {patch}: both sides must be multiples of {stride}. Resize them or use fewer levels."
        )


def _check_attention(attention: Sequence[int], head_channels: int, sides: Sequence[int]) -> None:
    if head_channels < 1:
        raise ConfigError(f"head_channels must be at least 1; got {head_channels}.")
    if unknown := sorted(set(attention) - set(sides)):
        raise ConfigError(
            f"attention at resolution {', '.join(map(str, unknown))}, but the levels have {', '.join(map(str, sides))}."
        )
