"""Images in a folder, one file an image, in any format that pillow reads."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageOps

from taumem.data.pixels import Images, center_crop, from_bytes, resize, to_grayscale
from taumem.data.readers.opening import existing
from taumem.errors import ConfigError, DataError

__all__ = ["load_folder", "spread"]

Item = TypeVar("Item")

WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


def load_folder(
    path: str | Path,
    *,
    grayscale: bool = False,
    crop: bool = False,
    size: int | tuple[int, int] | None = None,
    pad_to: int | tuple[int, int] | None = None,
    limit: int | None = None,
) -> Images:
    """Read all images in a folder and in the folders inside it, sorted by their paths.

    Which files are images is told by their endings (``.png``, ``.jpg``, ``.webp``, ... in small or capital
    letters); other files and hidden ones are passed over. Images are turned upright as their EXIF data say,
    transparent parts become black, and of an animation the first frame is taken. Each image is brought to its
    size as it is read, so the memory needed is that of the result.

    Args:
        path: the folder.
        grayscale: False gives RGB (three equal channels for a gray file), True gives one channel.
        crop: whether to cut the largest central square out of each image first.
        size: as in :func:`~taumem.data.pixels.resize`; None keeps the size, which all images must then share.
        pad_to: as in :func:`~taumem.data.pixels.resize`; it needs a ``size``.
        limit: at most this many images, evenly spread over the sorted list; None reads all.

    Returns:
        [n, 3 or 1, height, width] in [-1, 1].

    Raises:
        DataError: no such folder, no image in it, a file that pillow cannot decode (its path is named), more
            than 8 bits a channel, or images of different sizes when no size is given.
        ConfigError: ``limit`` below 1, or ``pad_to`` without ``size``.
    """
    if pad_to is not None and size is None:
        raise ConfigError("pad_to needs a size; to pad only, give the same number as both.")
    files = spread(_image_files(existing(path)), limit)
    images: Images | None = None
    for k, file in enumerate(files):
        image = _load_file(file)
        image = to_grayscale(image) if grayscale else image
        image = center_crop(image) if crop else image
        if size is not None:
            try:
                image = resize(image, size, pad_to=pad_to)
            except DataError as error:
                raise DataError(f"{file}: {error}") from error
        if images is None:
            # Filled in place, so that a large folder is not in memory twice.
            images = torch.empty(len(files), *image.shape[1:])
        if image.shape[1:] != images.shape[1:]:
            raise DataError(
                f"{path}: the images have different sizes: {files[0].name} is {_size(images)}, "
                f"{file.name} is {_size(image)}; give a size to bring them all to."
            )
        images[k] = image[0]
    assert images is not None  # _image_files never gives an empty list
    return images


def spread(items: list[Item], limit: int | None) -> list[Item]:
    """At most ``limit`` items, evenly spread over a list: the first of a sorted list might be of one kind.

    Raises:
        ConfigError: a limit below 1.
    """
    if limit is None:
        return items
    if limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}.")
    return [items[k * len(items) // limit] for k in range(limit)] if limit < len(items) else items


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, this is a file.")
    readable = {ending for ending, name in Image.registered_extensions().items() if name in Image.OPEN}
    # Sorted by the parts of the path, which is the same order on every system.
    inside = sorted((file.relative_to(folder).parts, file) for file in folder.rglob("*") if file.is_file())
    shown = [file for parts, file in inside if not any(part.startswith(".") for part in parts)]
    images = [file for file in shown if file.suffix.lower() in readable]
    if not images:
        others = f"; it holds {len(shown)} other files, such as {shown[0].name}" if shown else ", it is empty"
        raise DataError(f"{folder}: no image files in this folder{others}.")
    return images


def _load_file(path: Path) -> Images:
    try:
        with Image.open(path) as opened:
            mode = opened.mode
            image = ImageOps.exif_transpose(opened)
            if mode in WITH_ALPHA or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
            pixels = np.asarray(image.convert("RGB"))
    # Pillow's decoders raise whatever their parsers raise: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise DataError(
            f"{path}: not a readable image ({error}); the file is corrupt or truncated. Replace it or remove it."
        ) from error
    if mode.startswith(("I", "F")):
        # Converting these to RGB clips them at 255 without a word.
        raise DataError(
            f"{path}: has more than 8 bits a channel (pillow's mode {mode}); convert it to 8 bits, or "
            "give .npy data with a value_range."
        )
    return from_bytes(pixels.transpose(2, 0, 1)[None])


def _size(images: Images) -> str:
    return "x".join(str(length) for length in images.shape[2:])
