"""One door to images on disk: the path says which reader opens it."""

from pathlib import Path

import torch

from taumem.data.pixels import Images, center_crop, resize, to_grayscale
from taumem.data.readers.arrays import load_array
from taumem.data.readers.cifar10 import cifar10_names, is_cifar10_folder, load_cifar10
from taumem.data.readers.folder import PicturesRead, read_folder, spread
from taumem.data.readers.idx import load_idx
from taumem.data.readers.listing import tell
from taumem.data.readers.opening import existing, in_memory, shown
from taumem.errors import ConfigError, DataError

__all__ = ["load_images", "read_images"]


def load_images(
    path: str | Path,
    *,
    grayscale: bool = False,
    crop: bool = False,
    size: int | tuple[int, int] | None = None,
    pad_to: int | tuple[int, int] | None = None,
    limit: int | None = None,
    key: str | None = None,
    value_range: tuple[float, float] | None = None,
    skip_unreadable: bool = False,
) -> Images:
    """Read images from a file or folder; then turn them gray, crop and resize them, in this order, if asked.

    ======================================  ==========================================================
    path                                    reader
    ======================================  ==========================================================
    a folder with ``data_batch_*.bin``      :func:`~taumem.data.readers.cifar10.load_cifar10`
    any other folder                        :func:`~taumem.data.readers.folder.load_folder`
    ``*.npy``, ``*.npz``                    :func:`~taumem.data.readers.arrays.load_array`
    ``*.bin``                               :func:`~taumem.data.readers.cifar10.load_cifar10`
    ``*idx*``, ``*-ubyte``, ``*.gz``        :func:`~taumem.data.readers.idx.load_idx`
    ======================================  ==========================================================

    Args:
        path: the file or folder.
        grayscale: whether to reduce colors to one channel.
        crop: whether to cut the largest central square out of each image.
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
def read_images(
    path: str | Path,
    *,
    grayscale: bool = False,
    crop: bool = False,
    size: int | tuple[int, int] | None = None,
    pad_to: int | tuple[int, int] | None = None,
    limit: int | None = None,
    key: str | None = None,
    value_range: tuple[float, float] | None = None,
    skip_unreadable: bool = False,
) -> PicturesRead:
    """Read images as :func:`load_images` does, with the name of each: ``cats/1.png`` or ``a.npy[17]``."""
    path = existing(path)
    name = path.name.lower()
    is_array = name.endswith((".npy", ".npz"))
    if (key is not None or value_range is not None) and not is_array:
        raise ConfigError(f"{shown(path)}: key and value_range are for .npy and .npz files only; leave them out.")
    if path.is_dir() and not is_cifar10_folder(path):
        return read_folder(
            path,
            grayscale=grayscale,
            crop=crop,
            size=size,
            pad_to=pad_to,
            limit=limit,
            skip_unreadable=skip_unreadable,
        )
    if skip_unreadable:
        raise ConfigError(f"{shown(path)}: skip_unreadable is for a folder with one file an image; leave it out.")
    if pad_to is not None and size is None:
        raise ConfigError("pad_to needs a size; to pad only, give the same number as both.")
    if is_array:
        images = load_array(path, key=key, value_range=value_range)
    elif path.is_dir() or name.endswith(".bin"):
        images = load_cifar10(path)
    elif "idx" in name or name.endswith(("-ubyte", ".gz")):
        images = load_idx(path)
    else:
        raise DataError(
            f"{shown(path)}: no reader for this kind of file. Known: a folder of images, .npy, .npz, idx (.gz), and "
            "CIFAR-10's .bin files. For a single image, name the folder it is in."
        )
    names = cifar10_names(path) if path.is_dir() else [f"{path.name}[{k}]" for k in range(len(images))]
    if limit is not None:
        images, names = images[torch.tensor(spread(list(range(len(images))), limit))], spread(names, limit)
    images = to_grayscale(images) if grayscale else images
    images = center_crop(images) if crop else images
    return PicturesRead(images if size is None else resize(images, size, pad_to=pad_to), names, [])
