"""Numbers in numpy's files, .npy and .npz: images mostly."""

import math
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from taumem.data.pixels import Images
from taumem.data.readers.array_images import images_in
from taumem.data.readers.opening import MOST_FOLD, UNFOLDS_ANYWAY, check_memory, existing, in_memory, reason_of, shown
from taumem.data.stored import Stored
from taumem.errors import DataError, nearest_name, option

__all__ = ["load_array", "read_array", "stored_array"]


@in_memory
def load_array(path: str | Path, *, key: str | None = None, value_range: tuple[float, float] | None = None) -> Images:
    """Read images from a .npy or .npz file.

    Shape: [n, H, W] is gray; [n, H, W, C] and [n, C, H, W] are told apart by which axis has 1 or 3 entries, and
    are refused if both or neither has.

    Values: ``value_range`` says which values are black and full intensity, and is mapped to [-1, 1] linearly.
    Without it, bytes are taken as [0, 255], booleans as [0, 1], and floats as [-1, 1] if some of them are
    negative. Floats that all lie in [0, 1] could be meant either way, so there it must be given. Floats that are
    outside by no more than a rounding (of the type that holds them all: bfloat16, float16 or float32) are clipped.

    Args:
        path: the file.
        key: which array of a .npz; needed if there are several.
        value_range: (black, full intensity) in the units of the file.

    Returns:
        [n, C, H, W] in [-1, 1], with C = 1 or 3.

    Raises:
        DataError: no such file, unreadable, unknown key, a shape or values that the rules above cannot place,
            values outside the range, NaN or infinite values, or a .npz that unfolds to more than 50 times its size.
        ConfigError: a value range whose ends are not ascending and finite.
    """
    stored = stored_array(existing(path), key=key, value_range=value_range)
    check_memory(path, stored.values.nbytes + stored.n_bytes)
    return stored.read()


def stored_array(path: Path, *, key: str | None = None, value_range: tuple[float, float] | None = None) -> Stored:
    """Open images as :func:`load_array` does, to be converted as they are asked for.

    Raises:
        DataError: as :func:`load_array`.
        ConfigError: likewise.
    """
    return images_in(read_array(path, key), shown(path), value_range=value_range).items


def read_array(path: Path, key: str | None = None, *, most: int | None = None) -> NDArray[Any]:
    """Read real numbers from a .npy or .npz file, whatever they stand for.

    Args:
        path: the file.
        key: which array of a .npz; needed if there are several.
        most: the bytes up to which a .npy file is read; a larger one stays on disk, and is mapped. None reads all.

    Raises:
        DataError: unreadable, of other things than real numbers, truncated, an unknown key, or a .npz that unfolds to
            more than 50 times its size.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                file.seek(0)
                return _read_npy(path, file, path.stat().st_size, most)
            with zipfile.ZipFile(file) as archive:
                names = {name.removesuffix(".npy"): name for name in archive.namelist()}
                member = archive.getinfo(names[_choose(path, list(names), key)])
                if member.file_size > max(UNFOLDS_ANYWAY, MOST_FOLD * min(member.compress_size, path.stat().st_size)):
                    raise DataError(
                        f"{shown(path)}: {shown(member.filename)} unfolds from {member.compress_size} bytes to "
                        f"{member.file_size}, over {MOST_FOLD} times as much, which images hardly do. If it is meant, "
                        "save the array as .npy."
                    )
                with archive.open(member) as content:
                    return _read_npy(path, content, member.file_size)
    except DataError:
        raise
    # The parsers of zip files and headers raise whatever Python's own raise: zlib.error, SyntaxError, TokenError, ...
    except Exception as error:
        reason = reason_of(error)
        raise DataError(f"{shown(path)}: not a readable .npy or .npz file of numbers ({reason}).") from error


def _read_npy(path: Path, file: Any, n_bytes: int, most: int | None = None) -> NDArray[Any]:
    """Read an array from a stream of so many bytes, once its header is known to claim no more than these."""
    # Version 3.0 is for names of fields, which numbers do not have.
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(file))
    shape, fortran_order, dtype = read_header(file) if read_header else ((), False, np.dtype("V"))
    if dtype.kind not in "biuf":
        what = "Python objects, which may run code and are not unpickled" if dtype.hasobject else f"{dtype} values"
        raise DataError(f"{shown(path)}: not a readable .npy or .npz file: expected real numbers, got {what}.")
    count = math.prod(shape)
    claimed, there = count * dtype.itemsize, n_bytes - file.tell()
    if min(shape, default=0) < 0 or claimed > there:
        raise DataError(
            f"{shown(path)}: not a readable .npy or .npz file, or truncated: its header says {dtype} of shape {shape}, "
            f"{claimed} bytes, and {there} follow."
        )
    order: Literal["F", "C"] = "F" if fortran_order else "C"
    if most is not None and claimed > most:
        return np.memmap(path, dtype, "r", file.tell(), shape, order)
    return np.frombuffer(file.read(claimed), dtype, count).reshape(shape, order=order)


def _choose(path: Path, names: list[str], key: str | None) -> str:
    if key is None:
        if len(names) == 1:
            return names[0]
        raise DataError(
            f"{shown(path)}: holds {len(names)} arrays; say which one by {option('key')}. Known: "
            f"{shown(', '.join(names))}."
        )
    if key not in names:
        raise DataError(f"{shown(path)}: has no array {key!r}; {shown(nearest_name(key, names))}")
    return key
