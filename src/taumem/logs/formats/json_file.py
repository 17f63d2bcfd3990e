"""JSON as a whole: ``trainer_state.json`` of Transformers, and lists of rows or of columns, such as W&B's."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from taumem.errors import DataError
from taumem.logs.formats.format import NoLogError, Row, numbers

__all__ = ["JsonFile"]


class JsonFile:
    """Reads a JSON file that holds a log."""

    name = "JSON"

    def takes(self, file: Path) -> bool:
        """By its ending."""
        return file.suffix.lower() == ".json"

    def rows(self, file: Path, notes: list[str]) -> Iterator[Row]:
        """The entries of a Trainer's history; of a list, each row; of columns, what stands beside each other."""
        try:
            content = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}: cannot be read as JSON ({error}); is it cut off?") from None
        for row in _rows(content, file):
            if isinstance(row, Mapping):
                yield numbers(row)


def _rows(content: Any, file: Path) -> Iterator[Any]:
    if isinstance(content, Mapping) and isinstance(history := content.get("log_history"), list):
        yield from history
    elif isinstance(content, list) and all(isinstance(row, list) and len(row) == 3 for row in content):
        for time, step, value in content:  # a scalar that TensorBoard exports; its name is in that of the file
            yield {"wall_time": time, "step": step, file.stem.rpartition("tag-")[2]: value}
    elif isinstance(content, list):
        yield from content
    elif isinstance(content, Mapping) and (columns := {k: _column(v) for k, v in content.items() if _column(v)}):
        for at in range(max(map(len, columns.values()))):
            yield {name: column[at] for name, column in columns.items() if at < len(column)}
    else:
        raise NoLogError(f"{file}: no log: expected a Trainer's log_history, a list of rows, or lists by name.")


def _column(values: Any) -> list[Any]:
    """A column, as a list or (as pandas writes it) by the numbers of its rows; empty for anything else."""
    if isinstance(values, Mapping) and all(str(key).isdecimal() for key in values):
        return [values[key] for key in sorted(values, key=int)]
    return values if isinstance(values, list) else []
