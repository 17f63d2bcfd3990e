"""A way of showing samples: what it can show, and how."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from taumem.record import DataFacts, ItemKind, RunHeader

__all__ = ["Arrays", "Way"]

Arrays = Mapping[str, NDArray[Any]]
"""What a run kept at a look, by name."""


@dataclass(frozen=True)
class Way:
    """How one kind of item is shown.

    Attributes:
        kind: of item.
        can_show: whether it can show what a run kept at a look.
        show: what to show of a run, given the arrays of each look: one tuple of samples a look.
    """

    kind: ItemKind
    can_show: Callable[[DataFacts, Arrays], bool]
    show: Callable[[RunHeader, Sequence[Arrays]], Iterator[tuple[Any, ...]]]
