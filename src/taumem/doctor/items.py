"""What the data are: how many can be read, of which form, and which of them are one."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from taumem.audit.repeats import MOST_COMPARED, joined, marks_of, near_groups, numbered
from taumem.data.gathered import Gathered, gather
from taumem.data.groups import read_groups
from taumem.data.item_set import digests
from taumem.data.pixels import Images, bring_to_size
from taumem.data.readers.cifar10 import is_cifar10_folder
from taumem.data.readers.documents import read_documents
from taumem.data.readers.folder import PicturesRead, read_pictures, spread
from taumem.data.readers.hugging_face import PREFIX, is_saved_dataset
from taumem.data.readers.listing import Listing, by_ending, list_files
from taumem.data.readers.opening import existing, shown
from taumem.data.readers.picture import Picture, is_picture, read_picture
from taumem.data.sources import Options, holds_images, of_texts
from taumem.doctor.labels import suggested_groups
from taumem.errors import DataError

__all__ = ["Groups", "ItemsSeen", "look_at"]

MOST_FILES, FEWEST_FILES, MOST_BYTES = 2000, 64, 2**29
"""Of a folder where no limit is given: so many files, or fewer large ones, down to 64: about a minute."""
MOST_ITEMS = 4000
"""Of a file where no limit is given."""
SIDE = 32
"""Pixels to which pictures are brought to be compared, where nothing is said."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Groups:
    """Items that count as one.

    Attributes:
        count: groups, those of one item included.
        largest: items of the largest.
        example: names of the first two items of one group; None where each item is one of its own.
    """

    count: int
    largest: int
    example: tuple[str, str] | None

    @classmethod
    def of(cls, numbers: NDArray[np.int64], names: Sequence[str]) -> "Groups":
        """Count groups that are given by a number for each item."""
        counts = Counter(numbers.tolist())
        number, largest = counts.most_common(1)[0]
        first = [shown(names[k]) for k in np.flatnonzero(numbers == number)[:2].tolist()]
        return cls(len(counts), largest, (first[0], first[1]) if largest > 1 else None)


@dataclass(frozen=True)
class ItemsSeen:
    """What the data are.

    Attributes:
        source: where they are from.
        kind: ``images``, ``vectors``, ``tokens`` or ``texts``.
        n_there: files of this kind in a folder, or items in a file.
        n_looked_at: of these: all, or a part that is evenly spread over them.
        n_read: of those that were looked at.
        unreadable: of the files that were looked at, with the reason of each.
        formats: files by their endings, or shapes of items, in words.
        forms: how many items are of which size and color, or how long texts are, in words.
        identical: items that equal an earlier one.
        near: groups that equal items and near-duplicates make; None where these were not looked for.
        named: groups by the file that was given for them; None without one.
        n_units: P, counted in groups: what is one by any of these counts once.
        cautions: what may be unexpected, in sentences.
    """

    source: str
    kind: str
    n_there: int
    n_looked_at: int
    n_read: int
    unreadable: tuple[str, ...]
    formats: str
    forms: str
    identical: int
    near: Groups | None
    named: Groups | None
    n_units: int
    cautions: tuple[str, ...]

    @property
    def n_most(self) -> int:
        """P at most, if nothing that was not looked at is there twice."""
        return self.n_units + self.n_there - self.n_looked_at


class _Read(NamedTuple):
    """Items as they were read, a mark for each that is equal where they are, and what there is to know of them."""

    items: Gathered
    marks: list[str]
    forms: str
    formats: str
    n_there: int
    n_looked_at: int
    unreadable: list[str]


def look_at(
    data: str | Path,
    *,
    groups: str | Path | None = None,
    progress: Progress = lambda stage, done, total: None,
    **reading: Any,
) -> ItemsSeen:
    """Read data as an audit does, and say what they are.

    Args:
        data: as in :func:`~taumem.data.gathered.gather`.
        groups: a file that says which items belong together, as in :func:`~taumem.data.groups.read_groups`.
        progress: called with (stage, done, in all).
        reading: as in :func:`~taumem.data.gathered.gather`; ``limit`` counts files of a folder.

    Raises:
        DataError: nothing can be read, and why.
        ConfigError: an option that is out of its range, or says nothing about these data.
    """
    options = Options(**reading)
    path = None if str(data).startswith(PREFIX) else existing(data)
    if path is None or not path.is_dir() or is_cifar10_folder(path) or is_saved_dataset(path):
        read = _one_place(str(data), reading)
        options.used |= set(reading)  # it has looked at them
    else:
        read = (_pictures if holds_images(path) else _documents)(path, options, progress)
    options.refuse_unused("these data")
    return _seen(read, groups, progress)


def _one_place(data: str, reading: dict[str, Any]) -> _Read:
    every = gather(data, **reading | {"limit": None})
    items = every.only(spread(list(range(len(every))), reading.get("limit") or MOST_ITEMS))
    forms = _lengths(items.items) if isinstance(items.items, list) else f"each {'x'.join(map(str, items.shape))}"
    return _Read(items, marks_of(items), forms, "", len(every), len(items), [])


def _pictures(folder: Path, options: Options, progress: Progress) -> _Read:
    listing = list_files(folder, is_picture)
    files = _chosen(listing, options.limit)
    options.take("skip_unreadable")
    size, marks = options.take("size"), list[str]()
    unreadable, sizes, colors = list(listing.unreadable), Counter[str](), Counter[str]()

    def read(file: Path, k: int) -> Picture:
        progress("reading", k, len(files))
        try:
            return read_picture(file)
        except DataError as error:
            unreadable.append(str(error))
            raise

    def bring(pixels: Tensor) -> Images:
        sizes[f"{pixels.shape[2]}x{pixels.shape[3]}"] += 1
        colors["gray" if bool((pixels[:, :1] == pixels[:, 1:]).all()) else "in color"] += 1
        marks.extend(f"{tuple(pixels.shape)} {mark}" for mark in digests(pixels, 1))
        return bring_to_size(pixels, crop=True, size=size or SIDE)

    pictures = [(file.relative_to(folder).as_posix(), partial(read, file, k)) for k, file in enumerate(files)]
    try:
        found = read_pictures(folder, pictures, bring, skip_unreadable=True)
    except DataError:
        if not unreadable:
            raise
        found = PicturesRead(Tensor(), [], [])
    notes = [note for note in found.notes if "cannot be read" not in note]
    if size is None and len(sizes) > 1:
        notes.append(f"They are of {len(sizes)} sizes: an audit and a study bring them to one (--size, data.size).")
    if listing.others:
        notes.append(f"Files of other kinds are passed over: {by_ending(listing.others)}.")
    items = Gathered(found.images, found.names, "images", "", str(folder), tuple(notes), in_folder=True)
    forms = f"{_counted(sizes)} (height x width); {_counted(colors)}"
    return _Read(items, marks, forms, by_ending(listing.files), len(listing.files), len(files), unreadable)


def _documents(folder: Path, options: Options, progress: Progress) -> _Read:
    listing = list_files(folder)
    files, as_bytes = _chosen(listing, options.limit), options.take("as_bytes")
    options.take("skip_unreadable")
    texts, unreadable = dict[str, str](), list(listing.unreadable)
    for k, file in enumerate(files):
        progress("reading", k, len(files))
        try:
            (text,) = read_documents(file, as_bytes=as_bytes).texts.values()
        except DataError as error:
            unreadable.append(str(error))
        else:
            texts[file.relative_to(folder).as_posix()] = text.rstrip("\r\n")
    source = of_texts(texts, str(folder), replace(options, limit=None))
    options.take("window")
    items = Gathered(*source[:3], "", source.place, tuple(source.notes), in_folder=True)
    lengths = _lengths(source.items) if isinstance(source.items, list) else ""
    return _Read(items, marks_of(items), lengths, by_ending(listing.files), len(listing.files), len(files), unreadable)


def _chosen(listing: Listing, limit: int | None) -> list[Path]:
    """The files that are looked at: all, as far as that takes no more than about a minute."""
    files = listing.files
    if limit is None and files:
        mean = sum(file.stat().st_size for file in files) / len(files)
        limit = min(MOST_FILES, max(FEWEST_FILES, int(MOST_BYTES / max(mean, 1))))
    return spread(files, limit)


def _seen(read: _Read, groups: str | Path | None, progress: Progress) -> ItemsSeen:
    items, names = read.items, list(read.items.names)
    cautions = list(items.notes)
    identical = numbered(read.marks)
    near = named = None
    units = identical
    if len(items):
        progress("comparing", 0, 1)
        alike = near_groups(items, memory=2**29)
        near = None if alike is None else joined(identical, alike)
        named = None if groups is None else numbered(read_groups(groups, items.paths))
        units = joined(identical, near, named)
        progress("comparing", 1, 1)
        cautions += _told(items, near is None, suggested_groups(names) if groups is None else None)
    return ItemsSeen(
        source=shown(items.source),
        kind=items.kind,
        n_there=read.n_there,
        n_looked_at=read.n_looked_at,
        n_read=len(items),
        unreadable=tuple(read.unreadable),
        formats=read.formats,
        forms=read.forms,
        identical=len(items) - len(set(read.marks)),
        near=None if near is None else Groups.of(near, names),
        named=None if named is None else Groups.of(named, names),
        n_units=len(np.unique(units)),
        cautions=tuple(cautions),
    )


def _told(items: Gathered, not_compared: bool, suggested: str | None) -> Iterator[str]:
    if not_compared:
        many = f"there are more than {MOST_COMPARED:,} items"
        yield f"Near-duplicates were not looked for: {'these are tokens' if items.kind == 'tokens' else many}."
    if suggested:
        yield suggested


def _lengths(texts: Sequence[str]) -> str:
    lengths = sorted(map(len, texts)) or [0]
    return f"{lengths[0]:,} to {lengths[-1]:,} symbols, {lengths[len(lengths) // 2]:,} in the median"


def _counted(counts: Counter[str]) -> str:
    most = counts.most_common(4)
    rest = [f"{counts.total() - sum(n for _, n in most):,} others"] if len(counts) > len(most) else []
    return ", ".join([*(f"{n:,} {what}" for what, n in most), *rest])
