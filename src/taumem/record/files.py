"""Files on disk: written so that a reader sees the old one or the new one, never half of one; and found."""

import os
from collections.abc import Callable
from pathlib import Path

from taumem.errors import RecordError

__all__ = ["visible", "write_atomically"]


def write_atomically(path: Path, content: str | bytes | Callable[[Path], None]) -> None:
    """Write a file through a temporary neighbor and a rename.

    Args:
        path: the file to write; its folder is made if it is missing.
        content: text (written as UTF-8), bytes, or a function that writes to the path it is given.

    Raises:
        RecordError: the path is a folder.
    """
    if path.is_dir():
        raise RecordError(f"{path} is a folder; expected the name of a file to write.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if callable(content):
            content(temporary)
        elif isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        else:
            temporary.write_bytes(content)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def visible(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that match a pattern, sorted; none that lie in a folder with a hidden name."""
    files = folder.rglob(pattern)
    return sorted(f for f in files if not any(part.startswith(".") for part in f.relative_to(folder).parts))
