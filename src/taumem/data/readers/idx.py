"""The idx format of MNIST and its descendants, plain or gzipped.

Big-endian: two zero bytes, one byte for the type (8 is unsigned byte), one for the number of axes, four for
each axis's length, then the values.

Reference: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taumem.data.pixels import Images, from_bytes
from taumem.data.readers.opening import existing, read_bytes
from taumem.errors import DataError

__all__ = ["load_idx", "read_idx"]

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"


def load_idx(path: str | Path) -> Images:
    """Read gray images from an idx file such as ``train-images-idx3-ubyte.gz``.

    Args:
        path: the file, gzipped or not (its content decides, not its name).

    Returns:
        [n, 1, height, width] in [-1, 1].

    Raises:
        DataError: no such file, not an idx file of bytes, truncated, or not three axes (labels have one).
    """
    values = read_idx(path)
    if values.ndim != 3:
        hint = "; this looks like the labels, take the images' file" if values.ndim == 1 else ""
        raise DataError(f"{path}: expected images, 3 axes (n, height, width); got axes of {values.shape}{hint}.")
    if values.size == 0:
        raise DataError(f"{path}: holds no images, its axes are {values.shape}.")
    return from_bytes(values[:, None])


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes with any number of axes.

    Raises:
        DataError: no such file, not an idx file of bytes, or its length is not what its header says.
    """
    path = existing(path)
    content = _decompressed(path, read_bytes(path))
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise DataError(
            f"{path}: not an idx file of bytes: it should start with 00 00 08, it starts with {content[:4].hex(' ')}."
        )
    n_axes = content[3]
    start = 4 + 4 * n_axes
    if len(content) < start:
        raise DataError(f"{path}: truncated: its header should have {start} bytes, the file has {len(content)}.")
    shape = struct.unpack(f">{n_axes}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path}: {_long_or_short(len(content), expected)}: axes of {shape} need {expected} bytes, "
            f"the file has {len(content)}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _decompressed(path: Path, content: bytes) -> bytes:
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip file is truncated or corrupt ({error}); it has {len(content)} bytes. Get it again."
        ) from error


def _long_or_short(got: int, expected: int) -> str:
    return "truncated" if got < expected else "too long"
