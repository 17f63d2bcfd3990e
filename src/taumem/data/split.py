"""The training set and the data held out from it."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taumem.data.items import as_tensor, refuse_other_scale
from taumem.data.stored import Stored, blocks
from taumem.errors import DataError
from taumem.record import DataFacts, ItemKind
from taumem.shapes import Items

__all__ = ["Split"]

DIGEST = 16
"""Bytes that stand for an item: of any number of items, two never have the same by chance."""
AT_ONCE = 2**21
"""Numbers that are compared at once."""


@dataclass(frozen=True, eq=False)
class Split:
    """A training set and held-out data: disjoint, and without duplicates.

    Items are floats, images [n, channels, height, width] in [-1, 1], latents and vectors of any range; or integers
    below ``vocabulary`` for tokens. Build one with :meth:`make`, which checks all of this.
    """

    name: str
    train: Items
    heldout: Items
    vocabulary: int | None = None
    n_more: int = 0
    """Further training items, which are there but were not asked for."""

    @classmethod
    def make(
        cls,
        name: str,
        items: Items | Stored,
        n_heldout: int,
        *,
        seed: int = 0,
        vocabulary: int | None = None,
        n_train: int | None = None,
    ) -> "Split":
        """Shuffle a data set, drop duplicates, and hold some of it out.

        The held-out items are drawn first, so that they stay the same whatever the size of the training set.

        Args:
            name: what the data are called in records and reports.
            items: the whole data set; of one that is stored, what is not asked for stays where it is.
            n_heldout: how many items to hold out.
            seed: of the shuffle.
            vocabulary: the number of symbols, for tokens.
            n_train: how many training items are asked for, at most; None for all.

        Raises:
            DataError: values that are not finite, of another kind or outside the vocabulary, images of bytes, or too
                few distinct items.
        """
        if not isinstance(items, Stored):  # whose reader has checked them
            items = as_tensor(items, f"{name}: items")
            _check_values(name, items, vocabulary)
        distinct = _first_of_each(items)
        if n_heldout < 0 or len(distinct) <= n_heldout:
            raise DataError(
                f"{name}: {len(distinct)} distinct items, which leaves nothing to train on when {n_heldout} are held "
                "out."
            )
        order = torch.from_numpy(distinct[np.random.default_rng(seed).permutation(len(distinct))])
        heldout, train = order[:n_heldout], order[n_heldout:]
        asked = train[:n_train]
        return cls(name, items[asked], items[heldout], vocabulary, len(train) - len(asked))

    @classmethod
    def of(cls, name: str, train: Items, heldout: Items, *, vocabulary: int | None = None) -> "Split":
        """Take a training set and held-out data as they are, once they are checked.

        Raises:
            DataError: as in :meth:`make`; different item shapes or scales, duplicates, or items in both sets.
        """
        train, heldout = as_tensor(train, f"{name}: training items"), as_tensor(heldout, f"{name}: held-out items")
        for part in (train, heldout):
            _check_values(name, part, vocabulary)
        if not len(train):
            raise DataError(f"{name}: the training set is empty.")
        if train.dtype != heldout.dtype:
            # Their bytes could not be compared, and an item in both sets would go unseen.
            raise DataError(
                f"{name}: training items are {train.dtype}, held-out items {heldout.dtype}; they must agree."
            )
        if train.shape[1:] != heldout.shape[1:]:
            raise DataError(
                f"{name}: training items have shape {tuple(train.shape[1:])}, held-out items "
                f"{tuple(heldout.shape[1:])}; they must agree."
            )
        refuse_other_scale(heldout, train, f"{name}: held-out items")
        n_distinct = len(_first_of_each(train))
        if n_distinct < len(train):
            raise DataError(
                f"{name}: {len(train) - n_distinct} of {len(train)} training items are duplicates of others; "
                "remove them (Split.make does), since a duplicate hides copies."
            )
        both = {row.tobytes() for row in _rows(train)} & {row.tobytes() for row in _rows(heldout)}
        if both:
            raise DataError(
                f"{name}: {len(both)} items are both in the training set and held out; the two must be disjoint."
            )
        return cls(name, train, heldout, vocabulary)

    def __len__(self) -> int:
        return len(self.train)

    @property
    def n_items(self) -> int:
        """How many items there are in all, held out or not, asked for or not."""
        return len(self.train) + self.n_more + len(self.heldout)

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return tuple(self.train.shape[1:])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of shapes, types and bytes of both parts: two splits agree iff they hold the same data."""
        digest = hashlib.sha256()
        for part in (self.train, self.heldout):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(_bytes_of(part).tobytes())
        return digest.hexdigest()

    @property
    def facts(self) -> DataFacts:
        """What a run's record says about its data."""
        kinds: dict[int, ItemKind] = {1: "vectors", 3: "images"} if self.vocabulary is None else {}
        return DataFacts(
            name=self.name,
            fingerprint=self.fingerprint,
            n_train=len(self),
            n_heldout=len(self.heldout),
            item_shape=self.item_shape,
            kind=kinds.get(len(self.item_shape), ""),
        )

    def first(self, n_train: int) -> "Split":
        """The first training items: sets of growing size are nested. The held-out data stay the same.

        Raises:
            DataError: there are fewer training items than that.
        """
        if not 1 <= n_train <= len(self):
            raise DataError(
                f"{self.name}: asked for a training set of P = {n_train}, but {len(self)} distinct "
                f"training items are there; choose P between 1 and {len(self)}."
            )
        return Split(self.name, self.train[:n_train], self.heldout, self.vocabulary)

    def halves(self) -> tuple["Split", "Split"]:
        """Two training sets without a common item, as alike as a shuffle makes them; the held-out data stay.

        Every other item goes to each, so that the first P items of either half are nested in P too.

        Raises:
            DataError: there are fewer than two training items.
        """
        if len(self) < 2:
            raise DataError(f"{self.name}: two disjoint training sets need at least 2 items; there is {len(self)}.")
        return (
            Split(self.name, self.train[0::2], self.heldout, self.vocabulary),
            Split(self.name, self.train[1::2], self.heldout, self.vocabulary),
        )


def _rows(items: Tensor) -> NDArray[np.void]:
    """Each item as one opaque value, so that equality means equality of every byte."""
    # Adding 0 turns -0.0 into 0.0: equal numbers must have equal bytes.
    flat = _bytes_of(items.flatten(start_dim=1) + 0)
    return flat.view(np.dtype((np.void, flat.shape[1]))).reshape(-1)


def _bytes_of(items: Tensor) -> NDArray[np.uint8]:
    """The bytes of each item [n, bytes], of any type: numpy has no bfloat16."""
    flat: NDArray[np.uint8] = items.flatten(start_dim=1).contiguous().cpu().view(torch.uint8).numpy()
    return flat


def _first_of_each(items: Items | Stored) -> NDArray[np.intp]:
    """The positions at which each distinct item stands first, ascending; block by block, in little memory."""
    first: dict[bytes, int] = {}
    for start, end in blocks(items, AT_ONCE):
        for place, row in enumerate(_rows(items[start:end]), start):
            first.setdefault(hashlib.blake2b(row, digest_size=DIGEST).digest(), place)
    return np.fromiter(first.values(), np.intp, len(first))


def _check_values(name: str, items: Tensor, vocabulary: int | None) -> None:
    if items.ndim < 2 or 0 in items.shape[1:]:
        raise DataError(f"{name}: expected items of at least one axis, [n, ...]; got shape {tuple(items.shape)}.")
    if vocabulary is None:
        finite = torch.isfinite(items).flatten(start_dim=1).all(dim=1)
        if not finite.all():
            bad = torch.nonzero(~finite).flatten().tolist()
            raise DataError(f"{name}: {len(bad)} items hold NaN or infinite values (the first is item {bad[0]}).")
        _refuse_bytes(name, items)
    elif items.is_floating_point():
        raise DataError(f"{name}: tokens must be integers from 0 to {vocabulary - 1}; got {items.dtype}.")
    elif len(items) and (items.min() < 0 or items.max() >= vocabulary):
        raise DataError(
            f"{name}: tokens must be integers from 0 to {vocabulary - 1}; "
            f"got {items.dtype} from {items.min().item()} to {items.max().item()}."
        )


def _refuse_bytes(name: str, items: Tensor) -> None:
    """Refuse integers without a vocabulary, and images that go from 0 to 255 or the like."""
    is_image = items.ndim == 4 and items.numel()
    if not items.is_floating_point():
        image = "images of bytes by x / 127.5 - 1, " if is_image else ""
        raise DataError(
            f"{name}: items are {items.dtype}; say how many symbols there are by vocabulary=..., if they are tokens. "
            f"Otherwise turn them into floats: {image}vectors by x.float()."
        )
    if is_image and float(items.min()) >= 0 and (high := float(items.max())) > 2:
        scale = "x / 127.5 - 1" if high <= 255 else f"2 * x / {high:g} - 1"
        raise DataError(
            f"{name}: images lie in [-1, 1]; these go from {float(items.min()):g} to {high:g}: "
            f"bring them there by {scale}."
        )
