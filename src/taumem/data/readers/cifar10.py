"""CIFAR-10, in its binary version and in its version for Python.

Binary: records of one label byte and 3072 pixel bytes. For Python: pickled dicts whose ``data`` has such a row for each
image. Either way the bytes of an image are its planes R, G, B of 32x32.

Reference: A. Krizhevsky, "The CIFAR-10 dataset", sections "Binary version" and "Python / Matlab versions".
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taumem.data.pixels import Images, from_bytes
from taumem.data.readers.opening import check_memory, existing, in_memory, read_bytes, shown
from taumem.data.readers.pickled import read_pickled_arrays
from taumem.errors import DataError

__all__ = ["cifar10_bytes", "cifar10_names", "is_cifar10_file", "is_cifar10_folder", "load_cifar10"]

ITEM_SHAPE = (3, 32, 32)
N_PIXELS = 3 * 32 * 32
RECORD_BYTES = 1 + N_PIXELS
N_CLASSES = 10
TRAINING_FILES = "data_batch_*.bin"
PICKLED_FILES = "data_batch_[0-9]"


@in_memory
def load_cifar10(path: str | Path) -> Images:
    """Read CIFAR-10 images from either official layout.

    Pickles are not run: what they hold besides numbers, words and arrays is refused.

    Args:
        path: one file, or the folder ``cifar-10-batches-bin`` or ``cifar-10-batches-py``. Of a folder, the training
            files ``data_batch_*.bin``, or ``data_batch_1`` and its like, are read in the order of their names; name
            ``test_batch.bin`` or ``test_batch`` to read that one.

    Returns:
        [n, 3, 32, 32] in [-1, 1].

    Raises:
        DataError: no such path, no training file in the folder, or a file that is not whole records with
            labels 0-9, or a pickle of anything else.
    """
    pixels = cifar10_bytes(path)
    check_memory(path, 5 * pixels.size)
    return from_bytes(pixels)


def cifar10_bytes(path: str | Path) -> NDArray[np.uint8]:
    """Read the pixels as they are in the files, [n, 3, 32, 32].

    Raises:
        DataError: as :func:`load_cifar10`.
    """
    path = existing(path)
    if not path.is_dir():
        return _bytes_of(path)
    files = _training_files(path)
    if not files:
        raise DataError(
            f"{shown(path)}: no training file of CIFAR-10 ({TRAINING_FILES}, or {PICKLED_FILES}) in this folder."
        )
    check_memory(path, 2 * sum(file.stat().st_size for file in files))
    return np.concatenate([_bytes_of(file) for file in files])


def is_cifar10_folder(path: Path) -> bool:
    """Whether a folder holds training files of CIFAR-10."""
    return bool(_training_files(path))


def is_cifar10_file(path: Path) -> bool:
    """Whether a file has the name of one of CIFAR-10's, or the ending of the binary ones."""
    return path.name.lower().endswith(".bin") or path.match(PICKLED_FILES) or path.name == "test_batch"


def cifar10_names(folder: Path) -> list[str]:
    """The name of each image in a folder that :func:`load_cifar10` reads: ``data_batch_1.bin[17]``."""
    return [f"{file.name}[{k}]" for file in _training_files(folder) for k in range(_count(file))]


def _training_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(TRAINING_FILES)) or sorted(folder.glob(PICKLED_FILES))


def _count(file: Path) -> int:
    return file.stat().st_size // RECORD_BYTES if file.suffix else len(_bytes_of(file))


def _bytes_of(path: Path) -> NDArray[np.uint8]:
    return _of_records(path) if path.suffix else _of_pickle(path)


def _of_records(path: Path) -> NDArray[np.uint8]:
    content = read_bytes(path)
    n_items, left = divmod(len(content), RECORD_BYTES)
    if left or not n_items:
        raise DataError(
            f"{shown(path)}: truncated, or not CIFAR-10's binary version: expected a multiple of {RECORD_BYTES} "
            f"bytes (the next is {(n_items + 1) * RECORD_BYTES}), got {len(content)}."
        )
    records = np.frombuffer(content, np.uint8).reshape(n_items, RECORD_BYTES)
    highest = int(records[:, 0].max())
    if highest >= N_CLASSES:
        raise DataError(
            f"{shown(path)}: not CIFAR-10's binary version: the first byte of each record is a label from 0 to "
            f"{N_CLASSES - 1}, and here one is {highest}."
        )
    return records[:, 1:].reshape(n_items, *ITEM_SHAPE)


def _of_pickle(path: Path) -> NDArray[np.uint8]:
    arrays = read_pickled_arrays(path)
    data = arrays.get("data")
    if data is None or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != N_PIXELS or not len(data):
        found = f"data of {data.dtype} {data.shape}" if data is not None else f"arrays {', '.join(arrays) or 'none'}"
        raise DataError(
            f"{shown(path)}: not CIFAR-10's version for Python: expected 'data', bytes of shape (n, {N_PIXELS}); got "
            f"{found}."
        )
    return data.reshape(len(data), *ITEM_SHAPE)
