"""Features of images that need no file: which colors and which edges stand where, roughly."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from taumem.errors import ConfigError
from taumem.shapes import Items

__all__ = ["COLORS_AND_EDGES", "colors_and_edges"]

COLORS_AND_EDGES = (
    "colors and edges in a grid of 4 x 4, the same for mirrored and for darkened images: made by hand, and weak beside "
    "a trained copy detector; crops are often missed, and so is whatever shows the same thing in another way"
)
"""What they are and are not."""

GRID = 4
N_SHADES = 6
N_DIRECTIONS = 8
DARKEST = 0.02
"""Mean brightness, in [0, 1], below which an image is not brightened further: of black there is nothing to compare."""
BLUR = (0.25, 0.5, 0.25)
EDGES = 0.5
"""Weight of all edges against all colors."""


def colors_and_edges(images: Any) -> Items:
    """Give local histograms of colors and of directions of edges, [n, 416].

    For each cell of the grid: how its brightness, relative to the mean of the image, and its two opponent colors are
    distributed over 6 shades, and how its gradients are over 8 directions of 180 degrees, by their strength. Images are
    blurred twice before, against noise. The histograms of an image and of its mirror image are averaged, and their
    square roots make the Euclidean distance that of Hellinger.

    Args:
        images: [n, 1 or 3, height, width] in [-1, 1].

    Raises:
        ConfigError: these are no images.

    Reference: Dalal and Triggs 2005 (histograms of oriented gradients).
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ConfigError("colors-and-edges are features of images [n, 1 or 3, height, width]; take others for these.")
    blurred = _blurred(_blurred(images.expand(-1, 3, -1, -1).float()))
    return ((_histograms(blurred) + _histograms(blurred.flip(3))) / 2).sqrt()


def _histograms(images: Tensor) -> Tensor:
    lights = (images + 1) / 2
    lights = lights / lights.mean(dim=(1, 2, 3), keepdim=True).clamp_min(DARKEST)
    red, green, blue = lights.unbind(dim=1)
    bright = (red + green + blue) / 3
    opponents = (red - green) / 2, (red + green - 2 * blue) / 4
    # Both run from -1 to 1: brightness is 0 at the mean of the image, and a color at gray.
    shades = [2 * bright / (1 + bright) - 1, *(2 * color / (0.5 + color.abs()) for color in opponents)]
    colors = torch.cat([_pooled(_shades(values)) for values in shades], dim=1) / (len(shades) * GRID**2)
    edges = _pooled(_directions(bright))
    edges = EDGES * edges / edges.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
    return torch.cat([colors.flatten(1), edges.flatten(1)], dim=1)


def _blurred(images: Tensor) -> Tensor:
    weights = torch.tensor(BLUR, device=images.device)
    alone = functional.pad(images.reshape(-1, 1, *images.shape[2:]), (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(alone, (weights[:, None] * weights)[None, None]).reshape(images.shape)


def _shades(values: Tensor) -> Tensor:
    """Share each value in [-1, 1] between the two shades next to it, [n, shades, height, width]."""
    place = (values.clamp(-1, 1) + 1) / 2 * (N_SHADES - 1)
    shades = torch.arange(N_SHADES, device=values.device)[:, None, None]
    return (1 - (place[:, None] - shades).abs()).clamp_min(0)


def _directions(bright: Tensor) -> Tensor:
    """Share the strength of each gradient between the two directions next to its own."""
    padded = functional.pad(bright[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    down, right = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1], padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    strength, angle = torch.hypot(down, right), torch.atan2(down, right)
    place = (angle / torch.pi * N_DIRECTIONS) % N_DIRECTIONS  # opposite directions are one
    directions = torch.arange(N_DIRECTIONS, device=bright.device)[:, None, None]
    away = (place[:, None] - directions).abs()
    away = torch.minimum(away, N_DIRECTIONS - away)
    return strength[:, None] * (1 - away).clamp_min(0)


def _pooled(maps: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(maps, GRID)
