"""Images in numpy's files, .npy and .npz."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.data.pixels import Images
from taumem.data.readers.opening import existing
from taumem.errors import ConfigError, DataError, nearest_name

__all__ = ["load_array"]

CHANNELS = (1, 3)


def load_array(path: str | Path, *, key: str | None = None, value_range: tuple[float, float] | None = None) -> Images:
    """Read images from a .npy or .npz file.

    Shape: [n, H, W] is gray; [n, H, W, C] and [n, C, H, W] are told apart by which axis has 1 or 3 entries, and
    are refused if both or neither has.

    Values: ``value_range`` says which values are black and full intensity, and is mapped to [-1, 1] linearly.
    Without it, bytes are taken as [0, 255], booleans as [0, 1], and floats as [-1, 1] if some of them are
    negative. Floats that all lie in [0, 1] could be meant either way, so there it must be given.

    Args:
        path: the file.
        key: which array of a .npz; needed if there are several.
        value_range: (black, full intensity) in the units of the file.

    Returns:
        [n, C, H, W] in [-1, 1], with C = 1 or 3.

    Raises:
        DataError: no such file, unreadable, unknown key, a shape or values that the rules above cannot place,
            values outside the range, NaN or infinite values.
        ConfigError: a value range whose ends are not ascending.
    """
    path = existing(path)
    values = _channels_first(path, _read(path, key))
    if values.size == 0:
        raise DataError(f"{path}: holds no images, its shape is {values.shape}.")
    _check_finite(path, values)
    low, high = _range_of(path, values) if value_range is None else value_range
    if not low < high:
        raise ConfigError(f"value_range must ascend, (black, full intensity); got ({low}, {high}).")
    smallest, largest = float(values.min()), float(values.max())
    if smallest < low or largest > high:
        raise DataError(
            f"{path}: values should lie in [{low:g}, {high:g}], they go from {smallest:g} to {largest:g}; "
            "give the value_range that the file uses."
        )
    images = values.astype(np.float32)
    if (low, high) != (-1, 1):
        # In float32 as from_bytes does it, so that the same images give the same bits from every format.
        images = ((images - np.float32(low)) / np.float32((high - low) / 2) - 1).clip(-1, 1)
    return torch.from_numpy(np.ascontiguousarray(images))


def _read(path: Path, key: str | None) -> NDArray[Any]:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                return np.asarray(loaded[_choose(path, list(loaded.files), key)])
            return np.asarray(loaded)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).split("\n")[0]
        raise DataError(f"{path}: not a readable .npy or .npz file of numbers ({reason}).") from error


def _choose(path: Path, names: list[str], key: str | None) -> str:
    if key is None:
        if len(names) == 1:
            return names[0]
        raise DataError(f"{path}: holds {len(names)} arrays; say by key which one. Known: {', '.join(names)}.")
    if key not in names:
        raise DataError(f"{path}: has no array {key!r}; {nearest_name(key, names)}")
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
                f"{path}: shape {shape} could be [n, C, H, W] or [n, H, W, C], both of these axes have 1 or 3 entries."
            )
        if first:
            return values
        if last:
            return values.transpose(0, 3, 1, 2)
    raise DataError(
        f"{path}: expected images of shape [n, H, W], [n, H, W, C] or [n, C, H, W] with C = 1 or 3; got {shape}."
    )


def _check_finite(path: Path, values: NDArray[Any]) -> None:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: expected real numbers, got values of type {values.dtype}.")
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        raise DataError(
            f"{path}: {len(bad)} of {len(values)} images hold NaN or infinite values (the first is image {bad[0]})."
        )


def _range_of(path: Path, values: NDArray[Any]) -> tuple[float, float]:
    """The range that values of this type surely mean."""
    smallest, largest = float(values.min()), float(values.max())
    if values.dtype == np.uint8:
        return 0.0, 255.0
    if values.dtype == np.bool_:
        return 0.0, 1.0
    if values.dtype.kind == "f" and -1 <= smallest < 0 and largest <= 1:
        return -1.0, 1.0
    raise DataError(
        f"{path}: values of type {values.dtype} from {smallest:g} to {largest:g} could mean several "
        "things; give a value_range, such as (0, 1), (-1, 1) or (0, 255)."
    )
