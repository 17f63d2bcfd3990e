"""A multilayer perceptron for vectors, and for images as a control without an image's inductive bias."""

import math
from collections.abc import Sequence

from torch import Generator, Tensor, nn
from torch.nn import functional

from taumem.errors import ConfigError
from taumem.models.initialization import initialize, without_global_draws
from taumem.models.time_embedding import sinusoids
from taumem.shapes import Batch, Times

__all__ = ["MLP"]


class MLP(nn.Module):
    """Residual layers of one width; the diffusion time is added to the first.

    Args:
        item_shape: the shape of one item; it is flattened inside.
        width: of every hidden layer.
        depth: number of residual layers.
        generator: of the initial weights; None takes a fixed one.

    Raises:
        ConfigError: an odd width.
    """

    @without_global_draws
    def __init__(
        self,
        item_shape: Sequence[int],
        *,
        width: int = 128,
        depth: int = 3,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ConfigError(f"width must be an even number (half of it sines, half cosines of t); got {width}.")
        size = math.prod(item_shape)
        self.width = width
        self.embed = nn.Linear(width, width)
        self.enter = nn.Linear(size, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.leave = nn.Linear(width, size)
        initialize(self, generator)

    def forward(self, xt: Batch, t: Times) -> Tensor:
        """Map items [batch, ...] and times [batch] to a tensor of the items' shape."""
        h = self.enter(xt.flatten(1)) + self.embed(sinusoids(t, self.width))
        for layer in self.layers:
            h = h + layer(functional.silu(h))
        out: Tensor = self.leave(functional.silu(h))
        return out.reshape(xt.shape)
