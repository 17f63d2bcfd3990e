"""From names to objects: the only place where a configuration becomes data, a process or a network."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import assert_never

from torch import Generator, Tensor, nn

from taumem.data import GaussianMixture, Split, load_fashion_mnist, load_images, resize
from taumem.diffusion import Cosine, GaussianDiffusion, Linear
from taumem.lab.experiment import (
    DataConfig,
    DiffusionConfig,
    FashionMnistConfig,
    ImagesConfig,
    MixtureConfig,
    MLPConfig,
    ModelConfig,
    UNetConfig,
)
from taumem.models import MLP, Preconditioned, UNet
from taumem.randomness import generator_for

__all__ = ["make_denoiser", "make_diffusion", "make_split"]


@lru_cache(maxsize=1)  # the runs of one seed share their shuffle
def make_split(config: DataConfig, seed: int) -> Split:
    """Load the data, shuffle them by the seed, and hold some out."""
    name = Path(config.path).name if isinstance(config, ImagesConfig) else config.source
    items = _items(config)
    n_heldout = min(512, len(items) // 5) if config.n_heldout is None else config.n_heldout
    return Split.make(name, items, n_heldout, seed=seed)


def make_diffusion(config: DiffusionConfig) -> GaussianDiffusion:
    """Make the diffusion process."""
    schedules = {"cosine": Cosine, "linear": Linear}
    return GaussianDiffusion(schedules[config.schedule](), config.weighting, config.eta)


def make_denoiser(
    config: ModelConfig, diffusion: GaussianDiffusion, item_shape: Sequence[int], generator: Generator
) -> nn.Module:
    """Make a denoiser with fresh weights."""
    options = config.model_dump(exclude={"kind"})
    network: nn.Module
    match config:
        case UNetConfig():
            network = UNet(item_shape, **options, generator=generator)
        case MLPConfig():
            network = MLP(item_shape, **options, generator=generator)
        case _:
            assert_never(config)
    return Preconditioned(network, diffusion, predicts=diffusion.weighting)


@lru_cache(maxsize=1)  # and all runs of a study share what was read
def _items(config: DataConfig) -> Tensor:
    match config:
        case FashionMnistConfig():
            images = load_fashion_mnist()
            return images if config.size is None else resize(images, config.size, pad_to=config.pad_to)
        case ImagesConfig():
            return load_images(**config.model_dump(exclude={"source", "n_heldout"}))
        case MixtureConfig():
            mixture = GaussianMixture.two_modes(config.dimensions)
            return mixture.sample(config.n_items, generator_for(0, "mixture"))
        case _:
            assert_never(config)
