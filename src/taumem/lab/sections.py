"""The sections of an experiment that come in kinds: what ``[data]``, ``[diffusion]`` and ``[model]`` may hold.

Each of the three is an open family of configs. One key of a section, its tag, names the member of the family, and a
member joins by being defined: a class with a ``Literal`` of its own for that key, in whatever module. A config stands
beside what it builds, so that names become objects in one place.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, cast, get_args

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError
from torch import Generator, nn

from taumem.data.readers.opening import memory_of_machine
from taumem.diffusion import Denoiser, Diffusion, denoise
from taumem.errors import ConfigError
from taumem.lab.domain import Domain
from taumem.probes import Restore
from taumem.shapes import Items

__all__ = ["Config", "DataConfig", "DiffusionConfig", "Draw", "ModelConfig", "Section", "Shape"]

Shape = tuple[int, ...]
"""Of one item."""

MOST_PARAMETERS = 2_000_000_000
BYTES_PER_PARAMETER = 20
"""Of single precision: weight, gradient, two moments and the average."""

Draw = Callable[[Denoiser, int, Shape, Generator], Items]
"""Draws samples: (denoiser, n, item_shape, generator) -> [n, *item_shape]."""


class Config(BaseModel):
    """Keys and values: frozen, and any other key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, content: Any) -> Any:
        known = list(cls.model_fields)
        for key in content if isinstance(content, Mapping) else ():
            if key not in known:
                raise PydanticCustomError("key_unknown", "there is no key '{key}'", {"key": key, "known": known})
            values = value if isinstance(value := content[key], list | tuple) else [value]
            if any(isinstance(v, bool) for v in values) and not _may_be_bool(cls.model_fields[key].annotation):
                # Python takes true for 1: a slip would pass for a number.
                raise PydanticCustomError("bool_unexpected", "'{key}' is not a matter of true or false", {"key": key})
        return content


def _may_be_bool(annotation: Any) -> bool:
    return annotation is bool or bool in get_args(annotation)


class Section(Config):
    """A section whose tag says which keys it has. Values are hashable: tuples, not lists."""

    tag_key: ClassVar[str]
    """The key that holds the tag."""
    unless_said: ClassVar[str | None] = None
    """The tag of a section that has none; None where it must have one."""
    members: ClassVar[dict[str, type["Section"]]]
    """All of the family, by their tags."""
    tag: ClassVar[str]
    """The tag of this member."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Join the family, if the class has a tag.

        Raises:
            ConfigError: another class has that tag.
        """
        super().__pydantic_init_subclass__(**kwargs)
        field = cls.model_fields.get(cls.tag_key)
        for tag in get_args(field.annotation) if field else ():
            other = cls.members.setdefault(tag, cls)
            if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ConfigError(
                    f"{cls.tag_key} '{tag}' is taken by {other.__module__}.{other.__qualname__}; "
                    f"give {cls.__qualname__} one of its own: {cls.tag_key}: Literal['another']."
                )
            cls.tag = tag
            cls.members[tag] = cls  # a notebook's cell may define it once more

    @classmethod
    def named(cls, content: Any) -> Self:
        """Make the member of the family that the content's tag names."""
        if isinstance(content, cls):
            return content
        if not isinstance(content, Mapping):
            raise PydanticCustomError("no_section", "expected a section with keys of its own")
        content = {**({cls.tag_key: cls.unless_said} if cls.unless_said else {}), **content}
        if cls.tag_key not in content:
            raise PydanticCustomError("tag_missing", "a section needs a '{key}'", {"key": cls.tag_key})
        tag = content[cls.tag_key]
        if not isinstance(tag, str) or tag not in cls.members:
            known = {"key": cls.tag_key, "tag": tag, "known": list(cls.members)}
            raise PydanticCustomError("tag_unknown", "there is no {key} {tag}", known)
        return cast(Self, cls.members[tag].model_validate(content))


class DiffusionConfig(Section, ABC):
    """A diffusion process, and how samples are drawn by it."""

    tag_key = "kind"
    unless_said = "gaussian"
    members: ClassVar[dict[str, type[Section]]] = {}

    kind: str

    @abstractmethod
    def build(self, vocabulary: int | None) -> Diffusion:
        """Make the process, of tokens where there is a vocabulary."""

    def objective(self, diffusion: Diffusion) -> Diffusion:
        """Give the process whose loss is trained on, from the one that :meth:`build` made; the same, if not said."""
        return diffusion

    @abstractmethod
    def build_sampler(self, diffusion: Diffusion, steps: int) -> Draw:
        """Make the function that draws samples by the process that :meth:`build` made, in so many steps."""

    def build_restore(self, diffusion: Diffusion, steps: int) -> Restore:
        """Make the function that brings corrupted items back from a time t: by its share of the steps, 2 at least."""

        def restore(denoiser: Denoiser, xt: Items, t: float, generator: Generator) -> Items:
            return denoise(diffusion, denoiser, xt, t, generator, steps=max(2, math.ceil(t * steps)))

        return restore


class ModelConfig(Section, ABC):
    """A network."""

    tag_key = "kind"
    members: ClassVar[dict[str, type[Section]]] = {}

    kind: str

    @abstractmethod
    def build(self, domain: Domain, item_shape: Shape, diffusion: Diffusion, generator: Generator) -> nn.Module:
        """Make a denoiser with fresh weights, drawn from the generator.

        Raises:
            ConfigError: a network that cannot be.
        """

    def refuse_if_too_large(self, domain: Domain, item_shape: Shape, diffusion: Diffusion) -> None:
        """Count the parameters, before any of them takes memory.

        Raises:
            ConfigError: they are more than taumem, or this machine, trains.
        """
        try:
            with torch.device("meta"):  # shapes without numbers
                network = self.build(domain, item_shape, diffusion, Generator())
        except (NotImplementedError, RuntimeError):  # a network of another's, which wants numbers
            return
        n = sum(parameter.numel() for parameter in network.parameters())
        most = min(MOST_PARAMETERS, memory_of_machine() // BYTES_PER_PARAMETER)
        if n > most:
            raise ConfigError(
                f"model: {n:,} parameters (weights, gradients, Adam's moments and the average take "
                f"{BYTES_PER_PARAMETER * n / 1e9:,.0f} GB); at most {most:,} can be trained here. Make it smaller."
            )

    @property
    def options(self) -> dict[str, Any]:
        """The keys, as the network's own class calls them."""
        return self.model_dump(exclude={self.tag_key})


class DataConfig(Section, ABC):
    """A source of data; :meth:`open` gives its domain."""

    tag_key = "source"
    members: ClassVar[dict[str, type[Section]]] = {}

    diffusions: ClassVar[tuple[type[DiffusionConfig], ...]]
    """The kinds of diffusion that such data take."""
    models: ClassVar[tuple[type[ModelConfig], ...]]
    """The kinds of model that such data take."""

    are_images: ClassVar[bool] = False
    """Whether the items are images, which can be mirrored and shifted in training."""
    counts_items: ClassVar[bool] = False
    """Whether the data are so many items, so that sizes can be chosen from how many there are."""
    holds_all: ClassVar[bool] = True
    """Where items are counted, whether a split holds all of them, not only as many as it was asked for."""

    source: str

    @abstractmethod
    def open(self) -> Domain:
        """Read the data, or make what they are drawn from.

        Raises:
            TaumemError: the data are not there, or cannot be used.
        """
