"""JSON lines: an object on each line, as loops of one's own and trackers write them."""

import json
from collections.abc import Iterator
from pathlib import Path

from taumem.errors import DataError
from taumem.logs.formats.format import Row, numbers

__all__ = ["JsonLines"]


class JsonLines:
    """Reads a file of JSON objects, one on each line."""

    name = "JSON lines"

    def takes(self, file: Path) -> bool:
        """By its ending, or a first line that is an object and the whole of what is there but for other lines."""
        if file.suffix.lower() in (".jsonl", ".ndjson"):
            return True
        if file.suffix.lower() == ".json":
            return False
        with file.open("rb") as lines:
            first = lines.readline(2**16).strip()
        return first.startswith(b"{") and first.endswith(b"}")

    def rows(self, file: Path, notes: list[str]) -> Iterator[Row]:
        """Each line that is an object; a line that was cut off is left out."""
        n_rows, damaged, cut_off = 0, 0, False
        with file.open("rb") as lines:
            for line in lines:
                if not line.strip():
                    continue
                try:
                    content = json.loads(line)
                except (ValueError, RecursionError):
                    content = None
                if isinstance(content, dict):
                    n_rows += 1
                    yield numbers(content)
                elif line.endswith(b"\n"):
                    damaged += 1
                else:
                    cut_off = True
        if damaged > n_rows:
            raise DataError(f"{file}: no log: {damaged} of {damaged + n_rows} lines are no JSON objects.")
        if damaged:
            notes.append(f"{damaged} lines of {file.name} are no JSON objects, and left out.")
        if cut_off:
            notes.append(f"The last line of {file.name} is cut off (it may be being written), and left out.")
