"""Which items belong together, as somebody wrote it down: patients, scenes, authors, clips."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from taumem.data.readers.documents import read_documents
from taumem.data.readers.opening import existing, reason_of, shown
from taumem.errors import DataError

__all__ = ["Groups", "read_groups"]

OF_NAMES = ("name", "names", "file", "filename", "file_name", "path", "item", "image", "id")
OF_GROUPS = ("group", "groups", "patient", "subject", "scene", "author", "clip", "label")
"""What the first line of a table may call its two columns."""
NAMED = 3
"""How many of several names a message gives."""
FORM = "two columns, name and group (.csv, .tsv), or JSON: an object name: group, or a list of one group per item"


class Groups(NamedTuple):
    """The group of each item, and what there is to know of them, in sentences."""

    labels: list[str]
    notes: list[str]


def read_groups(path: str | Path, names: Sequence[str], what: str = "items") -> Groups:
    """Read which group each item is of, from a table of names and groups.

    A name is that of an item (its path in the folder), or its last part where no other item has the same. Names in the
    table that are none of the items' may be those of another set, and are passed over. An item that has no group is one
    of its own.

    Args:
        path: a .csv or .tsv file of two columns, name and group, whose first line may say so (with more columns it
            must); or a .json file of an object ``{name: group}``, or of a list with one group for each item, in order.
        names: of the items.
        what: what the items are called in messages, in the plural.

    Raises:
        DataError: no such file, none of this form, a name with two groups, or no item's name in it.
    """
    path = existing(path)
    if path.is_dir():
        raise DataError(f"{shown(path)}: a folder; expected a file of {FORM}.")
    text = _text_of(path)
    if path.suffix.lower() != ".json":
        return _assigned(path, _table(path, _rows(path, text), set(names)), names, what)
    content = _json(path, text)
    if isinstance(content, list):
        if len(content) != len(names):
            raise DataError(
                f"{shown(path)}: a list of {len(content)} groups, for {len(names)} {what}; give one for each."
            )
        return Groups([f"group {_label(path, label)}" for label in content], [])
    return _assigned(path, {name: _label(path, label) for name, label in content.items()}, names, what)


def _text_of(path: Path) -> str:
    try:
        return next(iter(read_documents(path).texts.values()))
    except DataError:  # names of files may be of any bytes
        return next(iter(read_documents(path, as_bytes=True).texts.values()))


def _json(path: Path, text: str) -> dict[str, Any] | list[Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        if twice:
            raise DataError(f"{shown(path)}: {_some(twice)} stand there more than once; give each item one group.")
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=once)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown(path)}: not readable as JSON ({reason_of(error)}).") from error
    if not isinstance(content, dict | list):
        raise DataError(f"{shown(path)}: expected {FORM}; got a single {type(content).__name__}.")
    return content


def _label(path: Path, label: object) -> str:
    if isinstance(label, str | int) and not isinstance(label, bool):
        return str(label)
    raise DataError(f"{shown(path)}: a group is a word or a whole number; got {shown(repr(label)[:60])}.")


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table that are not blank, each with the number of its last line."""
    first = text[: text.find("\n")] if "\n" in text else text
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",\t;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{shown(path)}: line {reader.line_num} is not readable ({reason_of(error)}).") from error


def _table(path: Path, rows: Iterable[tuple[int, list[str]]], names: set[str]) -> dict[str, str]:
    table, width, at = dict[str, str](), 0, (0, 1)
    for line, row in rows:
        if not width:
            width = len(row)
            is_header = row[0] not in names and bool(set(OF_NAMES) & {cell.strip().lower() for cell in row})
            at = _columns(path, row) if is_header or width != 2 else (0, 1)
            if is_header:
                continue
        if len(row) != width:
            raise DataError(f"{shown(path)}: line {line} has {len(row)} cells, the first line {width}.")
        name, label = row[at[0]], row[at[1]].strip()
        if table.setdefault(name, label) != label:
            raise DataError(f"{shown(path)}: line {line}: {shown(name)} has two groups, {table[name]!r} and {label!r}.")
    return table


def _columns(path: Path, header: list[str]) -> tuple[int, int]:
    """Where names and groups stand, by the first line; the names of the columns count in their order of preference."""
    cells = [cell.strip().lower() for cell in header]
    places = [next((cells.index(word) for word in words if word in cells), None) for words in (OF_NAMES, OF_GROUPS)]
    if len(cells) == 2 and places[0] is not None:
        places[1] = 1 - places[0]
    if places[0] is None or places[1] is None or places[0] == places[1]:
        raise DataError(
            f"{shown(path)}: its first line is {shown(', '.join(header))[:200]!r}; expected {FORM}; of more columns, a "
            "first line that calls one of them 'name' and one 'group'."
        )
    return places[0], places[1]


def _assigned(path: Path, table: dict[str, str], names: Sequence[str], what: str) -> Groups:
    by_last = _by_last_part(table)
    n_alike = Counter(map(_last_part, names))
    labels, alone = list[str](), list[str]()
    for name in names:
        last = _last_part(name)
        label = table.get(name) or (by_last.get(last) if n_alike[last] == 1 else None)
        alone += [] if label else [name]
        labels.append(f"group {label}" if label else f"alone {name}")
    if len(alone) == len(names):
        known = _some(table) or "nothing"
        raise DataError(
            f"{shown(path)}: none of the {len(names)} {what} is in it; they are called {_some(names)}, and "
            f"it holds {known}. Name each item by its path in its folder."
        )
    if not alone:
        return Groups(labels, [])
    return Groups(
        labels,
        [
            f"{len(alone)} of {len(names)} {what} have no group in {shown(path.name)}, and are each one "
            f"of their own: {_some(alone)}."
        ],
    )


def _by_last_part(table: dict[str, str]) -> dict[str, str]:
    """Groups by the last part of the names, where that is not ambiguous."""
    found: dict[str, set[str]] = {}
    for name, label in table.items():
        found.setdefault(_last_part(name), set()).add(label)
    return {last: labels.pop() for last, labels in found.items() if len(labels) == 1}


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(shown(repr(name)) for name in every[:NAMED]) + (", ..." if len(every) > NAMED else "")
