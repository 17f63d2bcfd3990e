"""Images in a folder, one file an image, in the formats that are listed in :mod:`taumem.data.readers.picture`."""

import math
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from taumem.data.pixels import Images, bring_to_size
from taumem.data.readers.listing import Listing, by_ending, list_files, settle
from taumem.data.readers.opening import check_memory, existing, in_memory, shown
from taumem.data.readers.picture import is_picture, looks_like_a_picture, read_picture
from taumem.errors import ConfigError, DataError

__all__ = ["load_folder", "spread"]

Item = TypeVar("Item")


@in_memory
def load_folder(
    path: str | Path,
    *,
    grayscale: bool = False,
    crop: bool = False,
    size: int | tuple[int, int] | None = None,
    pad_to: int | tuple[int, int] | None = None,
    limit: int | None = None,
    skip_unreadable: bool = False,
) -> Images:
    """Read all images in a folder and in the folders inside it, sorted by their paths.

    Which files are images is told by their endings (``.png``, ``.jpg``, ``.webp``, ... in small or capital letters);
    other files and hidden ones are passed over, with a note where others look like pictures (``.heic``, ``.eps``,
    ...). Links are followed, and each folder is entered once. Images are turned upright as their EXIF data say, or
    left as they are where these are damaged, with a note; transparent parts become black, and of an animation or of
    several pages the first is taken. Each image is brought to its size as it is read, so the memory needed is that of
    the result, and of one image of at most 50 megapixels.

    Args:
        path: the folder.
        grayscale: False gives RGB (three equal channels for a gray file), True gives one channel.
        crop: whether to cut the largest central square out of each image first.
        size: as in :func:`~taumem.data.pixels.resize`; None keeps the size, which all images must then share.
        pad_to: as in :func:`~taumem.data.pixels.resize`; it needs a ``size``.
        limit: at most this many images, evenly spread over the sorted list; None reads all.
        skip_unreadable: whether to pass over files that cannot be read, with a note that names them.

    Returns:
        [n, 3 or 1, height, width] in [-1, 1].

    Raises:
        DataError: no such folder, no image in it, images of different sizes when no size is given; or, unless they
            are to be skipped, files that cannot be decoded, have more than 8 bits a channel or are too large. All are
            counted, and the first of them named.
        ConfigError: ``limit`` below 1, or ``pad_to`` without ``size``.
    """
    if pad_to is not None and size is None:
        raise ConfigError("pad_to needs a size; to pad only, give the same number as both.")
    path = existing(path)
    listing = _image_files(path)
    files, unreadable = spread(listing.files, limit), list(listing.unreadable)
    several_frames, damaged_exif = list[str](), list[str]()
    images, n_read = torch.empty(0), 0
    for file in files:
        try:
            picture = read_picture(file)
        except DataError as error:
            unreadable.append(str(error))
            continue
        several_frames += [file.name] if picture.several_frames else []
        damaged_exif += [file.name] if picture.damaged_exif else []
        pixels = torch.from_numpy(np.ascontiguousarray(picture.pixels))[None]
        try:
            image = bring_to_size(pixels, grayscale=grayscale, crop=crop, size=size, pad_to=pad_to)
        except DataError as error:
            raise DataError(f"{shown(file)}: {error}") from error
        if not n_read:
            # Filled in place, so that a large folder is not in memory twice.
            shape, first = (len(files), *image.shape[1:]), file
            check_memory(path, 4 * math.prod(shape), "Give a smaller size, or a limit")
            images = image if len(files) == 1 else torch.empty(shape)
        if image.shape[1:] != images.shape[1:]:
            raise DataError(
                f"{shown(path)}: the images have different sizes: {shown(first.name)} is {_size(images)}, "
                f"{shown(file.name)} is {_size(image)}; give a size to bring them all to."
            )
        images[n_read] = image[0]
        n_read += 1
    notes = _notes("have several frames or pages, of which the first is taken", several_frames)
    notes += _notes("have damaged EXIF data, and are not turned upright", damaged_exif)
    pictures = [file for file in listing.others if looks_like_a_picture(file.name)]
    if pictures:
        notes.append(f"Files of other kinds are passed over: {by_ending(listing.others)}.")
    settle(path, "images", n_read, unreadable, skip_unreadable, notes)
    return images[:n_read]


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


def _image_files(folder: Path) -> Listing:
    if not folder.is_dir():
        raise DataError(f"{shown(folder)}: expected a folder of images, this is a file.")
    listing = list_files(folder, is_picture)
    if not (listing.files or listing.unreadable):
        others = listing.others
        more = f"; it holds {len(others)} other files, such as {shown(others[0].name)}" if others else ", it is empty"
        raise DataError(f"{shown(folder)}: no image files in this folder{more}.")
    return listing


def _notes(what: str, names: list[str]) -> list[str]:
    return [f"{len(names)} {what}: {shown(names[0])}{', ...' if names[1:] else ''}."] if names else []


def _size(images: Images) -> str:
    return "x".join(str(length) for length in images.shape[2:])
