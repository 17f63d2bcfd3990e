"""What a format of logs is: a file of it gives rows, and a row is some numbers by their names."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from taumem.errors import DataError

__all__ = ["TIME", "Format", "NoLogError", "Row", "numbers"]

Row = Mapping[str, float]
"""The numbers that were logged together, with those that say when (see :data:`taumem.logs.names.AXES`)."""
TIME = "wall_time"
"""When a row was written, in seconds, where a format says it."""
LONGEST = 32
"""Characters of a number in words, at most."""


class NoLogError(DataError):
    """A file is whole and no log: a folder may hold such files, where a damaged one must be told of."""


class Format(Protocol):
    """Reads files of one kind."""

    @property
    def name(self) -> str:
        """What a reader calls it."""
        ...

    def takes(self, file: Path) -> bool:
        """Whether a file is of this kind, by its name or by how it begins."""
        ...

    def rows(self, file: Path, notes: list[str]) -> Iterator[Row]:
        """Read a file row by row.

        Args:
            file: of this kind.
            notes: what the reader should know is added here, in sentences.

        Raises:
            DataError: it is not of this kind after all.
        """
        ...


def numbers(content: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """The numbers in what JSON or CSV holds; what is nested gets the name of what it is in.

    >>> numbers({"step": 3, "loss": {"val": "0.5", "note": "best"}, "done": True})
    {'step': 3.0, 'loss/val': 0.5}
    """
    found: dict[str, float] = {}
    for key, value in content.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            found |= numbers(value, f"{name}/")
        elif (isinstance(value, int | float) and not isinstance(value, bool)) or (
            isinstance(value, str) and 0 < len(value) <= LONGEST
        ):
            try:
                found[name] = float(value)
            except (ValueError, OverflowError):  # words, or a whole number beyond all floats
                continue
    return found
