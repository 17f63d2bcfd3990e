"""Images in a folder, one file an image, in the formats that are listed in :mod:`taumem.data.readers.picture`."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from taumem.data.pixels import Images, Pixels, bring_to_size, cropped
from taumem.data.readers.listing import Listing, by_ending, list_files, settle, tell
from taumem.data.readers.opening import check_memory, existing, in_memory, shown
from taumem.data.readers.picture import Picture, is_picture, looks_like_a_picture, read_picture
from taumem.errors import ConfigError, DataError, option

__all__ = ["PicturesRead", "brought", "load_folder", "read_folder", "read_pictures", "spread"]

Item = TypeVar("Item")


class PicturesRead(NamedTuple):
    """Pictures, the name of each, and what there is to know of how they were read, in sentences."""

    images: Images | Pixels
    names: list[str]
    notes: list[str]


def load_folder(
    path: str | Path,
    *,
    grayscale: bool = False,
    crop: bool | int = False,
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
        crop: whether to cut the largest central square out of each image first; or the side of the square in pixels.
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
    bring = brought(grayscale, crop, size, pad_to, in_bytes=False)
    read = read_folder(existing(path), bring, limit=limit, skip_unreadable=skip_unreadable)
    tell(Path(path), "images", len(read.images), read.notes)
    return read.images


@in_memory
def read_folder(
    path: Path,
    bring: Callable[[Pixels], Images | Pixels],
    *,
    limit: int | None = None,
    skip_unreadable: bool = False,
) -> PicturesRead:
    """Read all images in a folder as :func:`load_folder` does, with their paths in it, and its notes unsaid.

    Args:
        path: the folder, which exists.
        bring: what is done to the bytes of each, such as :func:`brought` makes.
        limit: at most this many images.
        skip_unreadable: whether to pass over files that cannot be read.

    Raises:
        DataError: as :func:`load_folder`.
    """
    listing = _image_files(path)
    pictures = [file for file in listing.others if looks_like_a_picture(file.name)]
    more = [f"Files of other kinds are passed over: {by_ending(listing.others)}."] if pictures else []
    return read_pictures(
        path,
        [(file.relative_to(path).as_posix(), partial(read_picture, file)) for file in spread(listing.files, limit)],
        bring,
        unreadable=listing.unreadable,
        skip_unreadable=skip_unreadable,
        more=more,
    )


def read_pictures(
    place: Path,
    pictures: Sequence[tuple[str, Callable[[], Picture]]],
    bring: Callable[[Pixels], Images | Pixels],
    *,
    unreadable: Sequence[str] = (),
    skip_unreadable: bool = False,
    more: Sequence[str] = (),
) -> PicturesRead:
    """Read pictures one by one into one tensor.

    Args:
        place: where they are, for messages.
        pictures: the name of each, and how to read it.
        bring: from bytes [1, 3, height, width] to an image of the size that is wanted.
        unreadable: what is known not to be readable, each with its reason.
        skip_unreadable: whether to pass over those that cannot be read.
        more: what else is to be said.

    Raises:
        DataError: as :func:`load_folder`.
    """
    failed, several_frames, damaged_exif, names = list(unreadable), list[str](), list[str](), list[str]()
    images = torch.empty(0)
    for name, read in pictures:
        try:
            picture = read()
        except DataError as error:
            failed.append(str(error))
            continue
        several_frames += [name] if picture.several_frames else []
        damaged_exif += [name] if picture.damaged_exif else []
        try:
            image = bring(torch.from_numpy(np.ascontiguousarray(picture.pixels))[None])
        except DataError as error:
            raise DataError(f"{shown(place / name)}: {error}") from error
        if not names:
            # Filled in place, so that a large folder is not in memory twice.
            shape = (len(pictures), *image.shape[1:])
            check_memory(place, image.element_size() * math.prod(shape), "Give a smaller size, or a limit")
            images = image if len(pictures) == 1 else torch.empty(shape, dtype=image.dtype)
        if image.shape[1:] != images.shape[1:]:
            raise DataError(
                f"{shown(place)}: the images have different sizes: {shown(names[0])} is {_size(images)}, "
                f"{shown(name)} is {_size(image)} (height x width); give {option('size')} to bring them all to one."
            )
        images[len(names)] = image[0]
        names.append(name)
    notes = _notes("have several frames or pages, of which the first is taken", several_frames)
    notes += _notes("have damaged EXIF data, and are not turned upright", damaged_exif)
    notes = settle(place, "images", len(names), failed, skip_unreadable, [*notes, *more])
    return PicturesRead(images[: len(names)], names, notes)


def brought(
    grayscale: bool,
    crop: bool | int,
    size: int | tuple[int, int] | None,
    pad_to: int | tuple[int, int] | None,
    *,
    in_bytes: bool,
) -> Callable[[Pixels], Images | Pixels]:
    """Make the function that turns the pixels of a file into an image; with ``in_bytes`` they stay, if only cropped."""
    if in_bytes and size is None and not grayscale:
        return partial(cropped, crop=crop)
    return partial(bring_to_size, grayscale=grayscale, crop=crop, size=size, pad_to=pad_to)


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


def _size(images: Tensor) -> str:
    return "x".join(str(length) for length in images.shape[2:])
