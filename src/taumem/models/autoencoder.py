"""A small autoencoder of images: diffusion may take place in its latents, as it does in large image models.

Reference: Rombach et al. 2022, arXiv 2112.10752.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from taumem.errors import ConfigError
from taumem.models.initialization import initialize, without_global_draws
from taumem.shapes import Batch, Items, PerItem

__all__ = ["Autoencoder"]

NOISE = 0.1
"""Standard deviation of the noise on latents in training, in units of theirs: near latents shall mean near images."""
BLOCK = 512


class Autoencoder(nn.Module):
    """Maps images to latents of variance 1 with a coarser grid, and back.

    Args:
        item_shape: (channels, height, width) of an image.
        channels: of a latent.
        width: channels of the layers in between.
        halvings: how often the grid is halved.
        generator: of the initial weights; None takes a fixed one.

    Raises:
        ConfigError: an image that cannot be halved so often.
    """

    @without_global_draws
    def __init__(
        self,
        item_shape: Sequence[int],
        *,
        channels: int = 4,
        width: int = 32,
        halvings: int = 2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(item_shape) != 3 or any(side % 2**halvings for side in item_shape[1:]):
            raise ConfigError(
                f"an autoencoder halves the grid of images {halvings} times: height and width must be multiples of "
                f"{2**halvings}; got items of shape {tuple(item_shape)}."
            )
        down: list[nn.Module] = [nn.Conv2d(item_shape[0], width, 3, padding=1)]
        up: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        for _ in range(halvings):
            down += [nn.SiLU(), nn.Conv2d(width, width, 3, stride=2, padding=1)]
            up += [nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
        # The running mean and variance of the last layer bring latents of any image to one scale.
        scale = nn.BatchNorm2d(channels, affine=False)
        self.encoder = nn.Sequential(*down, nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1), scale)
        self.decoder = nn.Sequential(*up, nn.SiLU(), nn.Conv2d(width, item_shape[0], 3, padding=1))
        self.latent_shape = (channels, *(side // 2**halvings for side in item_shape[1:]))
        initialize(self, generator)

    def loss(self, images: Batch, eps: Tensor) -> PerItem:
        """The squared error of each image that went through its noisy latent, mean over pixels [batch].

        Args:
            images: [batch, channels, height, width].
            eps: standard Normal noise [batch, *latent_shape].
        """
        error: Tensor = self.decoder(self.encoder(images) + NOISE * eps) - images
        return error.square().flatten(1).mean(1)

    @torch.no_grad()
    def encode(self, images: Items) -> Items:
        """The latents of images [n, *latent_shape], by the scale that was learned."""
        return self._in_blocks(self.encoder, images, self.latent_shape)

    @torch.no_grad()
    def decode(self, latents: Items) -> Items:
        """The images of latents [n, channels, height, width]; their values may go a little beyond [-1, 1]."""
        return self._in_blocks(self.decoder, latents, ())

    def _in_blocks(self, part: nn.Module, items: Items, shape: tuple[int, ...]) -> Items:
        was, _ = self.training, self.eval()
        blocks = [part(items[k : k + BLOCK]) for k in range(0, len(items), BLOCK)]
        self.train(was)
        return torch.cat(blocks) if blocks else items.new_zeros(0, math.prod(shape)).reshape(0, *shape)
