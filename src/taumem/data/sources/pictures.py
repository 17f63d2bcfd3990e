"""Items that are pictures: files in a folder, files of many images, a column of a dataset."""

from functools import partial
from pathlib import Path

from taumem.data.images import read_images
from taumem.data.pixels import Images, bring_to_size
from taumem.data.readers.cifar10 import is_cifar10_folder
from taumem.data.readers.folder import PicturesRead, read_pictures, spread
from taumem.data.readers.hugging_face import Column
from taumem.data.sources.source import Numbered, Options, Source, sized
from taumem.data.stored import blocks

__all__ = ["of_image_column", "of_image_files"]


def of_image_files(path: Path, options: Options) -> Source:
    """Read the pictures in a folder, or a file of many images.

    Raises:
        DataError: as :func:`~taumem.data.images.load_images`.
    """
    size = options.take("size")
    one_each = path.is_dir() and not is_cifar10_folder(path)
    skip = bool(options.take("skip_unreadable")) if one_each else False
    read = read_images(path, crop=size is not None, size=size, limit=options.limit, skip_unreadable=skip)
    return _of_pictures(read, str(path), size)._replace(in_folder=one_each)


def of_image_column(column: Column, options: Options) -> Source:
    """Read the pictures of a dataset.

    Raises:
        DataError: as :func:`~taumem.data.images.load_images`.
    """
    places = spread(list(range(len(column))), options.limit)
    names = Numbered(column.place, places)
    size, skip = options.take("size"), bool(options.take("skip_unreadable"))
    pictures = [(name, partial(column.picture, place)) for name, place in zip(names, places, strict=True)]
    bring = partial(bring_to_size, crop=size is not None, size=size)
    return _of_pictures(read_pictures(Path(column.place), pictures, bring, skip_unreadable=skip), column.place, size)


def _of_pictures(read: PicturesRead, place: str, size: int | None) -> Source:
    images, names, notes = read
    if images.shape[1] == 3 and _all_gray(images):
        images = images[:, :1].clone()
        notes = [*notes, "All are gray, and have one channel."]
    return Source(images, names, "images", place, [*notes, *sized(size)])


def _all_gray(images: Images) -> bool:
    return all(bool((images[a:b, :1] == images[a:b, 1:]).all()) for a, b in blocks(images))
