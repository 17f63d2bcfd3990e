"""The binary version of CIFAR-10: records of one label byte and 3072 pixel bytes (planes R, G, B of 32x32).

Reference: A. Krizhevsky, "The CIFAR-10 dataset", section "Binary version".
"""

from pathlib import Path

import numpy as np
import torch

from taumem.data.pixels import Images, from_bytes
from taumem.data.readers.opening import check_memory, existing, in_memory, read_bytes, shown
from taumem.errors import DataError

__all__ = ["cifar10_names", "is_cifar10_folder", "load_cifar10"]

ITEM_SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
N_CLASSES = 10
TRAINING_FILES = "data_batch_*.bin"


@in_memory
def load_cifar10(path: str | Path) -> Images:
    """Read CIFAR-10 images from the official binary layout.

    Args:
        path: one ``.bin`` file, or the folder ``cifar-10-batches-bin``. Of a folder, the training files
            ``data_batch_*.bin`` are read in the order of their names; name ``test_batch.bin`` to read that
            one.

    Returns:
        [n, 3, 32, 32] in [-1, 1].

    Raises:
        DataError: no such path, no training file in the folder, or a file that is not whole records with
            labels 0-9.
    """
    path = existing(path)
    if not path.is_dir():
        return _load_file(path)
    files = sorted(path.glob(TRAINING_FILES))
    if not files:
        raise DataError(f"{shown(path)}: no training file of CIFAR-10 ({TRAINING_FILES}) in this folder.")
    check_memory(path, 5 * sum(file.stat().st_size for file in files))
    return torch.cat([_load_file(file) for file in files])


def is_cifar10_folder(path: Path) -> bool:
    """Whether a folder holds training files of CIFAR-10's binary version."""
    return any(path.glob(TRAINING_FILES))


def cifar10_names(folder: Path) -> list[str]:
    """The name of each image in a folder that :func:`load_cifar10` reads: ``data_batch_1.bin[17]``."""
    counts = {file.name: file.stat().st_size // RECORD_BYTES for file in sorted(folder.glob(TRAINING_FILES))}
    return [f"{name}[{k}]" for name, count in counts.items() for k in range(count)]


def _load_file(path: Path) -> Images:
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
    return from_bytes(records[:, 1:].reshape(n_items, *ITEM_SHAPE))
