"""Features of images that need no file and no training: convolutions with random weights, always the same ones."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from taumem.errors import ConfigError
from taumem.randomness import generator_for
from taumem.shapes import Items

__all__ = ["random_features"]

N_LAYERS = 3
N_CHANNELS = 32
N_CELLS = 2
"""Cells along each side of an image over which a channel is averaged."""
BLOCK = 256
"""Images that are looked at together."""


@torch.no_grad()
def random_features(images: Items) -> Float[Tensor, "n 384"]:
    """Give the mean activations of three layers of random convolutions, in a grid of 2 x 2.

    Each layer has 32 channels of 3 x 3 weights (those of the first have mean 0: they see edges, not brightness) and a
    ReLU, and halves the image. Such features know nothing of objects, but tell sharp images from blurred, noisy, torn
    and superposed ones, and a part of the images from all of them (``experiments/quality/features.py``).

    Args:
        images: [n, 1 or 3, height, width] in [-1, 1]; gray ones count as colored ones that are gray.

    Raises:
        ConfigError: these are no images.

    Reference: Naeem et al. 2020, arXiv 2002.09797, section 4 (networks with random weights judge samples too).
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ConfigError(
            f"random convolutions look at images [n, 1 or 3, height, width]; got items of shape {tuple(images.shape)}."
        )
    return torch.cat([_of_block(block.expand(-1, 3, -1, -1).float()) for block in torch.split(images, BLOCK)])


def _of_block(maps: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n 384"]:
    found = []
    for layer in range(N_LAYERS):
        weights = _weights(layer, maps.shape[1]).to(maps.device)
        maps = functional.relu(functional.conv2d(functional.pad(maps, (1, 1, 1, 1), mode="replicate"), weights))
        if min(maps.shape[2:]) > 2 * N_CELLS:
            maps = functional.avg_pool2d(maps, 2)
        found.append(functional.adaptive_avg_pool2d(maps, N_CELLS).flatten(1))
    return torch.cat(found, dim=1)


def _weights(layer: int, n_inputs: int) -> Float[Tensor, "channels inputs 3 3"]:
    generator = generator_for(0, "random convolutions", layer)
    weights: Tensor = torch.randn(N_CHANNELS, n_inputs, 3, 3, generator=generator) * (2 / (9 * n_inputs)) ** 0.5
    centered: Tensor = weights - weights.mean(dim=(2, 3), keepdim=True)
    return centered if layer == 0 else weights
