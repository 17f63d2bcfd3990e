"""Files on disk: written so that a reader sees the old one or the new one, never half of one; and found.

A disk that refuses (it is full, it fails, it may not be written to) is quoted in words, with the name of the file that
was meant, never of a temporary one.
"""

import errno
import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from taumem.errors import RecordError

__all__ = [
    "leftovers",
    "make_folder",
    "process_runs",
    "refuse_a_link",
    "remove_leftovers",
    "saying_why",
    "sync_folder",
    "temporary_neighbor",
    "visible",
    "why_no_file_name",
    "why_not_written",
    "write_atomically",
]

GOES_ON = "What was written before is kept; {}, and the same command goes on from there."
REASONS = {
    errno.ENOSPC: "the disk is full. " + GOES_ON.format("make room"),
    errno.EDQUOT: "your share of the disk (its quota) is used up. " + GOES_ON.format("make room"),
    errno.EFBIG: "larger than files may be here. " + GOES_ON.format("raise the limit (ulimit -f)"),
    errno.EIO: "the disk failed to answer. " + GOES_ON.format("look after the disk, or copy the folder to another"),
    errno.EROFS: "the disk may only be read. Choose another place.",
    errno.EACCES: "permission denied. Choose another place, or change whose it is.",
    errno.EPERM: "permission denied. Choose another place, or change whose it is.",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one.",
    errno.ENOTDIR: "a part of its path is a file; expected folders. Choose another place.",
}
"""Why a file was not written, and what to do, by the number of the system's error."""

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(10))}
"""Names that mean devices on Windows, whatever suffix they have."""


def write_atomically(path: Path, content: str | bytes | Callable[[Path], None]) -> None:
    """Write a file through a temporary neighbor and a rename.

    Where the path is a link, what it leads to is written, and the link stays. A device or a pipe is written into.

    Args:
        path: the file to write; its folder is made if it is missing.
        content: text (written as UTF-8), bytes, or a function that writes to the path it is given.

    Raises:
        RecordError: the path is a folder (or a socket, or a disk), or the disk refuses: in words.
    """
    with saying_why(path):
        mode = path.stat().st_mode if path.exists() else stat.S_IFREG
        if stat.S_ISREG(mode):
            _replace(Path(os.path.realpath(path)), content)
        elif stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            _put(path, content)
        else:
            kind = "folder" if stat.S_ISDIR(mode) else "disk" if stat.S_ISBLK(mode) else "socket"
            raise RecordError(f"{path} is a {kind}; expected the name of a file to write.")


def _replace(target: Path, content: str | bytes | Callable[[Path], None]) -> None:
    if target.is_symlink():
        raise RecordError(f"{target}: is a link that leads to itself; name another file, or remove it.")
    make_folder(target.parent)
    for leftover in leftovers(target):
        leftover.unlink(missing_ok=True)
    temporary = temporary_neighbor(target)
    try:
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)  # as the user's umask has it
        _put(temporary, content)
        temporary.chmod(mode)  # safetensors (0.8) makes files that nobody else may read
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def _put(path: Path, content: str | bytes | Callable[[Path], None]) -> None:
    if callable(content):
        content(path)
    else:
        # A name that is not UTF-8 is shown by its bytes: better than no file.
        path.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def temporary_neighbor(target: Path, pid: int | str = "") -> Path:
    """What a file (or folder) is called until it is whole: by its name, this computer's and the process's."""
    return target.with_name(f".{target.name}.{platform.node()}.{pid or os.getpid()}.tmp")


def leftovers(target: Path) -> Iterator[Path]:
    """The temporary neighbors of a file (or folder) that writers of this computer left behind when they were killed."""
    for file in target.parent.iterdir():
        pid = file.stem.rpartition(".")[2]
        if file == temporary_neighbor(target, pid) and pid.isdecimal() and not process_runs(int(pid)):
            yield file


def process_runs(pid: int) -> bool:
    """Whether a process runs on this computer, or may."""
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove all temporary files in a folder and those in it; nobody else may be writing there."""
    for file in (*folder.glob(".*.tmp"), *folder.glob("*/.*.tmp")):
        if file.stem.rpartition(".")[2].isdecimal():
            file.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        RecordError: a file stands in the way, or the disk refuses: in words.
    """
    with saying_why(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise RecordError(f"{path}: is a file; expected a folder. Choose another name.") from None


def sync_folder(folder: Path) -> None:
    """Have the names of a folder's files reach the disk: a rename is not there before."""
    if os.name == "nt":  # where a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks know no such thing
            raise
    finally:
        os.close(descriptor)


def refuse_a_link(path: Path) -> None:
    """Refuse to write a run's own file where something else stands: the file that a link leads to may be another's.

    Raises:
        RecordError: the path is a link, or no plain file.
    """
    if path.is_symlink():
        raise RecordError(
            f"{path}: is a link to {path.readlink()}, which may be another's; put the file itself in its place, or "
            "choose another folder."
        )
    if path.exists() and not path.is_file():
        raise RecordError(f"{path}: is no plain file; remove it, or choose another folder.")


@contextmanager
def saying_why(path: Path) -> Iterator[None]:
    """Turn the disk's refusal to write a file into a RecordError that says why, and what to do."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RecordError(why_not_written(path, error)) from error


def why_not_written(path: Path | str, error: OSError) -> str:
    """Say in words why a file was not written, what is kept, and what to do."""
    reason = REASONS.get(error.errno or 0, f"{error.strerror or error}. Check the path and the disk.")
    return f"{path}: cannot be written: {reason}"


def why_no_file_name(name: str) -> str:
    """Why a name is no plain name of a file, here or on another system; empty if it is one.

    >>> why_no_file_name("../../x")
    "holds '/'"
    """
    if not name.strip():
        return "is empty"
    if found := next((c for c in name if c in "/\\" or not c.isprintable()), None):
        return f"holds {found!r}"
    if name[0] in ".-~ " or name[-1] in ". ":
        return f"begins or ends with {name[0] if name[0] in '.-~ ' else name[-1]!r}"
    if name.split(".")[0].lower() in RESERVED:
        return "means a device on Windows"
    if len(name.encode()) > 100:
        return "is longer than 100 bytes"
    return ""


def visible(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder that match a pattern, sorted; none that lie in a folder with a hidden name."""
    files = folder.rglob(pattern)
    return sorted(f for f in files if not any(part.startswith(".") for part in f.relative_to(folder).parts))
