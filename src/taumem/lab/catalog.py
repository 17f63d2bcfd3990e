"""From names to objects: the only place where a configuration becomes data, a process or a network."""

from functools import lru_cache
from pathlib import Path
from typing import assert_never

from torch import Generator, Tensor, nn

from taumem.data import (
    GaussianMixture,
    RandomHierarchyModel,
    Split,
    Text,
    load_fashion_mnist,
    load_images,
    load_text,
    resize,
)
from taumem.data.alphabets import AlphabetName
from taumem.diffusion import (
    Cosine,
    CosineKeeping,
    Denoiser,
    GaussianDiffusion,
    KeepSchedule,
    Linear,
    LinearBetas,
    MaskedDiffusion,
    Polynomial,
    UniformDiffusion,
)
from taumem.errors import ConfigError
from taumem.lab.experiment import (
    DataConfig,
    DiffusionConfig,
    FashionMnistConfig,
    GaussianConfig,
    GrammarConfig,
    ImagesConfig,
    MaskedConfig,
    MixtureConfig,
    MLPConfig,
    ModelConfig,
    TextConfig,
    TransformerConfig,
    TreeConfig,
    UNetConfig,
    UniformConfig,
)
from taumem.models import (
    MLP,
    BeliefDenoiser,
    Categorical,
    MixtureDenoiser,
    OneHot,
    Preconditioned,
    Transformer,
    TreeUNet,
    UNet,
)
from taumem.randomness import generator_for

__all__ = ["AnyDiffusion", "make_denoiser", "make_diffusion", "make_exact", "make_grammar", "make_split", "make_text"]

AnyDiffusion = GaussianDiffusion | MaskedDiffusion | UniformDiffusion

_KEEPING: dict[str, KeepSchedule] = {
    "linear": Polynomial(),
    "cosine": CosineKeeping(),
    "linear-betas": LinearBetas(),
}


def make_split(config: DataConfig, seed: int, n_train: int) -> Split:
    """Load or draw data, in an order that depends on the seed, with some held out.

    Args:
        config: which data.
        seed: of the shuffle.
        n_train: how many training items are needed at least.

    Raises:
        TaumemError: the data are not there, or too few.
    """
    match config:
        case GrammarConfig():
            return make_grammar(config).split(n_train, config.n_heldout, seed)
        case TextConfig():
            return _windows(config, seed, n_train)
        case _:
            return _shuffled(config, seed)


def make_grammar(config: GrammarConfig) -> RandomHierarchyModel:
    """Make the grammar."""
    options = config.model_dump(exclude={"source", "n_heldout", "rules_seed"})
    return RandomHierarchyModel(**options, seed=config.rules_seed)


def make_text(config: TextConfig) -> Text:
    """Load the text."""
    return _text(config.path, config.alphabet, config.vocabulary)


def make_diffusion(config: DiffusionConfig, vocabulary: int | None) -> AnyDiffusion:
    """Make the diffusion process, of tokens where there is a vocabulary."""
    match config:
        case GaussianConfig():
            schedules = {"cosine": Cosine, "linear": Linear}
            return GaussianDiffusion(schedules[config.schedule](), config.weighting, config.eta)
        case MaskedConfig():
            keeping = Polynomial(config.exponent) if config.schedule == "polynomial" else _KEEPING[config.schedule]
            return MaskedDiffusion(vocabulary or 0, keeping, config.weighting, config.t_min)
        case UniformConfig():
            return UniformDiffusion(vocabulary or 0, _KEEPING[config.schedule], config.weighting, config.steps)
        case _:
            assert_never(config)


def make_denoiser(
    config: ModelConfig, diffusion: AnyDiffusion, data: DataConfig, item_shape: tuple[int, ...], generator: Generator
) -> nn.Module:
    """Make a denoiser with fresh weights.

    Raises:
        ConfigError: a network that cannot be, or that is not for such data.
    """
    options = config.model_dump(exclude={"kind"}) | {"generator": generator}
    match config, diffusion, data:
        case UNetConfig(), GaussianDiffusion(), _:
            return Preconditioned(UNet(item_shape, **options), diffusion, predicts=diffusion.weighting)
        case MLPConfig(), GaussianDiffusion(), _:
            return Preconditioned(MLP(item_shape, **options), diffusion, predicts=diffusion.weighting)
        case MLPConfig(), (MaskedDiffusion() | UniformDiffusion()) as of_tokens, _:
            return Categorical(OneHot(MLP((*item_shape, of_tokens.symbols), **options), of_tokens), of_tokens)
        case TreeConfig(), (MaskedDiffusion() | UniformDiffusion()) as of_tokens, GrammarConfig(s=s, L=depth):
            tree = TreeUNet(s, depth, of_tokens.vocabulary, symbols=of_tokens.symbols, **options)
            return Categorical(tree, of_tokens)
        case TransformerConfig(), (MaskedDiffusion() | UniformDiffusion()) as of_tokens, _:
            network = Transformer(item_shape[0], of_tokens.vocabulary, symbols=of_tokens.symbols, **options)
            return Categorical(network, of_tokens)
        case _:
            raise ConfigError(f"model.kind '{config.kind}' is not for data.source '{data.source}'.")


def make_exact(data: DataConfig, diffusion: AnyDiffusion) -> Denoiser | None:
    """Make the exact optimum on the distribution of the data; None where nobody knows it."""
    match data, diffusion:
        case GrammarConfig(), MaskedDiffusion() | UniformDiffusion():
            return BeliefDenoiser(make_grammar(data), diffusion)
        case MixtureConfig(), GaussianDiffusion():
            return MixtureDenoiser(diffusion, _mixture(data))
        case _:
            return None


@lru_cache(maxsize=8)  # a run asks several times
def _windows(config: TextConfig, seed: int, n_train: int) -> Split:
    text = make_text(config)
    n_heldout = config.n_heldout or max(2, _heldout_of(text.n_windows(config.window)))
    return text.windows(n_train, n_heldout, config.window, seed).split


@lru_cache(maxsize=1)
def _text(path: str | None, alphabet: AlphabetName, vocabulary: int | None) -> Text:
    return load_text(path, alphabet=alphabet, vocabulary=vocabulary)


@lru_cache(maxsize=1)  # the runs of one seed share their shuffle
def _shuffled(config: FashionMnistConfig | ImagesConfig | MixtureConfig, seed: int) -> Split:
    name = Path(config.path).name if isinstance(config, ImagesConfig) else config.source
    items = _items(config)
    n_heldout = _heldout_of(len(items)) if config.n_heldout is None else config.n_heldout
    return Split.make(name, items, n_heldout, seed=seed)


def _heldout_of(n_items: int) -> int:
    """How many items are held out where nobody says it."""
    return min(512, n_items // 5)


@lru_cache(maxsize=1)  # and all runs of a study share what was read
def _items(config: FashionMnistConfig | ImagesConfig | MixtureConfig) -> Tensor:
    match config:
        case FashionMnistConfig():
            images = load_fashion_mnist()
            return images if config.size is None else resize(images, config.size, pad_to=config.pad_to)
        case ImagesConfig():
            return load_images(**config.model_dump(exclude={"source", "n_heldout"}))
        case MixtureConfig():
            return _mixture(config).sample(config.n_items, generator_for(0, "mixture"))
        case _:
            assert_never(config)


def _mixture(config: MixtureConfig) -> GaussianMixture:
    return GaussianMixture.two_modes(config.dimensions)
