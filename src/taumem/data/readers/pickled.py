"""Numpy's arrays in a pickle, read without running what the pickle says.

A pickle is a program: it names functions of Python and calls them. Here it gets none. Of the names that it may say,
those of numpy's arrays, it is given stand-ins that write down what they are called with; any other name is refused, so
that what comes out holds numbers, words, plain containers and arrays alone, whoever made the file. Arrays are then made
from what was written down, by the rules of :func:`numpy.frombuffer`.
"""

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from taumem.data.readers.opening import read_bytes, reason_of, shown
from taumem.errors import DataError

__all__ = ["read_pickled_arrays"]

REAL = re.compile(r"[<>=|]?[biuf][1248]")
"""Types of numbers that have a size of their own."""
BYTES = "latin1"
"""What gives every byte of Python 2's strings back as it was."""


def read_pickled_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of real numbers in a pickled dict, by their keys; what else is in it is passed over.

    Raises:
        DataError: the file cannot be read, is no pickle of a dict, or names anything but numpy's arrays, as one made to
            run code does.
    """
    content = read_bytes(path)
    try:
        found = _ArraysOnly(io.BytesIO(content), encoding=BYTES).load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{shown(path)}: not read as a pickle: {reason_of(error)}.") from None
    # A damaged pickle is a program with mistakes in it: it raises whatever Python does.
    except Exception as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise DataError(f"{shown(path)}: not a readable pickle, or truncated ({reason}).") from None
    if not isinstance(found, dict):
        raise DataError(f"{shown(path)}: expected a pickled dict of arrays, got {type(found).__name__}.")
    named = {key.decode(BYTES) if isinstance(key, bytes) else str(key): value for key, value in found.items()}
    return {key: value.values for key, value in named.items() if isinstance(value, _Array)}


class _Type:
    """Stands for a type of numbers, until it is known to be one."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code.decode(BYTES) if isinstance(code, bytes) else code
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1].decode(BYTES) if isinstance(state[1], bytes) else state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type.

        Raises:
            UnpicklingError: it is none of real numbers.
        """
        if not (isinstance(self.code, str) and REAL.fullmatch(self.code) and self.order in ("<", ">", "=", "|")):
            raise pickle.UnpicklingError(f"expected arrays of real numbers, got type {self.code!r}")
        dtype = np.dtype(self.code)
        return dtype if self.order == "|" else dtype.newbyteorder(cast(Literal["<", ">", "="], self.order))


class _Array:
    """Stands for an array, until all of it is there."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, in_columns, content = state
        self.fill(content, kind, shape, "F" if in_columns else "C")

    def fill(self, content: Any, kind: Any, shape: Any, order: Any) -> None:
        """Take the numbers, once they are as many as the shape says."""
        content = content.encode(BYTES) if isinstance(content, str) else content
        if not (isinstance(content, bytes) and isinstance(kind, _Type)) or order not in ("C", "F"):
            raise pickle.UnpicklingError("an array without numbers")
        dtype, count = kind.dtype, math.prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize != len(content):
            raise pickle.UnpicklingError(f"an array of shape {shape} of {dtype}, which {len(content)} bytes are not")
        self.values = np.frombuffer(content, dtype).reshape(shape, order=order)


class _FromBuffer(_Array):
    """Stands for an array that newer pickles make in one call."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if args:
            self.fill(*args)


class _Encoded:
    """Stands for the function by which older pickles write bytes down as text."""

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]
        return text.encode(BYTES)

    def __setstate__(self, state: object) -> None:
        """Nothing has a state; without this, a pickle could give the class one."""
        raise pickle.UnpicklingError("bytes without a state")


STAND_INS: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _Encoded,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer for core in ("core", "_core")},
}


class _ArraysOnly(pickle._Unpickler):
    """Python's own reader of pickles, not the one in C: a few bytes can have that one fill the memory."""

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        # This one would make room for as many bytes as a file claims to have.
        pickle.BYTEARRAY8[0]: pickle._Unpickler.load_binbytes8,  # type: ignore[attr-defined]
    }

    def find_class(self, module: str, name: str) -> Any:
        """Give what stands for a name.

        Raises:
            UnpicklingError: it is not one of an array's.
        """
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(
                f"it wants {module}.{name}, which may run code; only numbers, words, plain containers and numpy's "
                "arrays are taken"
            )
        return STAND_INS[module, name]

    def get_extension(self, code: int) -> None:
        """Refuse names by number, which are known to nobody here."""
        raise pickle.UnpicklingError("it wants a name by its number; only arrays are taken")
