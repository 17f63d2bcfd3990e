"""The idx format of MNIST and its descendants, plain or gzipped.

Big-endian: two zero bytes, one byte for the type (8 is unsigned byte), one for the number of axes, four for
each axis's length, then the values.

Reference: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taumem.data.pixels import Images, from_bytes
from taumem.data.readers.opening import check_memory, existing, in_memory, read_bytes, reason_of, shown, unpacked
from taumem.errors import DataError

__all__ = ["idx_bytes", "load_idx", "read_idx"]

UNSIGNED_BYTE = 8


@in_memory
def load_idx(path: str | Path) -> Images:
    """Read gray images from an idx file such as ``train-images-idx3-ubyte.gz``.

    Args:
        path: the file, gzipped or not (its content decides, not its name).

    Returns:
        [n, 1, height, width] in [-1, 1].

    Raises:
        DataError: no such file, not an idx file of bytes, truncated, not three axes (labels have one), or a gzipped
            file that unfolds to more than 50 times its size.
    """
    values = idx_bytes(path)
    check_memory(Path(path), 5 * values.size)
    return from_bytes(values)


def idx_bytes(path: str | Path) -> NDArray[np.uint8]:
    """Read gray images as they are in an idx file, [n, 1, height, width].

    Raises:
        DataError: as :func:`load_idx`.
    """
    values = read_idx(path)
    if values.ndim != 3:
        hint = "; this looks like the labels, take the images' file" if values.ndim == 1 else ""
        raise DataError(f"{shown(path)}: expected images, 3 axes (n, height, width); got axes of {values.shape}{hint}.")
    if values.size == 0:
        raise DataError(f"{shown(path)}: holds no images, its axes are {values.shape}.")
    return values[:, None]


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes with any number of axes.

    Raises:
        DataError: no such file, not an idx file of bytes, its length is not what its header says, or a gzipped file
            that unfolds to more than 50 times its size.
    """
    path = existing(path)
    content = unpacked(path, read_bytes(path))
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise DataError(
            f"{shown(path)}: not an idx file of bytes: it should start with 00 00 08, it starts with "
            f"{content[:4].hex(' ')}."
        )
    n_axes = content[3]
    start = 4 + 4 * n_axes
    if len(content) < start:
        raise DataError(f"{shown(path)}: truncated: its header should have {start} bytes, the file has {len(content)}.")
    shape = struct.unpack(f">{n_axes}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{shown(path)}: {_long_or_short(len(content), expected)}: axes of {shape} need {expected} bytes, "
            f"the file has {len(content)}."
        )
    try:
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    except ValueError as error:  # more axes than numpy has, or none of their entries but many of them
        raise DataError(f"{shown(path)}: axes of {shape} are none of images ({reason_of(error)}).") from error


def _long_or_short(got: int, expected: int) -> str:
    return "truncated" if got < expected else "too long"
