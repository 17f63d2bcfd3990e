"""An experiment: everything that a study is made from, in one typed file.

An experiment is read from TOML (or the JSON that a study leaves behind), or is a preset by name. Unknown keys are
refused with the nearest valid one. A study runs every training-set size in ``n_train`` with every seed, and with
``twins`` two models a run, trained on disjoint sets.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from taumem.errors import ConfigError, nearest_name

__all__ = [
    "DataConfig",
    "DiffusionConfig",
    "Experiment",
    "FashionMnistConfig",
    "GaussianConfig",
    "GrammarConfig",
    "ImagesConfig",
    "MLPConfig",
    "MaskedConfig",
    "MixtureConfig",
    "ModelConfig",
    "MonitorConfig",
    "TextConfig",
    "TrainingConfig",
    "TransformerConfig",
    "TreeConfig",
    "UNetConfig",
    "UniformConfig",
    "load_experiment",
    "preset_names",
]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FashionMnistConfig(_Config):
    """The built-in images."""

    source: Literal["fashion-mnist"] = "fashion-mnist"
    size: int | None = Field(default=None, ge=1)
    """Side in pixels to bring the images to; None keeps 28."""
    pad_to: int | None = Field(default=None, ge=1)
    """Side in pixels to pad to, with background, before that."""
    n_heldout: int = Field(default=512, ge=1)


class ImagesConfig(_Config):
    """Images of one's own: a folder, an idx, .npy or .npz file, or CIFAR-10's binary files."""

    source: Literal["images"]
    path: str
    size: int | None = Field(default=None, ge=1)
    pad_to: int | None = Field(default=None, ge=1)
    grayscale: bool = False
    crop: bool = False
    """Whether to cut the largest central square out of each image."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many images, evenly spread over the data."""
    key: str | None = None
    """Which array of a .npz file."""
    value_range: tuple[float, float] | None = None
    """(black, full intensity) in the units of a .npy or .npz file."""
    n_heldout: int | None = Field(default=None, ge=1)
    """None holds out a fifth of the images, at most 512."""


class MixtureConfig(_Config):
    """Two Gaussians, 1/2 N(mu, I) + 1/2 N(-mu, I) with mu = (1, ..., 1): the distribution is known exactly.

    Reference: Bonnaire et al. 2025, arXiv 2505.17638.
    """

    source: Literal["mixture"]
    dimensions: int = Field(default=8, ge=1)
    n_items: int = Field(default=8192, ge=2)
    n_heldout: int = Field(default=1024, ge=1)


class GrammarConfig(_Config):
    """Strings of the Random Hierarchy Model; see :class:`taumem.data.RandomHierarchyModel`."""

    source: Literal["grammar"]
    v: int = Field(ge=2)
    """Symbols a level."""
    m: int = Field(ge=1)
    """Rules a symbol."""
    s: int = Field(ge=2)
    """Symbols that a rule makes."""
    L: int = Field(ge=1)
    """Levels of rules; strings have s^L tokens."""
    rules_seed: int = 0
    """Of the rules, the same for all seeds of a study, which draw other strings."""
    n_classes: int | None = Field(default=None, ge=1)
    """Root symbols; None takes all v of them."""
    zipf: float | tuple[float, ...] = 0.0
    """How unequal the rules of a symbol are; 0 makes all strings equally probable. Otherwise the likely strings come
    first, into the held-out data rather than the training set, and ``gap_exact`` is the gap to look at."""
    n_heldout: int = Field(default=512, ge=1)


class TextConfig(_Config):
    """Windows of text; see :func:`taumem.data.load_text`. P counts windows."""

    source: Literal["text"]
    path: str | None = None
    """text8, any file, or a folder of documents; None takes the built-in English."""
    alphabet: Literal["text8", "characters", "bytes"] = "text8"
    vocabulary: int | None = Field(default=None, ge=1)
    """How many symbols there may be; None for any number."""
    window: int = Field(default=64, ge=1)
    """Symbols in a window."""
    n_heldout: int | None = Field(default=None, ge=2)
    """None holds out a fifth of the windows, at most 512."""


DataConfig = Annotated[
    FashionMnistConfig | ImagesConfig | MixtureConfig | GrammarConfig | TextConfig, Field(discriminator="source")
]


class GaussianConfig(_Config):
    """Gaussian diffusion; see :class:`taumem.diffusion.GaussianDiffusion`."""

    kind: Literal["gaussian"] = "gaussian"
    schedule: Literal["cosine", "linear"] = "cosine"
    weighting: Literal["eps", "v", "x0"] = "v"
    """Which squared error is the loss; the network predicts the same quantity."""
    eta: float = Field(default=0.0, ge=0, le=1)
    """Randomness of sampling: 0 for DDIM, 1 for ancestral."""


class MaskedConfig(_Config):
    """Masked diffusion of tokens; see :class:`taumem.diffusion.MaskedDiffusion`."""

    kind: Literal["masked"]
    schedule: Literal["linear", "polynomial", "cosine"] = "linear"
    """How the share of symbols that are kept falls with the diffusion time."""
    exponent: float = Field(default=1.0, ge=0.5, le=4)
    """Of the ``polynomial`` schedule, which keeps a share 1 - t^exponent; small times hide little if it is large."""
    weighting: Literal["elbo", "x0"] = "elbo"
    """The bound on the likelihood, or the plain cross-entropy of the masked symbols."""
    t_min: float = Field(default=1e-3, gt=0, lt=1)
    """The smallest diffusion time of the loss, whose weight under ``elbo`` is 1/t."""
    sampler: Literal["any-order", "cosine-grid"] = "any-order"
    """One symbol after another, which is exact; or ``monitor.sampling_steps`` steps of several symbols each."""

    @model_validator(mode="after")
    def _exponent_is_of_the_polynomial(self) -> "MaskedConfig":
        if self.exponent != 1 and self.schedule != "polynomial":
            raise ValueError(f"exponent {self.exponent} is for schedule 'polynomial'; got schedule '{self.schedule}'")
        return self


class UniformConfig(_Config):
    """Uniform diffusion of tokens; see :class:`taumem.diffusion.UniformDiffusion`."""

    kind: Literal["uniform"]
    schedule: Literal["linear", "cosine", "linear-betas"] = "linear"
    """``linear-betas``: the discrete one of the grammar's authors, 200 steps."""
    weighting: Literal["x0", "kl"] = "x0"
    """The cross-entropy of the clean symbols, or the divergence of a step's posterior."""
    steps: int | None = Field(default=None, ge=1)
    """Of the ``kl`` loss; None takes those of ``linear-betas``."""


DiffusionConfig = Annotated[GaussianConfig | MaskedConfig | UniformConfig, Field(discriminator="kind")]


class UNetConfig(_Config):
    """See :class:`taumem.models.UNet`."""

    kind: Literal["unet"] = "unet"
    channels: int = Field(default=16, ge=2)
    multipliers: tuple[int, ...] = (1, 4)
    blocks: tuple[int, ...] | int = (1, 0)
    attention: tuple[int, ...] = ()
    head_channels: int = Field(default=32, ge=1)
    patch: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class MLPConfig(_Config):
    """See :class:`taumem.models.MLP`."""

    kind: Literal["mlp"]
    width: int = Field(default=128, ge=2)
    depth: int = Field(default=3, ge=0)


class TreeConfig(_Config):
    """The grammar's U-Net; see :class:`taumem.models.TreeUNet`."""

    kind: Literal["tree"]
    widths: int | tuple[int, ...] = 128
    """Of each level, from the symbols up; one number for all."""
    time_features: int = Field(default=0, ge=0)
    """Functions of the diffusion time that every layer reads; masked diffusion needs none."""


class TransformerConfig(_Config):
    """For text; see :class:`taumem.models.Transformer`. It takes texts as long as the windows."""

    kind: Literal["transformer"]
    width: int = Field(default=96, ge=2)
    depth: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    mlp_ratio: float = Field(default=4.0, gt=0)
    stem: int = Field(default=9, ge=1)
    """Symbols around a position that its input shows, odd."""
    time_conditioning: bool = False
    activation: Literal["relu", "gelu"] = "relu"


ModelConfig = Annotated[UNetConfig | MLPConfig | TreeConfig | TransformerConfig, Field(discriminator="kind")]


class TrainingConfig(_Config):
    """See :func:`taumem.training.train`."""

    batch_size: int | Literal["P"] = 16
    """Training examples a step; ``"P"`` for the whole training set at every step."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Constant: a decay would freeze the clocks."""
    weight_decay: float = Field(default=0.0, ge=0)
    warmup: int = Field(default=0, ge=0)
    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; 0 or None for no limit."""
    ema_window: float | None = Field(default=0.1, gt=0, lt=0.28)
    """Width of the weights' average as a share of training; 0 or None measures the raw weights."""
    min_steps: int = Field(default=300, ge=1)
    steps_per_example: float = Field(default=30.0, ge=0)
    """A run of P training examples takes max(min_steps, steps_per_example * P) optimizer steps, at most."""
    stop_at_copies: float | None = Field(default=None, gt=0, lt=1)
    """A run ends once copies above chance exceed this share in two looks one after another; None runs to the end."""
    together: bool = False
    """Whether to train runs as one batched program: much faster for small networks on tokens or vectors."""

    @field_validator("clip", "ema_window", mode="before")
    @classmethod
    def _none_is_zero_in_toml(cls, value: Any) -> Any:
        return None if value == 0 else value

    @model_validator(mode="after")
    def _batch_size_is_positive(self) -> "TrainingConfig":
        if self.batch_size != "P" and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, or 'P'; got {self.batch_size}")
        return self


class MonitorConfig(_Config):
    """What is measured, and when."""

    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(default=(0.15, 0.35, 0.55), min_length=1)
    """Diffusion times of the losses."""
    n_items: int = Field(default=64, ge=2)
    """At most this many training items (and as many of the twin's) enter the losses."""
    n_heldout_items: int = Field(default=128, ge=2)
    first: int = Field(default=16, ge=1)
    """The first step to look at."""
    per_doubling: int = Field(default=4, ge=1)
    """Looks for each doubling of the step."""
    n_samples: int = Field(default=64, ge=0)
    """Samples a look; 0 for none."""
    samples_per_doubling: int = Field(default=2, ge=1)
    sampling_steps: int = Field(default=15, ge=1)


_FITTING = {
    "fashion-mnist": (("gaussian",), ("unet", "mlp")),
    "images": (("gaussian",), ("unet", "mlp")),
    "mixture": (("gaussian",), ("unet", "mlp")),
    "grammar": (("masked", "uniform"), ("tree", "transformer", "mlp")),
    "text": (("masked", "uniform"), ("transformer", "mlp")),
}
"""The kinds of diffusion and of model that each source of data takes."""


class Experiment(_Config):
    """All of a study. The defaults are the small image study that two cores can do."""

    name: str = Field(min_length=1)
    n_train: tuple[int, ...] = Field(min_length=1)
    """Sizes P of the training set."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    twins: bool = True
    """Whether to train two models on disjoint sets, for each size and seed."""
    data: DataConfig = FashionMnistConfig()
    diffusion: DiffusionConfig = GaussianConfig()
    model: ModelConfig = UNetConfig()
    training: TrainingConfig = TrainingConfig()
    monitor: MonitorConfig = MonitorConfig()

    @model_validator(mode="before")
    @classmethod
    def _diffusion_is_gaussian_unless_said(cls, content: Any) -> Any:
        if isinstance(content, dict) and isinstance(content.get("diffusion"), dict):
            return content | {"diffusion": {"kind": "gaussian"} | content["diffusion"]}
        return content

    @model_validator(mode="after")
    def _sizes_are_usable(self) -> "Experiment":
        if any(n < 2 for n in self.n_train):
            raise ValueError(f"n_train: a training set needs at least 2 items; got {list(self.n_train)}")
        if len(set(self.n_train)) < len(self.n_train) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("n_train and seeds must not repeat a value: the same run would be made twice")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "Experiment":
        diffusions, models = _FITTING[self.data.source]
        for key, kind, fitting in (("diffusion", self.diffusion.kind, diffusions), ("model", self.model.kind, models)):
            if kind not in fitting:
                raise ValueError(
                    f"data.source '{self.data.source}' takes {key}.kind {' or '.join(map(repr, fitting))}; got '{kind}'"
                )
        if self.training.together and getattr(self.model, "dropout", 0) > 0:
            raise ValueError(
                "training.together gives no run a dropout of its own; set model.dropout = 0, or together = false"
            )
        if self.training.together and self.training.batch_size == "P":
            raise ValueError("training.together needs one batch size for all runs; batch_size = 'P' gives each its own")
        if self.twins and self.monitor.n_samples == 1:
            raise ValueError("twins are compared by 2 samples or more; monitor.n_samples is 1 (0 for none)")
        if self.training.stop_at_copies is not None and self.monitor.n_samples == 0:
            raise ValueError("training.stop_at_copies needs samples to count copies among; monitor.n_samples is 0")
        return self

    @property
    def recipe(self) -> dict[str, Any]:
        """All but the sizes and seeds: what the runs of one study share, and the law is a law of."""
        return self.model_dump(mode="json", exclude={"n_train", "seeds"})

    def steps(self, n_train: int) -> int:
        """Optimizer steps of a run with P training examples."""
        return max(self.training.min_steps, round(self.training.steps_per_example * n_train))

    def batch_size(self, n_train: int) -> int:
        """Training examples a step, for P training examples."""
        return n_train if self.training.batch_size == "P" else int(self.training.batch_size)


def preset_names() -> list[str]:
    """The names of the experiments that come with the package."""
    return sorted(file.name.removesuffix(".toml") for file in _presets() if file.name.endswith(".toml"))


def load_experiment(source: str | Path, changes: Sequence[str] = ()) -> Experiment:
    """Read an experiment from a file, or take a preset, and change some of its keys.

    Args:
        source: a .toml or .json file, or a preset's name.
        changes: such as ``"training.batch_size=32"``; values as in TOML, quotes around plain words may be left out.

    Raises:
        ConfigError: no such file or preset, not TOML or JSON, or a key or value that an experiment does not have.
    """
    path = Path(source)
    if path.suffix in (".toml", ".json"):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as text ({error}); expected an experiment's file.") from None
    else:
        presets = {file.name.removesuffix(".toml"): file for file in _presets()}
        if str(source) not in presets:
            raise ConfigError(
                f"'{source}' is neither a .toml or .json file nor a preset; {nearest_name(str(source), presets)}"
            )
        text = presets[str(source)].read_text(encoding="utf-8")
    try:
        content: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{source}: not valid {path.suffix[1:].upper() or 'TOML'}: {error}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: expected the keys of an experiment; got a {type(content).__name__}.")
    for change in changes:
        _apply(content, change)
    return _validated(content, str(source))


def _presets() -> list[Any]:
    return list((resources.files("taumem.lab") / "presets").iterdir())


def _apply(content: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set takes key=value, such as training.batch_size=32; got '{change}'.")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *folders, last = key.strip().split(".")
    place = content
    for folder in folders:
        place = place.setdefault(folder, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {change}: '{folder}' is a value, not a section with keys of its own.")
    if last in ("source", "kind") and place.get(last) != value:
        place.clear()  # the keys of another source or model mean nothing to this one
    place[last] = value


def _validated(content: Mapping[str, Any], source: str) -> Experiment:
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explained(error, content)}") from None


def _explained(error: ValidationError, content: Mapping[str, Any]) -> str:
    """The first problem in a sentence; an unknown key with the nearest that exists."""
    # An unknown key is the cause of what a missing one reports, so it is told first.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    # Beside keys, a location names the tags of sections and which type of several was tried.
    place = [part for part in problem["loc"] if not (isinstance(part, str) and (part in _TAGS or _is_a_type(part)))]
    key = ".".join(map(str, place))
    if problem["type"] == "extra_forbidden":
        section = _config_at(problem["loc"][:-1])
        return f"unknown key '{key}'; {nearest_name(str(place[-1]), section.model_fields)}"
    if problem["type"] == "union_tag_invalid":
        context = problem.get("ctx", {})
        known = [tag.strip("' ") for tag in str(context.get("expected_tags", "")).split(",")]
        tag = str(context.get("discriminator", "")).strip("'")
        return f"{key}.{tag} is '{context.get('tag')}'; {nearest_name(str(context.get('tag')), known)}"
    if problem["type"] == "union_tag_not_found":
        tag = str(problem.get("ctx", {}).get("discriminator", "")).strip("'")
        return f"the section '{key}' needs a '{tag}'."
    if problem["type"] == "missing":
        return f"the key '{key}' is missing."
    message = problem["msg"].removeprefix("Value error, ")
    if isinstance(problem["input"], Mapping):  # a whole section: the message itself says what came
        return f"{key + ': ' if key else ''}{message}."
    if problem["type"] == "tuple_type":
        message = "expected a list, such as [64, 128]"
    return f"{key}: {message[:1].lower()}{message[1:]}; got {problem['input']!r}."


def _is_a_type(part: str) -> bool:
    return part in ("int", "float", "str") or part.startswith(("tuple[", "literal[", "function-"))


_TAGS: dict[str | int, type[_Config]] = {
    "fashion-mnist": FashionMnistConfig,
    "images": ImagesConfig,
    "mixture": MixtureConfig,
    "grammar": GrammarConfig,
    "text": TextConfig,
    "gaussian": GaussianConfig,
    "masked": MaskedConfig,
    "uniform": UniformConfig,
    "unet": UNetConfig,
    "mlp": MLPConfig,
    "tree": TreeConfig,
    "transformer": TransformerConfig,
}
_SECTIONS: dict[str | int, type[_Config]] = {
    "training": TrainingConfig,
    "monitor": MonitorConfig,
}


def _config_at(place: Sequence[str | int]) -> type[_Config]:
    return (_TAGS | _SECTIONS)[place[-1]] if place else Experiment
