"""What a source gives: items with their names; and how they are to be read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, overload

from torch import Tensor

from taumem.data.stored import Stored
from taumem.errors import ConfigError, option

__all__ = ["Kind", "Numbered", "Options", "Source", "sized"]

Kind: TypeAlias = Literal["images", "vectors", "tokens", "texts"]


class Source(NamedTuple):
    """What was read: items, a name for each, their kind, where they are from, what there is to know of it,
    whether the names are paths in a folder, and whether these are images of numbers whose range was told or assumed."""

    items: Tensor | Stored | list[str]
    names: Sequence[str]
    kind: Kind
    place: str
    notes: list[str]
    in_folder: bool = False
    of_numbers: bool = False


@dataclass
class Options:
    """How items are to be read; and which of these said something about any of them."""

    size: int | None = None
    window: int | None = None
    limit: int | None = None
    key: str | None = None
    value_range: tuple[float, float] | None = None
    as_bytes: bool = False
    skip_unreadable: bool = False
    used: set[str] = field(default_factory=lambda: {"limit"})

    def __post_init__(self) -> None:
        for name in ("size", "window", "limit"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"{option(name)} must be a whole number from 1; got {value!r}.")

    def take(self, name: str) -> Any:
        """One of them, for something that it says something about."""
        self.used.add(name)
        return getattr(self, name)

    def refuse_unused(self, what: str) -> None:
        """Refuse options that said nothing about anything: they are not what somebody meant.

        Raises:
            ConfigError: there are some.
        """
        concerns = {
            "size": "images",
            "window": "texts",
            "key": ".npz files",
            "value_range": "arrays of images that are not bytes",
            "as_bytes": "files of text",
            "skip_unreadable": "folders with one file per item",
        }
        for name, of_what in concerns.items():
            if getattr(self, name) not in (None, False) and name not in self.used:
                named = option(name, "bytes" if name == "as_bytes" else None)
                raise ConfigError(f"{named} is for {of_what}, and says nothing about {what}; leave it out.")


class Numbered(Sequence[str]):
    """Names of items that have none: ``a.npy[17]``, made as they are asked for."""

    def __init__(self, name: str, places: Sequence[int]):
        self.name, self.places = name, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, k: int) -> str: ...
    @overload
    def __getitem__(self, k: slice) -> "Numbered": ...
    def __getitem__(self, k: int | slice) -> "str | Numbered":
        return Numbered(self.name, self.places[k]) if isinstance(k, slice) else f"{self.name}[{self.places[k]}]"


def sized(size: int | None) -> list[str]:
    """The note on what a size did to images."""
    return [] if size is None else [f"The largest central square of each is brought to {size}x{size} pixels."]
