"""Opening files so that whatever goes wrong is a DataError that names the file."""

from pathlib import Path

from taumem.errors import DataError

__all__ = ["existing", "read_bytes"]


def existing(path: str | Path) -> Path:
    """The path, with ``~`` expanded, once it is known to exist.

    Raises:
        DataError: there is nothing at that path, or neither a file nor a folder, such as a pipe.
    """
    found = Path(path).expanduser()
    if not found.exists():
        raise DataError(f"{found}: no such file or folder (looked in {Path.cwd()}).")
    if not (found.is_file() or found.is_dir()):
        raise DataError(f"{found}: neither a file nor a folder; data are read more than once, so save them in a file.")
    return found


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
