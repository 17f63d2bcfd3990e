"""Which items pilots train on, and which they hold out."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import index
from typing import Any

import torch

from taumem.errors import ConfigError
from taumem.randomness import generator_for

__all__ = ["FEWEST_HELDOUT", "Subset", "as_labels", "as_sizes", "subsets"]

FEWEST_HELDOUT = 8
"""Items that must be held out of every pilot."""


@dataclass(frozen=True)
class Subset:
    """What one pilot trains on.

    Attributes:
        size: number of training examples P: items, or groups of them.
        repeat: which draw of this size.
        train: places of the items to train on, ascending.
        heldout: places of items that are held out, ascending.
    """

    size: int
    repeat: int
    train: tuple[int, ...]
    heldout: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"P{self.size:06d}-repeat{self.repeat}"


def subsets(
    n: int,
    sizes: Sequence[int],
    *,
    repeats: int,
    nested: bool,
    groups: Sequence[Hashable] | None,
    n_heldout: int,
    seed: int,
) -> list[Subset]:
    """Draw the subsets, the small ones first.

    Args:
        n: items.
        sizes: numbers of training examples: items, or groups where there are some; ascending.
        repeats: draws of each size.
        nested: whether larger subsets of a repeat hold the smaller ones; else they have nothing in common.
        groups: the group of each item, such as its patient or scene; a group is never on both sides.
        n_heldout: items to hold out, at most.
        seed: of the draws.

    Raises:
        ConfigError: sizes that are no ascending numbers, or that leave too few items to hold out.
    """
    units = _units(n, groups)
    what = "items" if groups is None else "groups"
    _check(sizes, repeats, len(units), nested, what, n_heldout)
    found = []
    for repeat in range(repeats):
        order = torch.randperm(len(units), generator=generator_for(seed, "pilots", repeat)).tolist()
        before = 0
        for size in sizes:
            begin = 0 if nested else before
            inside = set(order[begin : begin + size])
            train = sorted(place for unit in inside for place in units[unit])
            rest = [place for unit in order if unit not in inside for place in units[unit]]
            if len(rest) < FEWEST_HELDOUT:
                raise ConfigError(
                    f"a pilot of {size} leaves {len(rest)} items to hold out, and needs {FEWEST_HELDOUT}; the largest "
                    f"size may be {_largest(units, n)} here."
                )
            found.append(Subset(size, repeat, tuple(train), tuple(sorted(rest[:n_heldout]))))
            before += size
    return sorted(found, key=lambda subset: (subset.size, subset.repeat))


def as_sizes(given: Any) -> tuple[int, ...]:
    """Take sizes as they are written: whole numbers in a list, a tuple, a range, an array or a tensor.

    Raises:
        ConfigError: they are none.

    >>> as_sizes(range(10, 40, 10))
    (10, 20, 30)
    """
    try:
        sizes = tuple(index(size) for size in _plain(given) if not isinstance(size, bool))
        is_all = len(sizes) == len(_plain(given))
    except TypeError:
        is_all = False
    if not is_all or not sizes or sizes[0] < 2 or any(b <= a for a, b in pairwise(sizes)):
        raise ConfigError(
            f"sizes are ascending whole numbers of training examples, from 2, such as (10, 20, 40); got {given!r}."
        )
    return sizes


def as_labels(groups: Any, n: int) -> tuple[Hashable, ...]:
    """Take the label of each item: words or numbers, in a list, an array, a tensor or a column of a table.

    The numbers of a tensor are taken out of it: as tensors, no two of them would be the same group.

    Raises:
        ConfigError: there is not one for each item, or they are no labels.
    """
    plain = _plain(groups)
    if not isinstance(plain, Iterable) or isinstance(plain, str | bytes):
        raise ConfigError(f"groups has one label for each of the {n} items; got {groups!r}.")
    labels = tuple(_plain(label) for label in plain)
    if len(labels) != n:
        raise ConfigError(f"groups has one label for each of the {n} items; got {len(labels)}.")
    if nameless := sum(label is None or label != label for label in labels):
        raise ConfigError(f"{nameless} of the {n} items have no label; give each a group, if one of its own.")
    if wrong := [label for label in labels if not isinstance(label, str | int | float | bytes | tuple)]:
        raise ConfigError(f"a label of a group is a word or a number; got {wrong[0]!r} ({type(wrong[0]).__name__}).")
    return labels


def _plain(given: Any) -> Any:
    """Numbers of numpy and torch as those of Python."""
    return given.tolist() if callable(getattr(given, "tolist", None)) else given


def _units(n: int, groups: Sequence[Hashable] | None) -> list[list[int]]:
    """The items of each unit that stays together."""
    if groups is None:
        return [[place] for place in range(n)]
    by_label: dict[Hashable, list[int]] = {}
    for place, label in enumerate(as_labels(groups, n)):
        by_label.setdefault(label, []).append(place)
    return list(by_label.values())


def _check(sizes: Sequence[int], repeats: int, n: int, nested: bool, what: str, n_heldout: int) -> None:
    if any(isinstance(number, bool) or not isinstance(number, int) for number in (repeats, n_heldout)) or (
        repeats < 1 or n_heldout < FEWEST_HELDOUT
    ):
        raise ConfigError(
            f"pilots are drawn at least once, with {FEWEST_HELDOUT} items held out or more; got repeats = {repeats!r} "
            f"and n_heldout = {n_heldout!r}."
        )
    needed = sizes[-1] if nested else sum(sizes)
    if needed >= n:
        raise ConfigError(
            f"there are {n} {what}, and pilots of {', '.join(map(str, sizes))} take {needed}: what is left out of a "
            f"pilot is its held-out set. The largest may be about half of all, such as {max(n // 2, 2)}; all of them "
            "train in the run that is forecast."
        )


def _largest(units: Sequence[Sequence[int]], n: int) -> int:
    """How many units may be trained on, the largest ones, with enough items left."""
    left, size = n, 0
    for unit in sorted(units, key=len, reverse=True):
        left -= len(unit)
        if left < FEWEST_HELDOUT:
            break
        size += 1
    return size
