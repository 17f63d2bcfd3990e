"""Images: the built-in ones, or one's own from a folder or a file. Copies are found by the distance of pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from taumem.data import Split, load_fashion_mnist, resize
from taumem.data.fashion_mnist import N_CLASSES
from taumem.data.images import stored_images
from taumem.data.stored import Stored
from taumem.errors import ConfigError
from taumem.lab.diffusions import GaussianConfig
from taumem.lab.domain import Asked, losses, n_heldout_unless_said, nearness
from taumem.lab.networks import MLPConfig, RandomFeaturesConfig, UNetConfig
from taumem.lab.sections import DataConfig
from taumem.probes import Copies, MotifUse, PartCopies, Probe, SampleProbe
from taumem.probes.motif_use import patch_kinds
from taumem.probes.part_copies import Patches
from taumem.record import DataFacts
from taumem.shapes import Items

__all__ = ["FashionMnistConfig", "ImagesConfig"]

KINDS = 32
"""Kinds of patches that are told apart at each place, at most: as many held-out images are spent on them."""
MOTIF_SIZES = (0.25, 0.5)
"""Sides of the patches that are motifs, as shares of an image's side."""


class FashionMnistConfig(DataConfig):
    """The built-in images."""

    diffusions = (GaussianConfig,)
    models = (UNetConfig, MLPConfig, RandomFeaturesConfig)
    are_images = True
    counts_items = True

    source: Literal["fashion-mnist"] = "fashion-mnist"
    size: int | None = Field(default=None, ge=1, le=4096)
    """Side in pixels to bring the images to; None keeps 28."""
    pad_to: int | None = Field(default=None, ge=1, le=16_384)
    """Side in pixels to pad to, with background, before that."""
    classes: tuple[Annotated[int, Field(ge=0, lt=N_CLASSES)], ...] | None = Field(default=None, min_length=1)
    """Which of the ten classes (0 T-shirt, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag,
    9 ankle boot); None for all."""
    n_heldout: int = Field(default=512, ge=1)

    def open(self) -> "ImageDomain":
        """Read the images."""
        images = load_fashion_mnist()
        if self.classes is not None:  # classes take turns
            images = images[[k for k in range(len(images)) if k % N_CLASSES in self.classes]]
        images = images if self.size is None else resize(images, self.size, pad_to=self.pad_to)
        return ImageDomain(self.source, images, self.n_heldout)


class ImagesConfig(DataConfig):
    """Images of one's own: a folder, an idx, .npy or .npz file, CIFAR-10's files, or a Hugging Face dataset."""

    diffusions = (GaussianConfig,)
    models = (UNetConfig, MLPConfig, RandomFeaturesConfig)
    are_images = True
    counts_items = True

    source: Literal["images"]
    path: str | None = None
    """Where they are, or ``hf:NAME:SPLIT:COLUMN``. There is no default: only the user knows."""
    size: int | None = Field(default=None, ge=1, le=4096)
    pad_to: int | None = Field(default=None, ge=1, le=16_384)
    grayscale: bool = False
    crop: bool | Annotated[int, Field(ge=1, le=16_384)] = False
    """Whether to cut the largest central square out of each image; or the side of the square in pixels."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many images, evenly spread over the data."""
    key: str | None = None
    """Which array of a .npz file."""
    value_range: tuple[float, float] | None = None
    """(black, full intensity) in the units of a .npy or .npz file."""
    skip_unreadable: bool = False
    """Whether to pass over files in a folder that cannot be read, with a note that names them."""
    n_heldout: int | None = Field(default=None, ge=1)
    """None holds out a fifth of the images, at most 512."""

    def open(self) -> "ImageDomain":
        """Read the images."""
        if self.path is None:
            raise ConfigError("the key 'data.path' is missing: say where your images are by --set data.path=FOLDER.")
        images = stored_images(self.path, **self.model_dump(exclude={"source", "path", "n_heldout"}))
        return ImageDomain(Path(self.path).name, images, self.n_heldout or n_heldout_unless_said(len(images)))


@dataclass(frozen=True, eq=False)
class ImageDomain:
    """Images in memory, [n, channels, height, width]: floats, or bytes that become floats where a run takes them."""

    name: str
    images: Items | Stored
    n_heldout: int

    @property
    def n_bytes(self) -> int:
        """What the images take of the memory, in all."""
        held: int = self.images.values.nbytes if isinstance(self.images, Stored) else self.images.nbytes
        return held

    def split(self, n_train: int, seed: int) -> Split:
        """Shuffle the images, with the first of them held out; no more of them are made floats than are asked for."""
        return Split.make(self.name, self.images, self.n_heldout, seed=seed, n_train=n_train)

    def facts(self, split: Split) -> DataFacts:
        """Say that they are images."""
        return split.facts.model_copy(update={"kind": "images"})

    def probes(self, asked: Asked) -> list[Probe]:
        """Ask for the losses, and how near the model is to total memorization."""
        return [losses(asked), nearness(asked)]

    def sample_probes(self, split: Split) -> list[SampleProbe]:
        """Ask for copies."""
        return [Copies(split.train, split.heldout)]

    def part_probes(self, split: Split) -> list[SampleProbe]:
        """Ask which samples have a patch of a training image, and which kinds of patches they use."""
        n_kinds = max(1, min(KINDS, len(split.heldout) // 4))
        motifs = {f"{size:g}": patch_kinds(split.heldout[:n_kinds], size) for size in MOTIF_SIZES}
        return [PartCopies(Patches(split.train), split.heldout), MotifUse(split.heldout[n_kinds:], motifs)]
