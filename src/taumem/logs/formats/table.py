"""CSV: a line of names, and a line of numbers for each row. Lightning's CSVLogger, W&B's and TensorBoard's exports."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from taumem.errors import DataError, shortened
from taumem.logs.formats.format import Row, numbers

__all__ = ["Table"]

ENDINGS = (".csv", ".tsv")
OF_TENSORBOARD = ["wall time", "step", "value"]
"""The columns of a scalar that TensorBoard exports; its name is in that of the file."""


class Table:
    """Reads a file of columns with names."""

    name = "CSV"

    def takes(self, file: Path) -> bool:
        """By its ending, or a first line of several names."""
        if file.suffix.lower() in ENDINGS:
            return True
        with file.open("rb") as lines:
            first = lines.readline(2**16)
        names = re.split(rb"[,\t;]", first.strip())
        return (
            len(names) > 1 and b"{" not in first and any(name.strip().lower() in (b"step", b"epoch") for name in names)
        )

    def rows(self, file: Path, notes: list[str]) -> Iterator[Row]:
        """Each line with as many fields as there are names; a last line that has no end may be cut off."""
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                yield from self._rows(file, lines, notes)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file}: no CSV ({error}).") from None

    def _rows(self, file: Path, lines: IO[str], notes: list[str]) -> Iterator[Row]:
        first = lines.readline()
        delimiter = max(",\t;", key=first.count)
        names = next(csv.reader([first], delimiter=delimiter), [])
        if [name.lower() for name in names] == OF_TENSORBOARD:
            tag = re.search(r"tag-(.+)$", file.stem)
            names = ["wall_time", "step", tag[1] if tag else names[2]]
        whole, twice = _Whole(lines), _Twice(names)
        short = 0
        for fields in csv.reader(whole, delimiter=delimiter):
            if len(fields) == len(names):
                yield numbers(twice.by_name(fields))
            else:
                short += bool(fields) and fields != names
        if short:
            notes.append(f"{short} lines of {file.name} have more or fewer fields than the first, and are left out.")
        if twice.unlike:
            named = " and ".join(f"'{shortened(name)}'" for name in sorted(twice.unlike))
            notes.append(
                f"{file.name} has several columns called {named}, and where they differ none of them is read; rename "
                "them."
            )
        if whole.cut_off:
            notes.append(f"The last line of {file.name} has no end (it may be being written), and is left out.")


class _Whole:
    """The lines of a file that end."""

    def __init__(self, lines: IO[str]) -> None:
        self._lines = lines
        self.cut_off = False

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if line.endswith(("\n", "\r")):
                yield line.replace("\0", "")
            else:
                self.cut_off = bool(line.strip())


class _Twice:
    """The fields of a line by names that may stand there twice, as in tables that were put side by side.

    Attributes:
        unlike: names of which columns have said different things, which is no number there.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._is_plain = len(set(names)) == len(names)
        self.unlike: set[str] = set()

    def by_name(self, fields: Sequence[str]) -> dict[str, str]:
        """The fields of one line."""
        pairs = list(zip(self._names, fields, strict=True))
        if self._is_plain:
            return dict(pairs)
        said: dict[str, set[str]] = {}
        for name, text in pairs:
            if text:
                said.setdefault(name, set()).add(text)
        self.unlike |= {name for name, texts in said.items() if len(texts) > 1}
        return {name: "nan" if others else text for name, (text, *others) in said.items()}
