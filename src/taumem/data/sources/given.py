"""One door to items of any kind: what is given says which reader opens it."""

import os
from pathlib import Path

from taumem.data.readers.arrays import read_array
from taumem.data.readers.cifar10 import is_cifar10_folder
from taumem.data.readers.hugging_face import PREFIX, Column, is_dataset, is_saved_dataset, open_column
from taumem.data.readers.listing import list_files
from taumem.data.readers.opening import existing, in_memory, shown
from taumem.data.readers.picture import is_picture, looks_like_a_picture
from taumem.data.sources.arrays import array_in, most_in_memory, of_array
from taumem.data.sources.pictures import of_image_column, of_image_files
from taumem.data.sources.source import Options, Source
from taumem.data.sources.texts import of_documents, of_text_column, of_texts, texts_in
from taumem.errors import DataError

__all__ = ["IN_MEMORY", "holds_images", "read_source"]

IN_MEMORY = "in memory"
"""The place of what is from no file."""

TEXT_ENDINGS = (".txt", ".text", ".md", ".csv", ".tsv", ".jsonl", ".fasta", ".smi")
"""Of files that are texts whatever else their names hold, gzipped or not."""
OF_ARRAYS = (".npy", ".npz")


def read_source(given: object, what: str, options: Options) -> Source:
    """Read items from whatever somebody has; see :func:`~taumem.data.gathered.gather`.

    Args:
        given: a path, an array, a tensor or texts.
        what: their name in messages, in the plural.
        options: how; those that say something about what is given are marked as used.

    Raises:
        DataError: it cannot be read.
    """
    if is_dataset(given) or (isinstance(given, str) and given.startswith(PREFIX)):
        return _of_column(open_column(given), options)
    if isinstance(given, str | os.PathLike):
        return _from_path(Path(given), options)
    if (texts := texts_in(given)) is not None:
        return of_texts({f"{what}[{k}]": text for k, text in enumerate(texts)}, IN_MEMORY, options)
    return of_array(array_in(given, what), what, what, IN_MEMORY, options)


def holds_images(folder: Path) -> bool:
    """Whether the items in a folder are pictures, or else texts.

    Raises:
        DataError: it is empty, or holds arrays.
    """
    if is_cifar10_folder(folder):
        return True
    listing = list_files(folder, is_picture)
    if not (listing.files or listing.others or listing.unreadable):
        raise DataError(f"{shown(folder)}: this folder is empty; expected pictures or texts in it, one file per item.")
    if listing.files or any(looks_like_a_picture(file.name) for file in listing.others):
        return True
    arrays = [file for file in listing.others if file.name.lower().endswith(OF_ARRAYS)]
    if arrays:
        raise DataError(
            f"{shown(folder)}: holds arrays, such as {shown(arrays[0].name)}; give one file with all items."
        )
    return False


@in_memory
def _from_path(path: Path, options: Options) -> Source:
    path = existing(path)
    name = path.name.lower()
    if not path.is_dir() and name.endswith(OF_ARRAYS):
        key = options.take("key") if name.endswith(".npz") else None
        values = read_array(path, key, most=most_in_memory())
        return of_array(values, shown(path), path.name, str(path), options)
    if path.is_dir() and is_saved_dataset(path):
        return _of_column(open_column(f"{PREFIX}{path}"), options)
    if path.is_dir():
        return of_image_files(path, options) if holds_images(path) else of_documents(path, options)
    is_text = name.removesuffix(".gz").endswith(TEXT_ENDINGS)
    if looks_like_a_picture(name) and not is_text:
        raise DataError(f"{shown(path)}: a single picture; name the folder that it is in.")
    is_images = not is_text and (name.endswith((".bin", "-ubyte", ".gz")) or "idx" in name)
    return of_image_files(path, options) if is_images else of_documents(path, options)


def _of_column(column: Column, options: Options) -> Source:
    return of_image_column(column, options) if column.kind == "images" else of_text_column(column, options)
