"""Images in numpy's files, .npy and .npz."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from taumem.data.pixels import Images
from taumem.data.readers.opening import MOST_FOLD, UNFOLDS_ANYWAY, check_memory, existing, in_memory, reason_of, shown
from taumem.errors import ConfigError, DataError, nearest_name

__all__ = ["load_array"]

CHANNELS = (1, 3)
LOW_BITS = 0xFFFF
"""Of a float32: those that a bfloat16 does not have."""
BFLOAT16_EPS = 2.0**-7


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
    path = existing(path)
    values = _channels_first(path, _read(path, key))
    if values.size == 0:
        raise DataError(f"{shown(path)}: holds no images, its shape is {values.shape}.")
    check_memory(path, values.nbytes + 4 * values.size)
    _check_finite(path, values)
    low, high = _range_of(path, values) if value_range is None else value_range
    if not -math.inf < low < high < math.inf:
        raise ConfigError(f"value_range must ascend, (black, full intensity); got ({low}, {high}).")
    smallest, largest = _ends(values)
    is_inside = low <= smallest and largest <= high
    slack = 0.0 if is_inside else _rounding(values) * max(abs(low), abs(high))
    if smallest < low - slack or largest > high + slack:
        raise DataError(
            f"{shown(path)}: values should lie in [{low:g}, {high:g}], they go from {_exact(smallest)} to "
            f"{_exact(largest)}; give the value_range that the file uses."
        )
    images = values.astype(np.float32)
    if (low, high) != (-1, 1):
        # In float32 as from_bytes does it, so that the same images give the same bits from every format.
        images = (images - np.float32(low)) / np.float32((high - low) / 2) - 1
    return torch.from_numpy(np.ascontiguousarray(images.clip(-1, 1)))


def _read(path: Path, key: str | None) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                file.seek(0)
                return _read_npy(path, file, path.stat().st_size)
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


def _read_npy(path: Path, file: Any, n_bytes: int) -> NDArray[Any]:
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
    values = np.frombuffer(file.read(claimed), dtype, count)
    return values.reshape(shape, order="F" if fortran_order else "C")


def _choose(path: Path, names: list[str], key: str | None) -> str:
    if key is None:
        if len(names) == 1:
            return names[0]
        raise DataError(
            f"{shown(path)}: holds {len(names)} arrays; say by key which one. Known: {shown(', '.join(names))}."
        )
    if key not in names:
        raise DataError(f"{shown(path)}: has no array {key!r}; {shown(nearest_name(key, names))}")
    return key


def _channels_first(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """[n, C, H, W] from any of the three layouts."""
    shape = values.shape
    # Three axes that end in 3 are far more often one color image than n gray images three pixels wide.
    if values.ndim == 3 and shape[2] not in CHANNELS:
        return values[:, None]
    if values.ndim == 4:
        first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
        if first and last:
            raise DataError(
                f"{shown(path)}: shape {shape} could be [n, C, H, W] or [n, H, W, C], both of these axes have 1 or 3 "
                "entries."
            )
        if first:
            return values
        if last:
            return values.transpose(0, 3, 1, 2)
    raise DataError(
        f"{shown(path)}: expected images of shape [n, H, W], [n, H, W, C] or [n, C, H, W] with C = 1 or 3; got {shape}."
    )


def _check_finite(path: Path, values: NDArray[Any]) -> None:
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        raise DataError(
            f"{shown(path)}: {len(bad)} of {len(values)} images hold NaN or infinite values (the first is image "
            f"{bad[0]})."
        )


def _range_of(path: Path, values: NDArray[Any]) -> tuple[float, float]:
    """The range that values of this type surely mean."""
    if values.dtype == np.uint8:
        return 0.0, 255.0
    if values.dtype == np.bool_:
        return 0.0, 1.0
    smallest, largest = _ends(values)
    if values.dtype.kind == "f" and -2 < smallest < 0 and largest < 2:
        slack = _rounding(values)
        # What is negative by a rounding only may as well mean [0, 1].
        if -1 - slack <= smallest < -slack and largest <= 1 + slack:
            return -1.0, 1.0
    raise DataError(
        f"{shown(path)}: values of type {values.dtype} from {_exact(smallest)} to {_exact(largest)} could mean several "
        "things; give a value_range, such as (0, 1), (-1, 1) or (0, 255)."
    )


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _rounding(values: NDArray[Any]) -> float:
    """How far, relatively, the coarsest type of floats that holds all values may have rounded them."""
    if values.dtype.kind != "f" or (values == np.floor(values)).all():
        return 0.0  # whole numbers were not rounded
    with np.errstate(over="ignore"):
        singles, halves = values.astype(np.float32), values.astype(np.float16)
    if (singles == values).all() and not (singles.view(np.uint32) & LOW_BITS).any():
        return BFLOAT16_EPS
    return float(np.finfo(np.float16 if (halves == values).all() else np.float32).eps)


def _exact(value: float) -> str:
    """A number by few digits if they are all that it has, else by all."""
    return text if float(text := f"{value:g}") == value else repr(value)
