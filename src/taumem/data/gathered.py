"""Items of anybody's as an audit compares them: from files, folders and arrays, each with its name.

::

    generated, train, heldout = gather_all("samples", "train", "heldout", size=32)
    generated.items[0], generated.names[0]        # a tensor [3, 32, 32] in [-1, 1], and "cats/0001.png"
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor

from taumem.data.agreement import MANY, agree
from taumem.data.items import other_scale
from taumem.data.readers.hugging_face import PREFIX
from taumem.data.readers.opening import shown
from taumem.data.sources import Kind, Options, Source, read_source
from taumem.data.stored import Stored, blocks
from taumem.errors import DataError
from taumem.record.input_notes import ITSELF, OTHER_SCALE, SAME_PLACE

__all__ = ["NAMES", "Gathered", "Inputs", "gather", "gather_all"]

NAMES = {"generated": "samples", "train": "training items", "heldout": "held-out items", "stress": "stressed samples"}


@dataclass(frozen=True, eq=False)
class Gathered:
    """Items with their names.

    Attributes:
        items: images [n, 1 or 3, height, width] in [-1, 1], vectors [n, d] (floats) or tokens [n, positions] (int64),
            in memory or, where they are large, left on disk; or a list of texts.
        names: of each item: its path in the folder, ``a.npy[17]``, ``corpus.txt:12`` (a line, from 1) or
            ``corpus.txt[64:128]`` (a window of symbols, from 0). Bytes of a path that are no UTF-8 are carried as
            Python's surrogates, as in all paths.
        kind: ``images``, ``vectors``, ``tokens`` or ``texts``.
        digest: SHA-256 of the items in their order, as they were read: what is done to compare them with others comes
            after it.
        source: where they are from, as it was given.
        notes: what was skipped, converted or is odd about them, in sentences.
        in_folder: whether the names are paths in the folder that is the source.
        of_numbers: whether they are images of numbers whose range was told or assumed, and not known from their format.
    """

    items: Tensor | Stored | list[str]
    names: Sequence[str]
    kind: Kind
    digest: str
    source: str
    notes: tuple[str, ...] = ()
    in_folder: bool = False
    of_numbers: bool = False

    def __len__(self) -> int:
        return len(self.items)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one item; of texts, which differ in length, none."""
        return () if isinstance(self.items, list) else tuple(self.items.shape[1:])

    @property
    def paths(self) -> list[str]:
        """The names, with that of their folder in front if they are in one: it tells items of several sets apart."""
        return [f"{Path(self.source).name}/{name}" for name in self.names] if self.in_folder else list(self.names)

    def only(self, places: Sequence[int]) -> "Gathered":
        """Some of the items."""
        if len(places) == len(self):
            return self
        names = [self.names[place] for place in places]
        if isinstance(self.items, list):
            return replace(self, items=[self.items[place] for place in places], names=names)
        at = np.asarray(places, np.int64)
        return replace(
            self, items=self.items.only(at) if isinstance(self.items, Stored) else self.items[at], names=names
        )


class Inputs(NamedTuple):
    """What an audit compares, of one kind and shape."""

    generated: Gathered
    train: Gathered
    heldout: Gathered | None


def gather(
    given: object,
    what: str = "items",
    *,
    size: int | None = None,
    window: int | None = None,
    limit: int | None = None,
    key: str | None = None,
    value_range: tuple[float, float] | None = None,
    as_bytes: bool = False,
    skip_unreadable: bool = False,
) -> Gathered:
    """Read items from what somebody has.

    ==========================================  ========================================================================
    given                                       items
    ==========================================  ========================================================================
    a folder with pictures                      an image for each; one channel if all are gray
    ``*.npy``, ``*.npz``, an array, a tensor    images by :func:`~taumem.data.readers.arrays.load_array`'s rules where
                                                there are three axes or four; of two axes, floats are vectors and
                                                integers tokens
    CIFAR-10's and idx files                    images
    any other file                              a text for each line that is not blank
    a folder with other files                   a text for each file
    a list of strings                           texts
    ``hf:NAME[:SPLIT[:COLUMN]]``, a Dataset     the images or texts of a Hugging Face dataset, by the extra ``hf``
    ==========================================  ========================================================================

    Args:
        given: as above.
        what: their name in messages, in the plural.
        size: the side in pixels that the largest central square of each image is brought to; None takes images as they
            are, which must then be of one size.
        window: cut texts into windows of so many symbols, which do not overlap; what is left at an end is not used.
        limit: at most this many items, evenly spread.
        key: which array of a .npz file.
        value_range: (black, full intensity) in the units of an array.
        as_bytes: whether to take files of text as they are: bytes that are no UTF-8 are carried as Python's surrogates.
        skip_unreadable: whether to pass over files in a folder that cannot be read; a note names them.

    Raises:
        DataError: it cannot be read, and why.
        ConfigError: an option that is out of its range, or says nothing about what is given.
    """
    options = Options(size, window, limit, key, value_range, as_bytes, skip_unreadable)
    gathered = _gather(given, what, options)
    options.refuse_unused(what)
    return gathered


def gather_all(
    generated: object,
    train: object,
    heldout: object | None = None,
    *,
    size: int | None = None,
    window: int | None = None,
    limit: int | None = None,
    key: str | None = None,
    value_range: tuple[float, float] | None = None,
    as_bytes: bool = False,
    skip_unreadable: bool = False,
    role: Literal["generated", "stress"] = "generated",
) -> Inputs:
    """Gather samples, training items and held-out items, and bring them to one kind, shape and number of channels.

    Args:
        generated: the samples, as in :func:`gather`.
        train: the training items.
        heldout: items that the model was not trained on; None where there are none.
        size: as in :func:`gather`, and so are the other options; each must say something about one of the three at
            least.
        limit: at most so many samples, evenly spread; training items and held-out items are always taken whole.
        role: of the samples: ``stress`` of those after a stress test, which are gathered beside the others; messages
            name them so, and what an option says about the others needs not be said about them.

    Raises:
        DataError: one of them cannot be read, or they cannot be compared; and what to do about it.
        ConfigError: as in :func:`gather`.
    """
    options = Options(size, window, limit, key, value_range, as_bytes, skip_unreadable)
    given = {"generated": generated, "train": train, "heldout": heldout}
    # A part of the training set would hide the copies of the rest.
    each = {part: options if part == "generated" else replace(options, limit=None) for part in given}
    names = NAMES | {"generated": NAMES[role]}
    parts = {
        part: _gather(it, names[part], each[part]) for part, it in given.items() if it is not None or part != "heldout"
    }
    if role == "generated":
        options.refuse_unused("any of these items")
    agreed = agree({names[part]: (found.items, found.kind) for part, found in parts.items()})
    parts = {part: replace(found, items=agreed[names[part]]) for part, found in parts.items()}
    if parts["train"].kind == "images":
        parts |= {part: _on_one_scale(found, parts["train"], names[part]) for part, found in parts.items()}
    return _without_mix_up(Inputs(parts["generated"], parts["train"], parts.get("heldout")), names["generated"])


def _gather(given: object, what: str, options: Options) -> Gathered:
    if isinstance(given, Gathered):
        return given
    source = read_source(given, what, options)
    if not len(source.items):
        raise DataError(" ".join([f"{what} ({shown(source.place)}): none are there.", *source.notes]))
    return Gathered(*source[:3], _digest(source), source.place, tuple(source.notes), *source[5:])


def _digest(source: Source) -> str:
    digest = hashlib.sha256(source.kind.encode())
    if isinstance(source.items, list):
        for text in source.items:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)
        return digest.hexdigest()
    digest.update(f"{source.items.dtype}{tuple(source.items.shape)}".encode())
    for start, end in blocks(source.items):
        # Adding 0 turns -0.0 into 0.0: equal numbers must have equal bytes.
        digest.update((source.items[start:end] + 0).contiguous().numpy().data)
    return digest.hexdigest()


def _on_one_scale(part: Gathered, train: Gathered, what: str) -> Gathered:
    """Refuse images of numbers that seem to be on another scale than the training items; of others, say so.

    Raises:
        DataError: they are.
    """
    if isinstance(part.items, list) or isinstance(train.items, list) or part is train:
        return part
    way = other_scale(part.items[:MANY], train.items[:MANY])
    if way is None:
        return part
    if part.of_numbers or train.of_numbers:
        raise DataError(
            f"read as images, {what} ({shown(part.source)}) lie in {way.source} and training items "
            f"({shown(train.source)}) in {way.target}: they seem to be on two scales. Bring both to one before, or "
            "save both as bytes if they are as they should be."
        )
    return replace(part, notes=(*part.notes, OTHER_SCALE))


def _without_mix_up(inputs: Inputs, samples: str) -> Inputs:
    """Refuse a set that is given as what it cannot be, or say that it is odd.

    Raises:
        DataError: held-out items that are the training items, or the samples.
    """
    generated, train, heldout = inputs
    for other, what in ((train, "training items"), (generated, samples)):
        if heldout and heldout.digest == other.digest:
            raise DataError(
                f"the held-out items ({shown(heldout.source)}) are the {what} ({shown(other.source)}), one by one; "
                "give items of the same kind that the model was not trained on, or leave them out."
            )
    if generated.digest == train.digest or _is_one_place(generated.source, train.source):
        note = ITSELF if generated.digest == train.digest else SAME_PLACE
        return inputs._replace(generated=replace(generated, notes=(*generated.notes, note)))
    return inputs


def _is_one_place(source: str, other: str) -> bool:
    """Whether two sources are one file, folder or dataset; arrays in memory are not told apart by their place."""
    if source.startswith(PREFIX):
        return source == other
    try:
        return Path(source).samefile(other)
    except OSError:
        return False
