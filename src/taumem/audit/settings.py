"""What an audit was asked for: with the same settings, the same inputs give the same record."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from taumem.audit.features import Features
from taumem.audit.rules import rule_of
from taumem.errors import ConfigError, nearest_name, option
from taumem.neighbors.views import ORBITS, Orbit

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """All that an audit can be asked for, but for its inputs.

    Attributes:
        orbit: in which views images are compared: ``none`` as they are, ``light`` also mirrored and relit, ``full``
            also shifted, turned and cropped. More views find more kinds of copies, and raise chance, which is measured
            by the same views.
        rule: what counts as a copy, such as ``gap<1/3``; the usual rule of the kind of items if None.
        q: the false discovery rate at which samples are flagged, in (0, 1).
        features: what images are compared by: ``pixels``, or as in :class:`taumem.audit.features.Features`.
        size: the height and width in pixels to bring images to.
        window: symbols in the windows that texts are cut into; None takes each line as an item.
        key: which array of a .npz file.
        value_range: (black, full intensity) of array files.
        limit: at most so many samples, evenly spread; training items and held-out items are always taken whole.
        as_bytes: whether files of text are taken as bytes.
        skip_unreadable: whether files that cannot be read are passed over, and counted.
        most_null: at most so many items that copy nothing are compared, drawn by the seed, at least 4.
        near_duplicates: whether near-duplicates among the training items count as one.
        parts: whether partial copies are looked for.
        seed: of every draw.
        memory: bytes that a search may take, at least 2^20.
        redact: whether findings and page leave out names and contents.
    """

    orbit: Orbit = "full"
    rule: str | None = None
    q: float = 0.05
    features: str | Callable[[Any], Any] = "pixels"
    size: int | None = None
    window: int | None = None
    key: str | None = None
    value_range: tuple[float, float] | None = None
    limit: int | None = None
    as_bytes: bool = False
    skip_unreadable: bool = False
    most_null: int = 2000
    near_duplicates: bool = True
    parts: bool = True
    seed: int = 0
    memory: int = 2**29
    redact: bool = False

    def __post_init__(self) -> None:
        if self.orbit not in ORBITS:
            raise ConfigError(f"there is no orbit {self.orbit!r}; {nearest_name(str(self.orbit), ORBITS)}")
        if self.rule is not None:
            rule_of(self.rule)
        if not 0 < self.q < 1:
            raise ConfigError(f"the false discovery rate, {option('q')}, lies between 0 and 1; got {self.q}.")
        if self.value_range is not None and len(self.value_range) != 2:
            raise ConfigError(f"{option('value_range')} is two numbers, black and full; got {self.value_range!r}.")
        for name, least in (("size", 1), ("window", 1), ("most_null", 4), ("memory", 2**20)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{option(name)} is at least {least}; got {value}.")

    @classmethod
    def of(cls, options: dict[str, Any]) -> "Settings":
        """Take options by their names.

        Raises:
            ConfigError: one that there is not, or a value out of its range.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise ConfigError(f"an audit has no option {name!r}; {nearest_name(name, known)}")
        return cls(**options)

    @cached_property
    def extractor(self) -> Features:
        """What the features are made by, opened once: a file of somebody's is a program that runs as it is opened."""
        return Features.of(self.features)

    @property
    def as_facts(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"features": self.extractor.name, "features_sha256": self.extractor.digest}
