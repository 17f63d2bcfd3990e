"""The share of samples of which a part is a copy, by the size of the part, beside the share that chance would give."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from taumem.data.items import as_items, as_symbols
from taumem.data.lines import without_ends
from taumem.errors import ConfigError, DataError
from taumem.neighbors import Substrings, near_duplicates
from taumem.neighbors.patches import PatchComparison
from taumem.probes.probe import share
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["SIZES", "Blocks", "PartCopies", "Parts", "Patches", "Stretches"]

SIZES = (0.25, 0.5, 0.75, 1.0)
"""Of parts, as shares of an item: of a text's symbols, of a string's tokens, of an image's shorter side."""


class Parts(Protocol):
    """Knows a training set, and when a part of an item is a copy of a part of a training item."""

    @property
    def settings(self) -> dict[str, Any]:
        """What a part is, and how many training items there are."""
        ...

    def largest(self, items: Items) -> Float[Tensor, "n"]:
        """Find the largest part of each item that is copied, as a share of the item: from 0 for none to 1."""
        ...


class PartCopies:
    """Counts the samples of which a part is copied from a training item.

    ``part_copies[x]``: of the samples, those of which a part of size x or larger is copied; a whole copy is one of all
    sizes. ``part_copies_chance[x]``: of held-out items, which copy nothing, under the same rule. Parts of language, of
    strings of one grammar and of images of one kind are alike anyway, the smaller the more: only what is above chance
    counts. With exact 95 % intervals.

    Args:
        parts: the training set, and what a copied part is: :class:`Stretches`, :class:`Blocks` or :class:`Patches`.
        heldout: items that the model never saw, one at least.
        sizes: of the parts, shares in (0, 1].

    Raises:
        ConfigError: no held-out items, or sizes outside (0, 1].
        DataError: items that are none of the training items' kind.
    """

    def __init__(self, parts: Parts, heldout: Items, *, sizes: Sequence[float] = SIZES) -> None:
        if len(heldout) == 0:
            raise ConfigError("what parts have in common by chance is known from held-out items; got none.")
        if not sizes or not all(0 < size <= 1 for size in sizes):
            raise ConfigError(f"parts are shares of an item, above 0 and at most 1; got sizes {list(sizes)}.")
        self.parts = parts
        self.sizes = tuple(sizes)
        self.chance = self._counted("part_copies_chance", heldout)

    @property
    def settings(self) -> dict[str, Any]:
        """What a part is, the sizes, and how many items there are."""
        known = self.parts.settings
        n_items = known["n_items"] | {"heldout": self.chance[0].count}
        return known | {"sizes": list(self.sizes), "n_items": n_items}

    def measure(self, samples: Items) -> Reading:
        """Count the samples that have a copied part of each size."""
        return Reading((*self._counted("part_copies", as_items(samples, "samples", least=1)), *self.chance))

    def _counted(self, quantity: str, items: Items) -> tuple[Estimate, ...]:
        largest = self.parts.largest(items)
        counts = [int((largest >= size - 1e-6).sum()) for size in self.sizes]  # a share may be rounded
        named = zip(self.sizes, counts, strict=True)
        return tuple(share(f"{quantity}[{size:g}]", count, len(items)) for size, count in named)


class Stretches:
    """Texts: a copied part is a stretch that stands verbatim in a training text, wherever it stands in both.

    Args:
        train: training texts [P, window], symbols.
        line_end: of lines, the symbol that ends each and fills its row; None for texts of one length.

    Raises:
        ConfigError: no training texts.
        DataError: texts that are no tables of symbols.
    """

    def __init__(self, train: Items, *, line_end: int | None = None) -> None:
        self.train = as_symbols(train, "training texts").cpu()
        if len(self.train) == 0:
            raise ConfigError("stretches are looked up in training texts; got none.")
        self.line_end = line_end
        self.passages = Substrings(self._texts(self.train)[0])

    @property
    def settings(self) -> dict[str, Any]:
        """That parts are stretches."""
        return {"parts": "stretches", "n_items": {"train": len(self.train)}}

    def largest(self, items: Items) -> Float[Tensor, "n"]:
        """Find the longest verbatim stretch of each text, as a share of the text's length."""
        texts, lengths = self._texts(as_symbols(items, "texts", like=self.train).cpu())
        return self.passages.longest_match(texts).double() / lengths.clamp_min(1)

    def _texts(self, items: Items) -> tuple[Items | list[str], Tensor]:
        if self.line_end is None:
            return items, torch.full((len(items),), items.shape[1])
        lines = without_ends(items, self.line_end)
        return lines, torch.tensor([len(line) for line in lines])


class Blocks:
    """Strings of a grammar: a copied part is a block of a level that stands at its place in a training string.

    A block of level l are the s^l tokens that the rules make of one symbol of that level: a sub-tree. One of the top
    level is the string.

    Args:
        train: training strings [P, s^L], one at least.
        s: how many symbols a rule makes, at least 2.

    Raises:
        DataError: no strings, or their length is no power of s.
    """

    def __init__(self, train: Items, s: int) -> None:
        self.train = as_items(as_symbols(train, "training strings"), "training strings", least=1).cpu()
        length, self.lengths = self.train.shape[1], [s]
        while self.lengths[-1] < length:
            self.lengths.append(self.lengths[-1] * s)
        if self.lengths[-1] != length:
            raise DataError(f"strings of a grammar whose rules make {s} symbols have {s}^L tokens; got {length}.")
        self.known = [set(_blocks(self.train, size)) for size in self.lengths]

    @property
    def settings(self) -> dict[str, Any]:
        """That parts are blocks, and of how many tokens."""
        return {"parts": "blocks", "tokens": self.lengths, "n_items": {"train": len(self.train)}}

    def largest(self, items: Items) -> Float[Tensor, "n"]:
        """Find the largest block of each string that is copied, as a share of the string."""
        strings = as_symbols(items, "strings", like=self.train).cpu()
        found, length = torch.zeros(len(strings), dtype=torch.float64), strings.shape[1]
        for size, known in zip(self.lengths, self.known, strict=True):
            copied = torch.tensor([block in known for block in _blocks(strings, size)], dtype=torch.bool)
            found[copied.view(len(strings), length // size).any(dim=1)] = size / length
        return found


def _blocks(strings: Items, size: int) -> list[tuple[int, ...]]:
    """The blocks of all strings, each with its place before it, string after string."""
    blocks = strings.reshape(len(strings), -1, size).tolist()
    return [(place, *block) for string in blocks for place, block in enumerate(string)]


class Patches:
    """Images: a copied part is a square patch much nearer to one training image's than to those of all others.

    Its distance to the nearest patch of a training image, at its place or a little beside it, is less than a third of
    that to the nearest of another training image, near-duplicates counted as one: the rule of
    :class:`taumem.probes.Copies`, of patches (:class:`taumem.neighbors.patches.PatchComparison`), where a little is
    added to all distances so that plain patches are no copies.

    Args:
        train: training images [P, channels, height, width], two distinct ones at least.
        sizes: sides of the patches as shares of an image's shorter side, in (0, 1].
        threshold: largest ratio of the two distances of a copy, in (0, 1).

    Raises:
        ConfigError: a threshold or sizes out of range.
        DataError: no images, or fewer than two distinct ones.
    """

    def __init__(self, train: Items, *, sizes: Sequence[float] = SIZES, threshold: float = 1 / 3) -> None:
        if not 0 < threshold < 1:
            raise ConfigError(f"the ratio of distances of a copy lies between 0 and 1; got a threshold of {threshold}.")
        self.train = as_items(train, "training images").cpu()
        groups = near_duplicates(self.train, threshold).numpy()
        self.comparison = PatchComparison(self.train, groups=groups, shares=sizes)
        self.threshold = threshold

    @property
    def settings(self) -> dict[str, Any]:
        """That parts are patches, the threshold, and how many groups of near-duplicates there are."""
        n_groups = len(np.unique(self.comparison.groups))
        n_items = {"train": len(self.train)}
        return {"parts": "patches", "threshold": self.threshold, "n_items": n_items, "n_groups": n_groups}

    def largest(self, items: Items) -> Float[Tensor, "n"]:
        """Find the largest patch of each image that is copied: its side as a share of the image's."""
        ratio = self.comparison.compare(as_items(items, "images", like=self.train).cpu()).ratio
        sizes, columns = zip(*self.comparison.columns.items(), strict=True)
        copied = torch.from_numpy(ratio[:, columns] < self.threshold)
        return (copied * torch.tensor(sizes, dtype=torch.float64)).amax(dim=1)
