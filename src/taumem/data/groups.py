"""Which items belong together, as somebody wrote it down: patients, scenes, authors, clips."""

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from taumem.data.readers.documents import read_documents
from taumem.data.readers.opening import existing, reason_of, shown
from taumem.data.readers.rows import rows_of
from taumem.errors import DataError, TaumemWarning

__all__ = ["read_groups"]

OF_NAMES = ("name", "names", "file", "filename", "file_name", "path", "item", "image", "id")
OF_GROUPS = ("group", "groups", "patient", "subject", "scene", "author", "clip", "label")
"""What the first line of a table may call its two columns."""
NAMED = 3
"""How many of several names a message gives."""
FORM = "two columns, name and group (.csv, .tsv), or JSON: an object name: group, or a list of one group per item"


def read_groups(path: str | Path, names: Sequence[str]) -> list[str]:
    """Read which group each item is of, from a table of names and groups.

    A name in the table is that of the item (``cats/1.png``), one that ends in it (``data/cats/1.png``), or an end of it
    (``1.png``) that no other item has. Other names may be those of another set, and are passed over. An item that has
    no group in the table is one of its own; a note counts and names them.

    Args:
        path: a .csv or .tsv file of two columns, name and group, whose first line may say so (with more columns it
            must); or a .json file of an object ``{name: group}``, or of a list with one group for each item, in order
            (of several sets, one after the other).
        names: of the items; of several sets, with their folders in front.

    Returns:
        A word for each item, equal where the groups are.

    Raises:
        DataError: no such file, none of this form, a name with two groups, or no item's name in it.
    """
    path = existing(path)
    if path.is_dir():
        raise DataError(f"{shown(path)}: a folder; expected a file of {FORM}.")
    text = _text_of(path)
    if path.suffix.lower() != ".json":
        return _assigned(path, _table(path, rows_of(path, text)), names)
    content = _json(path, text)
    if isinstance(content, list):
        if len(content) != len(names):
            raise DataError(
                f"{shown(path)}: a list of {len(content)} groups, for {len(names)} items; give one for each."
            )
        return [f"group {_label(path, label)}" for label in content]
    return _assigned(path, {name: _label(path, label) for name, label in content.items()}, names)


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


def _table(path: Path, rows: Iterable[tuple[int, list[str]]]) -> dict[str, str]:
    table, width, at = dict[str, str](), 0, (0, 1)
    for line, row in rows:
        if not width:
            width = len(row)
            is_header = bool(set(OF_NAMES) & {cell.strip().lower() for cell in row})
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


def _assigned(path: Path, table: dict[str, str], names: Sequence[str]) -> list[str]:
    table = {name.replace("\\", "/"): label for name, label in table.items()}
    by_end = _by_end(table)
    n_with = Counter(end for name in names for end in _ends(name))
    labels, alone = list[str](), list[str]()
    for name in names:
        ends = [end for end in _ends(name) if n_with[end] == 1]
        label = next((table[end] for end in ends if end in table), by_end.get(ends[0], "") if ends else "")
        labels.append(f"group {label}" if label else f"alone {len(labels)}")
        alone += [] if label else [name]
    if names and len(alone) == len(names):
        raise DataError(
            f"{shown(path)}: none of the {len(names)} items is in it; they are called {_some(names)}, and it holds "
            f"{_some(table) or 'nothing'}. Name each item by its path in its folder, with the folder "
            "in front where several sets have items of that name."
        )
    if alone:
        what = f"{len(alone)} of {len(names)} items have no group there, or no name of their own"
        warnings.warn(f"{shown(path)}: {what}, and count as a group each: {_some(alone)}.", TaumemWarning, stacklevel=3)
    return labels


def _by_end(table: dict[str, str]) -> dict[str, str]:
    """Groups by every end of the names, where that is not ambiguous."""
    found: dict[str, set[str]] = {}
    for name, label in table.items():
        for end in _ends(name):
            found.setdefault(end, set()).add(label)
    return {end: labels.pop() for end, labels in found.items() if len(labels) == 1}


def _ends(name: str) -> list[str]:
    """A path and all that is left of it without its first folders, the longest first."""
    parts = name.replace("\\", "/").split("/")
    return ["/".join(parts[k:]) for k in range(len(parts)) if parts[k]]


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(shown(repr(name)) for name in every[:NAMED]) + (", ..." if len(every) > NAMED else "")
