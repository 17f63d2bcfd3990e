"""What comes before the runs of a study: the pretraining of their network, and of an autoencoder for its latents.

These are the sections ``[pretraining]`` and ``[latents]`` of an experiment; :mod:`taumem.lab.pretrained` makes what
they say, once for a study.
"""

from typing import Annotated

from pydantic import Field, PlainValidator, SerializeAsAny
from torch import Generator

from taumem.lab.sections import Config, DataConfig, Shape
from taumem.models import Autoencoder

__all__ = ["LatentsConfig", "PretrainingConfig"]

MOST_STEPS = 1_000_000_000
MOST_ITEMS = 10_000_000


class PretrainingConfig(Config):
    """A network that all runs start from; it is trained like them but for what is said here."""

    data: Annotated[SerializeAsAny[DataConfig], PlainValidator(DataConfig.named)]
    """What it learns: data of the same kind as those of the runs."""
    n_train: int = Field(ge=2, le=MOST_ITEMS)
    """Number of its training examples."""
    steps: int = Field(ge=0, le=MOST_STEPS)
    """Optimizer steps; 0 trains the autoencoder of the latents alone, and runs start from fresh weights."""
    batch_size: int = Field(default=64, ge=1, le=65_536)
    learning_rate: float = Field(default=3e-3, gt=0)
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Of everything that is drawn for it; all runs of a study start from one network."""


class LatentsConfig(Config):
    """Latents of images, in which diffusion takes place; see :class:`taumem.models.Autoencoder`.

    The autoencoder is trained on the data of the pretraining, and not changed after that.
    """

    channels: int = Field(default=4, ge=1, le=1024)
    """Of a latent."""
    width: int = Field(default=32, ge=1, le=65_536)
    """Channels of the layers in between."""
    halvings: int = Field(default=2, ge=1, le=16)
    """How often the grid is halved."""
    steps: int = Field(default=2000, ge=1, le=MOST_STEPS)
    batch_size: int = Field(default=64, ge=2, le=65_536)
    learning_rate: float = Field(default=2e-3, gt=0)

    def build(self, item_shape: Shape, generator: Generator | None = None) -> Autoencoder:
        """Make it with fresh weights.

        Raises:
            ConfigError: images that cannot be halved so often.
        """
        return Autoencoder(
            item_shape, channels=self.channels, width=self.width, halvings=self.halvings, generator=generator
        )
