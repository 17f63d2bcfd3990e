"""Arrays packed for a compressor, and back without a bit lost.

Measurements hardly repeat, but they resemble their neighbors. A compressor sees that once like stands beside like: the
first bytes of all numbers, then the second ones, ... (planes); and, where numbers change little from row to row, the
planes of their differences. Numbers are taken by their bits, floats too, so nothing is rounded; the differences wrap
around, and are folded (0, -1, 1, -2, ... become 0, 1, 2, 3, ...) so that small ones leave the high planes empty.
"""

import io
import lzma
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Packing", "differences", "pack", "running_sums", "shade", "unpack"]

Form = Literal["plain", "planes", "differences"]


class Packing(BaseModel):
    """How an array was packed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Form
    """``plain``: the array itself; ``planes``: its bytes by their place in a number; ``differences``: the planes of the
    differences from row to row."""
    dtype: str
    shape: tuple[int, ...]
    shades: int | None = Field(default=None, ge=2, le=256)
    """Of pictures whose values were rounded to so many shades between -1 and 1; None where nothing was rounded."""


def pack(array: NDArray[Any], *, shades: int | None = None) -> tuple[Packing, bytes]:
    """Pack an array in the form that compresses best.

    Args:
        array: any array without Python objects.
        shades: round the values to so many shades between -1 and 1 first (0 stands for what is not a number).

    Returns:
        How it was packed, and the .npy file to compress.
    """
    stored = array if shades is None else shade(array, shades)
    forms: dict[Form, NDArray[Any]] = {"plain": stored}
    if stored.dtype.kind in "iuf" and stored.dtype.isnative and stored.dtype.itemsize <= 8 and stored.size:
        bits = stored.reshape(len(stored) if stored.ndim else 1, -1).view(f"u{stored.dtype.itemsize}")
        forms |= {"planes": _planes(bits), "differences": _planes(differences(bits))}
    files = {form: _npy(content) for form, content in forms.items()}
    best = min(files, key=lambda form: _compressed_size(files[form]))
    return Packing(form=best, dtype=array.dtype.str, shape=array.shape, shades=shades), files[best]


def unpack(packing: Packing, file: bytes) -> NDArray[Any]:
    """Give back the array that was packed.

    Raises:
        ValueError: the file does not hold what the packing says.
    """
    stored: NDArray[Any] = np.load(io.BytesIO(file), allow_pickle=False)
    dtype = np.dtype(packing.dtype)
    if packing.form != "plain":
        kept = np.dtype(np.uint8) if packing.shades else dtype
        rows = (packing.shape or (1,))[0]
        bits = np.ascontiguousarray(stored.T).view(f"u{kept.itemsize}").reshape(rows, -1)
        stored = (running_sums(bits) if packing.form == "differences" else bits).view(kept)
    stored = stored.reshape(packing.shape)
    return stored if packing.shades is None else (stored * (2 / (packing.shades - 1)) - 1).astype(dtype)


def shade(array: NDArray[Any], shades: int) -> NDArray[np.uint8]:
    """Number the shades, from 0 at -1 to ``shades - 1`` at 1, that come nearest to the values.

    >>> shade(np.array([-1.0, 0.0, 1.0, 7.0]), 256).tolist()
    [0, 128, 255, 255]
    """
    inside = np.clip(np.nan_to_num(array.astype(np.float64)), -1, 1)
    return np.round((inside + 1) * ((shades - 1) / 2)).astype(np.uint8)


def differences(bits: NDArray[Any]) -> NDArray[Any]:
    """The differences from row to row of unsigned numbers, folded; the first row's is from 0."""
    difference = np.diff(bits, axis=0, prepend=np.zeros_like(bits[:1]))
    sign = difference >> (8 * bits.itemsize - 1)
    return (difference << 1) ^ -sign


def running_sums(folded: NDArray[Any]) -> NDArray[Any]:
    """The numbers of which these are the folded differences."""
    difference = (folded >> 1) ^ -(folded & 1)
    return np.cumsum(difference, axis=0, dtype=folded.dtype)


def _npy(array: NDArray[Any]) -> bytes:
    """The .npy file of an array."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def _planes(bits: NDArray[Any]) -> NDArray[np.uint8]:
    """[n, ...] numbers of k bytes -> [k, all numbers]: their lowest bytes, then the next ones, ..."""
    return np.ascontiguousarray(np.ascontiguousarray(bits).reshape(-1).view(np.uint8).reshape(bits.size, -1).T)


def _compressed_size(file: bytes) -> int:
    compressed = lzma.compress(file, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1}])
    return len(compressed)
