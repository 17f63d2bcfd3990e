"""One door to images on disk: the path says which reader opens it."""

from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from taumem.data.pixels import Images, cropped, from_bytes, resize, to_grayscale
from taumem.data.readers.arrays import stored_array
from taumem.data.readers.cifar10 import cifar10_bytes, cifar10_names, is_cifar10_file, is_cifar10_folder
from taumem.data.readers.folder import PicturesRead, brought, read_folder, read_pictures, spread
from taumem.data.readers.hugging_face import PREFIX, is_saved_dataset, open_column
from taumem.data.readers.idx import idx_bytes
from taumem.data.readers.listing import tell
from taumem.data.readers.opening import check_memory, existing, in_memory, shown
from taumem.data.stored import Stored
from taumem.errors import ConfigError, DataError

__all__ = ["load_images", "read_images", "stored_images"]


class Options(TypedDict, total=False):
    """What :func:`load_images` takes."""

    grayscale: bool
    crop: bool | int
    size: int | tuple[int, int] | None
    pad_to: int | tuple[int, int] | None
    limit: int | None
    key: str | None
    value_range: tuple[float, float] | None
    skip_unreadable: bool


def load_images(
    path: str | Path,
    *,
    grayscale: bool = False,
    crop: bool | int = False,
    size: int | tuple[int, int] | None = None,
    pad_to: int | tuple[int, int] | None = None,
    limit: int | None = None,
    key: str | None = None,
    value_range: tuple[float, float] | None = None,
    skip_unreadable: bool = False,
) -> Images:
    """Read images from a file or folder; then turn them gray, crop and resize them, in this order, if asked.

    ===========================================  ==========================================================
    path                                         reader
    ===========================================  ==========================================================
    a folder with CIFAR-10's ``data_batch_*``    :func:`~taumem.data.readers.cifar10.load_cifar10`
    a folder of ``save_to_disk``, ``hf:NAME``    :func:`~taumem.data.readers.hugging_face.open_column`
    any other folder                             :func:`~taumem.data.readers.folder.load_folder`
    ``*.npy``, ``*.npz``                         :func:`~taumem.data.readers.arrays.load_array`
    ``*.bin``, ``data_batch_1``, ``test_batch``  :func:`~taumem.data.readers.cifar10.load_cifar10`
    ``*idx*``, ``*-ubyte``, ``*.gz``             :func:`~taumem.data.readers.idx.load_idx`
    ===========================================  ==========================================================

    Args:
        path: the file or folder; or ``hf:NAME``, ``hf:NAME:SPLIT``, ``hf:NAME:SPLIT:COLUMN``, a Hugging Face dataset.
        grayscale: whether to reduce colors to one channel.
        crop: whether to cut the largest central square out of each image; or the side of the square in pixels. Of
            CelebA's 178x218, True leaves 178x178, and 140 or 148 cut closer to the face.
        size: the height and width in pixels to bring the images to, or one number for both; None keeps their
            size.
        pad_to: the height and width in pixels to pad to with black before resizing; it needs a ``size``.
        limit: at most this many images, evenly spread over the data; None reads all.
        key: which array of a .npz file.
        value_range: (black, full intensity) in the units of a .npy or .npz file.
        skip_unreadable: whether to pass over files in a folder that cannot be read, with a note that names them.

    Returns:
        [n, 1 or 3, height, width] in [-1, 1].

    Raises:
        DataError: the path does not exist, is none of these, or the reader refuses it.
        ConfigError: options that contradict each other or do not apply to this kind of file.
    """
    read = read_images(
        path,
        grayscale=grayscale,
        crop=crop,
        size=size,
        pad_to=pad_to,
        limit=limit,
        key=key,
        value_range=value_range,
        skip_unreadable=skip_unreadable,
    )
    tell(Path(path), "images", len(read.images), read.notes)
    return read.images


@in_memory
def read_images(path: str | Path, **options: Unpack[Options]) -> PicturesRead:
    """Read images as :func:`load_images` does, with the name of each: ``cats/1.png`` or ``a.npy[17]``."""
    read = _one_by_one(path, options, in_bytes=False)
    if read is not None:
        return read
    stored, names = _of_one_file(existing(path), options)
    check_memory(path, stored.n_bytes)
    return PicturesRead(stored.read(), names, [])


@in_memory
def stored_images(path: str | Path, **options: Unpack[Options]) -> Stored:
    """Open images as :func:`load_images` does, to become floats as they are asked for.

    What is bytes on disk stays bytes in memory, a quarter of the floats. What is turned gray or resized is no whole
    bytes any more, and is there in floats.
    """
    read = _one_by_one(path, options, in_bytes=True)
    if read is None:
        return _of_one_file(existing(path), options)[0]
    tell(Path(path), "images", len(read.images), read.notes)
    return _held(read.images)


def _one_by_one(path: str | Path, options: Options, *, in_bytes: bool) -> PicturesRead | None:
    """Read what has a file, or a row of a dataset, for each image; None of anything else.

    Raises:
        ConfigError: options that contradict each other or do not apply.
    """
    is_dataset = str(path).startswith(PREFIX)
    place = Path(path) if is_dataset else existing(path)
    of_arrays = options.get("key") is not None or options.get("value_range") is not None
    if of_arrays and not _is_array(place):
        raise ConfigError(f"{shown(place)}: key and value_range are for .npy and .npz files only; leave them out.")
    size, pad_to = options.get("size"), options.get("pad_to")
    if pad_to is not None and size is None:
        raise ConfigError("pad_to needs a size; to pad only, give the same number as both.")
    skip, limit = options.get("skip_unreadable", False), options.get("limit")
    bring = brought(options.get("grayscale", False), options.get("crop", False), size, pad_to, in_bytes=in_bytes)
    if is_dataset or is_saved_dataset(place):
        column = open_column(str(path) if is_dataset else f"{PREFIX}{place}")
        if column.kind != "images":
            raise DataError(f"{column.place}: holds {column.kind}; name a column of images.")
        rows = [(f"{column.place}[{k}]", partial(column.picture, k)) for k in spread(list(range(len(column))), limit)]
        return read_pictures(Path(column.place), rows, bring, skip_unreadable=skip)
    if place.is_dir() and not is_cifar10_folder(place):
        return read_folder(place, bring, limit=limit, skip_unreadable=skip)
    if skip:
        raise ConfigError(f"{shown(place)}: skip_unreadable is for a folder with one file an image; leave it out.")
    return None


def _of_one_file(path: Path, options: Options) -> tuple[Stored, list[str]]:
    """Open a file of many images, or a folder of such files, with the name of each image."""
    name = path.name.lower()
    if _is_array(path):
        stored = stored_array(path, key=options.get("key"), value_range=options.get("value_range"))
    elif path.is_dir() or is_cifar10_file(path):
        stored = Stored(cifar10_bytes(path), from_bytes)
    elif "idx" in name or name.endswith(("-ubyte", ".gz")):
        stored = Stored(idx_bytes(path), from_bytes)
    else:
        raise DataError(
            f"{shown(path)}: no reader for this kind of file. Known: a folder of images, .npy, .npz, idx (.gz), and "
            "CIFAR-10's files. For a single image, name the folder it is in."
        )
    names = cifar10_names(path) if path.is_dir() else [f"{path.name}[{k}]" for k in range(len(stored))]
    is_bytes = stored.values.dtype.itemsize == 1
    if (limit := options.get("limit")) is not None:
        stored, names = stored.only(np.array(spread(list(range(len(stored))), limit))), spread(names, limit)
    if crop := options.get("crop", False):
        stored = stored.then(partial(cropped, crop=crop))
    grayscale, size = options.get("grayscale", False), options.get("size")

    def change(images: Images) -> Images:
        images = to_grayscale(images) if grayscale else images
        return images if size is None else resize(images, size, pad_to=options.get("pad_to"))

    if grayscale or size is not None or not is_bytes:
        stored = _held(stored.then(change).read())
    return stored, names


def _is_array(path: Path) -> bool:
    return path.name.lower().endswith((".npy", ".npz"))


def _held(images: Tensor) -> Stored:
    """Images in memory, as floats or as the bytes that stand for them."""
    return Stored(images.numpy(), from_bytes if images.dtype == torch.uint8 else torch.from_numpy)
