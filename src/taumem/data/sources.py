"""One door to items of any kind: what is given says which reader opens it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taumem.data.images import read_images
from taumem.data.items import as_tensor
from taumem.data.pixels import Images, bring_to_size, center_crop, resize
from taumem.data.readers.array_images import images_in
from taumem.data.readers.arrays import read_array
from taumem.data.readers.cifar10 import is_cifar10_folder
from taumem.data.readers.documents import read_documents
from taumem.data.readers.folder import PicturesRead, read_pictures, spread
from taumem.data.readers.hugging_face import PREFIX, Column, is_dataset, is_saved_dataset, open_column
from taumem.data.readers.listing import list_files
from taumem.data.readers.opening import existing, in_memory, memory_of_machine, shown
from taumem.data.readers.picture import is_picture, looks_like_a_picture
from taumem.data.stored import Stored, blocks
from taumem.errors import ConfigError, DataError

__all__ = ["Kind", "Options", "Source", "read_source"]

Kind: TypeAlias = Literal["images", "vectors", "tokens", "texts"]

OVERSHOOT = 0.1
"""Share of [0, 1] by which samples of a model may leave the range of images; what does is clipped."""
SHARE_OF_MEMORY = 4
"""An array that would take more than this part of the machine's memory stays where it is."""
TEXT_ENDINGS = (".txt", ".text", ".md", ".csv", ".tsv", ".jsonl", ".fasta", ".smi")
"""Of files that are texts whatever else their names hold."""
OF_ARRAYS = (".npy", ".npz")


class Source(NamedTuple):
    """What was read: items, a name for each, their kind, where they are from, and what there is to know of it."""

    items: Tensor | Stored | list[str]
    names: Sequence[str]
    kind: Kind
    place: str
    notes: list[str]


@dataclass
class Options:
    """How items are to be read; and which of these said something about any of them."""

    size: int | None = None
    window: int | None = None
    limit: int | None = None
    key: str | None = None
    value_range: tuple[float, float] | None = None
    as_bytes: bool = False
    skip_unreadable: bool = False
    used: set[str] = field(default_factory=lambda: {"limit"})

    def __post_init__(self) -> None:
        for name in ("size", "window", "limit"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name} must be a whole number from 1; got {value!r}.")

    def take(self, name: str) -> Any:
        """One of them, for something that it says something about."""
        self.used.add(name)
        return getattr(self, name)

    def refuse_unused(self, what: str) -> None:
        """Refuse options that said nothing about anything: they are not what somebody meant.

        Raises:
            ConfigError: there are some.
        """
        concerns = {
            "size": "images",
            "window": "texts",
            "key": ".npz files",
            "value_range": "arrays of images that are not bytes",
            "as_bytes": "files of text",
            "skip_unreadable": "folders with one file per item",
        }
        for name, of_what in concerns.items():
            if getattr(self, name) not in (None, False) and name not in self.used:
                raise ConfigError(f"{name} is for {of_what}, and says nothing about {what}; leave it out.")


class Numbered(Sequence[str]):
    """Names of items that have none: ``a.npy[17]``, made as they are asked for."""

    def __init__(self, name: str, places: Sequence[int]):
        self.name, self.places = name, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, k: int) -> str: ...
    @overload
    def __getitem__(self, k: slice) -> "Numbered": ...
    def __getitem__(self, k: int | slice) -> "str | Numbered":
        return Numbered(self.name, self.places[k]) if isinstance(k, slice) else f"{self.name}[{self.places[k]}]"


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
    if (texts := _texts_in(given)) is not None:
        return _of_texts({f"{what}[{k}]": text for k, text in enumerate(texts)}, "in memory", options)
    return _of_array(_array_in(given, what), what, what, "in memory", options)


@in_memory
def _from_path(path: Path, options: Options) -> Source:
    path = existing(path)
    name = path.name.lower()
    if not path.is_dir() and name.endswith(OF_ARRAYS):
        key = options.take("key") if name.endswith(".npz") else None
        values = read_array(path, key, most=memory_of_machine() // SHARE_OF_MEMORY)
        return _of_array(values, shown(path), path.name, str(path), options)
    if path.is_dir() and is_saved_dataset(path):
        return _of_column(open_column(f"{PREFIX}{path}"), options)
    if path.is_dir():
        return _of_image_files(path, options) if _holds_images(path) else _of_documents(path, options)
    is_text = name.endswith(TEXT_ENDINGS)
    if looks_like_a_picture(name) and not is_text:
        raise DataError(f"{shown(path)}: a single picture; name the folder that it is in.")
    is_images = not is_text and (name.endswith((".bin", "-ubyte", ".gz")) or "idx" in name)
    return _of_image_files(path, options) if is_images else _of_documents(path, options)


def _holds_images(folder: Path) -> bool:
    """Whether the items in a folder are pictures, or else texts."""
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


def _of_image_files(path: Path, options: Options) -> Source:
    size = options.take("size")
    one_each = path.is_dir() and not is_cifar10_folder(path)
    skip = bool(options.take("skip_unreadable")) if one_each else False
    read = read_images(path, crop=size is not None, size=size, limit=options.limit, skip_unreadable=skip)
    return _of_pictures(read, str(path), size)


def _of_column(column: Column, options: Options) -> Source:
    places = spread(list(range(len(column))), options.limit)
    names = Numbered(column.place, places)
    if column.kind == "texts":
        return _of_texts(dict(zip(names, column.texts(places), strict=True)), column.place, options)
    size, skip = options.take("size"), bool(options.take("skip_unreadable"))
    pictures = [(name, partial(column.picture, place)) for name, place in zip(names, places, strict=True)]
    bring = partial(bring_to_size, crop=size is not None, size=size)
    return _of_pictures(read_pictures(Path(column.place), pictures, bring, skip_unreadable=skip), column.place, size)


def _of_pictures(read: PicturesRead, place: str, size: int | None) -> Source:
    images, names, notes = read
    if images.shape[1] == 3 and _all_gray(images):
        images = images[:, :1].clone()
        notes = [*notes, "All are gray, and have one channel."]
    return Source(images, names, "images", place, [*notes, *_sized(size)])


def _of_array(values: NDArray[Any], what: str, name: str, place: str, options: Options) -> Source:
    if not len(values.shape) or not len(values):
        raise DataError(f"{what}: holds no items, its shape is {values.shape}.")
    chosen: Sequence[int] = range(len(values))
    if options.limit is not None and options.limit < len(values):
        chosen = spread(list(chosen), options.limit)
        values = values[chosen]
    names, kind, notes = Numbered(name, chosen), values.dtype.kind, list[str]()
    if values.ndim in (3, 4):
        has_range = values.dtype not in (np.uint8, np.bool_)
        value_range = options.take("value_range") if has_range else None
        stored, clipped = images_in(values, what, value_range=value_range, overshoot=OVERSHOOT)
        if clipped:
            notes.append(f"Values from {clipped[0]:g} to {clipped[1]:g} are clipped to the range of images.")
        if (size := options.take("size")) is not None:
            stored = stored.then(lambda images: resize(center_crop(images), size))
        return Source(_kept(stored), names, "images", place, notes + _sized(size))
    if values.ndim != 2 or not values.shape[1] or kind == "b":
        raise DataError(
            f"{what}: expected images [n, H, W], [n, H, W, C] or [n, C, H, W], vectors (floats [n, d]) or tokens "
            f"(integers [n, positions]); got {values.dtype} of shape {values.shape}. Bring anything else to vectors "
            "[n, d]."
        )
    if kind == "f":
        numbers = np.float64 if values.dtype.itemsize >= 8 else np.float32
        stored = Stored(values, lambda rows: torch.from_numpy(rows.astype(numbers)))
        _refuse(stored, what, lambda rows: ~torch.isfinite(rows), "NaN or infinite values")
        return Source(_kept(stored), names, "vectors", place, notes)
    stored = Stored(values, lambda rows: torch.from_numpy(rows.astype(np.int64)))
    _refuse(stored, what, lambda rows: rows < 0, "negative integers, which are no tokens")
    return Source(_kept(stored), names, "tokens", place, notes)


def _of_documents(path: Path, options: Options) -> Source:
    """The lines of a file, the files of a folder, or windows of either."""
    skip = bool(options.take("skip_unreadable")) if path.is_dir() else False
    documents, notes = read_documents(
        path, as_bytes=options.take("as_bytes"), skip_unreadable=skip, anyway="take its bytes as they are (as_bytes)"
    )
    if path.is_dir():
        texts = {file.relative_to(path).as_posix(): text.rstrip("\r\n") for file, text in documents.items()}
    elif options.window is not None:
        texts = {path.name: documents[path]}
    else:
        lines = documents[path].removesuffix("\n").split("\n")
        texts = {f"{path.name}:{k}": line.removesuffix("\r") for k, line in enumerate(lines, 1)}
    source = _of_texts(texts, str(path), options)
    return source._replace(notes=[*notes, *source.notes])


def _of_texts(texts: dict[str, str], place: str, options: Options) -> Source:
    notes, window = list[str](), options.take("window")
    n_blank = len(texts)
    texts = {name: text for name, text in texts.items() if text.strip()}
    if n_blank := n_blank - len(texts):
        notes.append(f"{n_blank} blank {'texts' if n_blank > 1 else 'text'} left out.")
    if window is not None:
        n_left = sum(len(text) % window for text in texts.values())
        texts = dict(_windows(texts.items(), window))
        if n_left:
            notes.append(f"{n_left} symbols at ends are less than a window of {window}, and left out.")
    elif len(texts) == 1:
        notes.append("A single text; if it is a long one, a window cuts it into items (--window 64).")
    names = spread(list(texts), options.limit)
    return Source([texts[name] for name in names], names, "texts", place, notes)


def _windows(texts: Iterable[tuple[str, str]], window: int) -> Iterable[tuple[str, str]]:
    for name, text in texts:
        for start in range(0, len(text) - window + 1, window):
            yield f"{name}[{start}:{start + window}]", text[start : start + window]


def _texts_in(given: object) -> list[str] | None:
    """Strings, if it is a list or an array of these."""
    if isinstance(given, np.ndarray) and given.dtype.kind in "OSU" and given.ndim == 1:
        given = given.tolist()
    if not isinstance(given, list | tuple) or not given or not all(isinstance(text, str | bytes) for text in given):
        return None
    return [text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text for text in given]


def _array_in(given: object, what: str) -> NDArray[Any]:
    if isinstance(given, np.ndarray) and not isinstance(given, np.ma.MaskedArray) and given.dtype.kind in "biuf":
        return given
    tensor = as_tensor(given, what).cpu()
    array: NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def _refuse(stored: Stored, what: str, is_wrong: Any, values: str) -> None:
    bad = [
        start + int(k) for start, end in blocks(stored) for k in is_wrong(stored[start:end]).any(dim=1).nonzero()[:, 0]
    ]
    if bad:
        raise DataError(f"{what}: {len(bad)} of {len(stored)} items hold {values} (the first is item {bad[0]}).")


def _kept(stored: Stored) -> Tensor | Stored:
    """In memory, if that is far from filling it."""
    return stored if stored.n_bytes > memory_of_machine() // SHARE_OF_MEMORY else stored.read()


def _all_gray(images: Images) -> bool:
    return all(bool((images[a:b, :1] == images[a:b, 1:]).all()) for a, b in blocks(images))


def _sized(size: int | None) -> list[str]:
    return [] if size is None else [f"The largest central square of each is brought to {size}x{size} pixels."]
