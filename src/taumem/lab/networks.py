"""The networks that several domains share: the configs, beside what they build."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Generator, nn

from taumem.diffusion import AutoregressiveDiffusion, Diffusion, GaussianDiffusion, LearnedVariance, TokenDiffusion
from taumem.errors import ConfigError
from taumem.lab.domain import Domain
from taumem.lab.sections import ModelConfig, Shape
from taumem.models import MLP, Categorical, OneHot, Preconditioned, SineFeatures, Transformer, UNet

__all__ = ["MLPConfig", "RandomFeaturesConfig", "TransformerConfig", "UNetConfig", "of_tokens"]


MOST_HALVINGS = 16
"""Levels of a U-Net: each halves the image, and none is larger than 65,536 pixels."""
MOST_LAYERS = 1000
Blocks = Annotated[int, Field(ge=0, le=100)]


class UNetConfig(ModelConfig):
    """See :class:`taumem.models.UNet`."""

    kind: Literal["unet"] = "unet"
    channels: int = Field(default=16, ge=2, le=65_536)
    multipliers: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        default=(1, 4), min_length=1, max_length=MOST_HALVINGS
    )
    blocks: Annotated[tuple[Blocks, ...], Field(min_length=1, max_length=MOST_HALVINGS)] | Blocks = (1, 0)
    attention: tuple[int, ...] = Field(default=(), max_length=MOST_HALVINGS)
    head_channels: int = Field(default=32, ge=1, le=65_536)
    patch: int = Field(default=1, ge=1, le=4096)
    dropout: float = Field(default=0.0, ge=0, lt=1)

    def build(self, domain: Domain, item_shape: Shape, diffusion: Diffusion, generator: Generator) -> nn.Module:
        """Make a denoiser of images."""
        gaussian = _of_numbers(self, diffusion)
        outputs = 2 if isinstance(gaussian, LearnedVariance) else 1
        network = UNet(item_shape, **self.options, outputs=outputs, generator=generator)
        return Preconditioned(network, gaussian, predicts=gaussian.weighting)


class MLPConfig(ModelConfig):
    """See :class:`taumem.models.MLP`."""

    kind: Literal["mlp"]
    width: int = Field(default=128, ge=2, le=65_536)
    depth: int = Field(default=3, ge=0, le=MOST_LAYERS)

    def build(self, domain: Domain, item_shape: Shape, diffusion: Diffusion, generator: Generator) -> nn.Module:
        """Make a denoiser of anything: of tokens as vectors that are 1 at the symbol and 0 elsewhere."""
        if isinstance(diffusion, LearnedVariance):
            raise ConfigError("diffusion.learned_variance needs a network with outputs for it: model.kind 'unet'.")
        if isinstance(diffusion, GaussianDiffusion):
            network = MLP(item_shape, **self.options, generator=generator)
            return Preconditioned(network, diffusion, predicts=diffusion.weighting)
        tokens = of_tokens(self, diffusion)
        if isinstance(tokens, AutoregressiveDiffusion):
            raise ConfigError(
                "diffusion.kind 'autoregressive' needs a network that reads only what stands before a position: "
                f"model.kind 'transformer'; got '{self.kind}'."
            )
        network = MLP((*item_shape, tokens.symbols), **self.options, generator=generator)
        return Categorical(OneHot(network, tokens), tokens)


class RandomFeaturesConfig(ModelConfig):
    """For one diffusion time (``diffusion.only_at``), and solved: see :class:`taumem.models.SineFeatures`."""

    kind: Literal["random-features"]
    width: int = Field(default=1024, ge=1, le=65_536)
    gain: float = Field(default=1.0, gt=0, le=100)

    def build(self, domain: Domain, item_shape: Shape, diffusion: Diffusion, generator: Generator) -> nn.Module:
        """Make a denoiser of numbers."""
        gaussian = _of_numbers(self, diffusion)
        network = SineFeatures(item_shape, **self.options, generator=generator)
        return Preconditioned(network, gaussian, predicts=gaussian.weighting)


class TransformerConfig(ModelConfig):
    """For text; see :class:`taumem.models.Transformer`. It takes texts as long as the windows."""

    kind: Literal["transformer"]
    width: int = Field(default=96, ge=2, le=65_536)
    depth: int = Field(default=2, ge=1, le=MOST_LAYERS)
    heads: int = Field(default=2, ge=1, le=1024)
    mlp_ratio: float = Field(default=4.0, gt=0, le=64)
    stem: int = Field(default=9, ge=1, le=1025)
    """Symbols around a position (autoregressive: before it) that its input shows, odd."""
    time_conditioning: bool = False
    activation: Literal["relu", "gelu"] = "relu"

    def build(self, domain: Domain, item_shape: Shape, diffusion: Diffusion, generator: Generator) -> nn.Module:
        """Make a denoiser of tokens in a row."""
        tokens = of_tokens(self, diffusion)
        network = Transformer(
            item_shape[0],
            tokens.vocabulary,
            symbols=tokens.symbols,
            causal=isinstance(tokens, AutoregressiveDiffusion),
            **self.options,
            generator=generator,
        )
        return Categorical(network, tokens)


def of_tokens(config: ModelConfig, diffusion: Diffusion) -> TokenDiffusion:
    """Take a diffusion for one of tokens.

    Raises:
        ConfigError: it is another one.
    """
    if not isinstance(diffusion, TokenDiffusion):
        raise _not_for(config, diffusion)
    return diffusion


def _of_numbers(config: ModelConfig, diffusion: Diffusion) -> GaussianDiffusion:
    if not isinstance(diffusion, GaussianDiffusion):
        raise _not_for(config, diffusion)
    return diffusion


def _not_for(config: ModelConfig, diffusion: Diffusion) -> ConfigError:
    return ConfigError(f"model.kind '{config.kind}' makes no denoiser for {type(diffusion).__name__}.")
