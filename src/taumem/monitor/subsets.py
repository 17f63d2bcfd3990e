"""Which items pilots train on, and which they hold out."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from taumem.errors import ConfigError
from taumem.randomness import generator_for

__all__ = ["FEWEST_HELDOUT", "Subset", "subsets"]

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


def _units(n: int, groups: Sequence[Hashable] | None) -> list[list[int]]:
    """The items of each unit that stays together."""
    if groups is None:
        return [[place] for place in range(n)]
    if len(groups) != n:
        raise ConfigError(f"groups has one label for each of the {n} items; got {len(groups)}.")
    by_label: dict[Hashable, list[int]] = {}
    for place, label in enumerate(groups):
        by_label.setdefault(label, []).append(place)
    return list(by_label.values())


def _check(sizes: Sequence[int], repeats: int, n: int, nested: bool, what: str, n_heldout: int) -> None:
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= 2 for size in sizes)
    if not sizes or not whole or any(b <= a for a, b in pairwise(sizes)):
        raise ConfigError(f"sizes are ascending whole numbers of training examples, from 2; got {tuple(sizes)}.")
    if repeats < 1 or n_heldout < FEWEST_HELDOUT:
        raise ConfigError(
            f"pilots are drawn at least once, with {FEWEST_HELDOUT} items held out or more; got repeats = {repeats} "
            f"and n_heldout = {n_heldout}."
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
