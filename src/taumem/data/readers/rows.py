"""Items that stand one below the other in a file: the lines of a text, or a column of a table."""

import csv
import io
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from taumem.data.readers.documents import read_documents
from taumem.data.readers.opening import reason_of, shown
from taumem.errors import DataError

__all__ = ["lines_of", "read_lines", "rows_of"]

TABLES = (".csv", ".tsv")


def read_lines(
    path: str | Path, *, column: str | None = None, as_bytes: bool = False, skip_unreadable: bool = False
) -> tuple[list[str], list[str]]:
    """Read one item per line from a file, or from all files in a folder; blank lines are left out.

    Args:
        path: a text, a table (.csv, .tsv), or a folder of these; gzipped or not.
        column: which column of a table the items are, by its name in the first line.
        as_bytes: as in :func:`~taumem.data.readers.documents.read_documents`, and so is ``skip_unreadable``.
        skip_unreadable: whether to pass over files in a folder that are no texts, with a note that names them.

    Returns:
        The items, and what there is to know of how they were read, in sentences.

    Raises:
        DataError: as :func:`~taumem.data.readers.documents.read_documents`; a table without the column, or no column
            said; a column of what is no table; a cell of several lines; or nothing but blank lines.
    """
    documents, notes = read_documents(path, as_bytes=as_bytes, skip_unreadable=skip_unreadable)
    read = [
        _cells(file, text, column) if column is not None or _is_table(file) else lines_of(text)
        for file, text in documents.items()
        if text
    ]
    items = [item for of_file in read for item in of_file if item.strip()]
    n_blank = sum(map(len, read)) - len(items)
    if not items:
        why = f"of its {n_blank} lines each is blank" if n_blank else "no rows" if any(documents.values()) else ""
        raise DataError(f"{shown(path)}: {f'expected one item per line; {why}' if why else 'is empty'}.")
    return items, [*notes, *([f"{n_blank} blank left out."] if n_blank else [])]


def lines_of(text: str) -> list[str]:
    r"""The lines of a text, without the signs that end them.

    >>> lines_of("one\r\ntwo\n")
    ['one', 'two']
    """
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def rows_of(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not blank, each with the number of its last line.

    Raises:
        DataError: a row cannot be read.
    """
    first = text[: text.find("\n")] if "\n" in text else text
    separator = "\t" if _ending(path) == ".tsv" else max(",\t;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{shown(path)}: line {reader.line_num} is not readable ({reason_of(error)}).") from error


def _cells(path: Path, text: str, column: str | None) -> list[str]:
    """The cells of a column, blank where a row is too short to have one."""
    if not _is_table(path):
        raise DataError(
            f"{shown(path)}: is no table (.csv, .tsv), so it has no column {column!r}; leave data.column out."
        )
    rows = rows_of(path, text)
    _, header = next(rows, (0, list[str]()))
    if column is None:
        raise DataError(
            f"{shown(path)}: a table; say which of its columns holds the items: --set data.column=NAME. Its columns: "
            f"{', '.join(header)}."
        )
    if column not in header:
        small = {name.lower(): name for name in reversed(header)}
        close = get_close_matches(column.lower(), small, n=1, cutoff=0.5)
        nearest = f" (nearest: {small[close[0]]!r})" if close else ""
        raise DataError(
            f"{shown(path)}: no column {column!r}{nearest}; set data.column. Its columns: {', '.join(header)}."
        )
    place = header.index(column)
    cells = [(line, row[place] if place < len(row) else "") for line, row in rows]
    for line, cell in cells:
        if "\n" in cell:
            raise DataError(f"{shown(path)}: the cell that ends in line {line} has several lines; an item has one.")
    return [cell for _, cell in cells]


def _is_table(path: Path) -> bool:
    return _ending(path) in TABLES


def _ending(path: Path) -> str:
    """A file's ending, without the one that says that it is gzipped."""
    return Path(path.name.lower().removesuffix(".gz")).suffix
