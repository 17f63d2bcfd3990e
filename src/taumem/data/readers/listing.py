"""The files in a folder and in the folders inside it, and what becomes of those that cannot be read."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from taumem.data.readers.opening import reason_of, shown
from taumem.errors import DataError, TaumemWarning, option

__all__ = ["Listing", "by_ending", "list_files", "settle", "tell"]

OF_THE_SYSTEM = {"__macosx", "desktop.ini", "thumbs.db"}
"""Names, besides those with a dot in front, that systems leave in folders."""
NAMED = 5
"""How many of several files a message names."""


@dataclass
class Listing:
    """What was found in a folder.

    Attributes:
        files: those that are wanted, sorted by the parts of their paths, which is the same order on every system.
        unreadable: in words, what has a wanted name and is no file, folders that cannot be entered, and links without
            an ending that lead nowhere, since they may be those of folders.
        others: files with other names.
    """

    files: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)

    def take(self, path: Path, is_wanted: bool) -> None:
        """Put a path where it belongs."""
        leads_nowhere = path.is_symlink() and not path.exists()
        if not is_wanted and not (leads_nowhere and not path.suffix):
            self.others.append(path)
        elif path.is_file():
            self.files.append(path)
        else:  # opening a pipe would wait for ever
            what = "a link that leads nowhere" if leads_nowhere else "neither a file nor a folder"
            self.unreadable.append(f"{shown(path)}: {what}")


def list_files(folder: Path, is_wanted: Callable[[str], bool] = lambda name: True) -> Listing:
    """List the files in a folder and in the folders inside it.

    Hidden files and folders, and those that only the system knows, do not count. Links are followed; each folder is
    entered once, by its own name rather than by a link to it.

    Args:
        folder: where to look.
        is_wanted: whether a file of this name is.
    """
    found, entered = Listing(), set[tuple[int, int]]()
    folders, links = [folder], list[Path]()
    while folders or links:
        here = folders.pop() if folders else links.pop(0)
        try:
            state = here.stat()
            if (place := (state.st_dev, state.st_ino)) in entered:
                continue
            entered.add(place)
            with os.scandir(here) as entries:
                inside = sorted((here / entry.name for entry in entries), key=lambda path: path.name)
            for path in inside:
                if path.name.startswith(".") or path.name.lower() in OF_THE_SYSTEM:
                    continue
                if path.is_dir():
                    (links if path.is_symlink() else folders).append(path)
                else:
                    found.take(path, is_wanted(path.name))
        except OSError as error:
            found.unreadable.append(f"{shown(here)}: cannot be entered ({reason_of(error)})")
    found.files.sort(key=lambda path: path.relative_to(folder).parts)
    return found


def settle(
    folder: Path, kind: str, n_read: int, unreadable: Sequence[str], skip: bool, more: Sequence[str] = ()
) -> list[str]:
    """Refuse a folder with files that cannot be read, or say that they were skipped.

    Args:
        folder: the folder.
        kind: what its files are, in the plural.
        n_read: how many were read.
        unreadable: what could not be, each with its reason.
        skip: whether that is to be skipped.
        more: what else the reader should know, in sentences.

    Returns:
        What the reader should know, in sentences; nothing where all is as one expects it.

    Raises:
        DataError: something could not be read and is not to be skipped, or nothing could be read.
    """
    named = "; ".join(unreadable[:NAMED])
    named += f"; and {len(unreadable) - NAMED} more" if len(unreadable) > NAMED else ""
    if unreadable and not (skip and n_read):
        what_to_do = (
            "Nothing is left." if skip else f"Replace them, remove them, or skip them by {option('skip_unreadable')}."
        )
        counted = f"{len(unreadable)} of {n_read + len(unreadable)} {kind} cannot be read"
        raise DataError(f"{shown(folder)}: {counted}: {named}. {what_to_do}")
    return [*([f"{len(unreadable)} skipped that cannot be read: {named}."] if unreadable else []), *more]


def tell(folder: Path, kind: str, n_read: int, notes: Sequence[str]) -> None:
    """Warn the caller of the reader that calls this of what there is to know of a folder."""
    if notes:
        warnings.warn(f"{shown(folder)}: {n_read} {kind} read. {' '.join(notes)}", TaumemWarning, stacklevel=3)


def by_ending(files: Sequence[Path]) -> str:
    """Count files by their endings, the most frequent ones first.

    >>> by_ending([Path("a.h5"), Path("b.txt"), Path("c.H5"), Path("d")])
    '2 .h5, 1 .txt, 1 without ending'
    """
    counts = Counter(file.suffix.lower() or "without ending" for file in files).most_common()
    more = [f"{sum(n for _, n in counts[NAMED:])} others"] if len(counts) > NAMED else []
    return shown(", ".join([f"{n} {ending}" for ending, n in counts[:NAMED]] + more))
