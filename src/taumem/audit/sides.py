"""The sets that an audit compares, freed of what would mislead it: items that are there twice, or on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from taumem.audit.settings import Settings
from taumem.data.gathered import Gathered, gather_all
from taumem.data.groups import read_groups
from taumem.data.item_set import digests
from taumem.data.near_duplicates import text_groups
from taumem.errors import DataError
from taumem.neighbors import near_duplicates
from taumem.record.audit import Duplicates, NotRun

__all__ = ["Sides", "bring_together", "taken"]

READING = ("size", "window", "limit", "key", "value_range", "as_bytes", "skip_unreadable")
AT_ONCE = 1024
NEAR_RULE = (
    "near-duplicates count as one: items much nearer to each other than fresh items are to theirs (images, vectors), "
    "or texts that share a fifth of their passages of 8 symbols"
)
MOST_COMPARED = 50_000
"""Training items up to which near-duplicates are looked for: all are compared with one another."""


@dataclass(frozen=True, eq=False)
class Sides:
    """What is compared.

    Attributes:
        generated: the samples.
        train: the training items.
        heldout: items that the model never saw, without those that are training items or share a group with them; None
            where there are none.
        groups: of each training item, a number; items with one number count as one [P].
        heldout_groups: of each held-out item; other numbers than the training items' [n].
        duplicates: what was there more than once.
        not_run: what was left out of the preparation.
    """

    generated: Gathered
    train: Gathered
    heldout: Gathered | None
    groups: NDArray[np.int64]
    heldout_groups: NDArray[np.int64]
    duplicates: Duplicates
    not_run: tuple[NotRun, ...]


def bring_together(
    generated: object,
    train: object,
    heldout: object | None,
    settings: Settings,
    groups: object | None = None,
) -> Sides:
    """Read the three sets, bring them to one kind and size, and find what stands in them twice.

    Args:
        generated: samples: a path, an array, texts.
        train: training items, likewise.
        heldout: items that the model never saw, likewise, or None.
        settings: of the audit.
        groups: what training items and held-out items belong to: a file that maps names to groups, or two lists.

    Raises:
        DataError: they cannot be read or compared, or nothing is left of the held-out items.
    """
    options: dict[str, Any] = {name: getattr(settings, name) for name in READING}
    samples, items, others = gather_all(generated, train, heldout, **options)
    belongs = _belonging(groups, items, others)
    marks, marks_of_samples = _marks(items), _marks(samples)
    identical = _numbered(marks)
    near, not_run = _near(items, settings)
    joined = _joined(identical, near, _numbered(belongs[0]) if belongs else None)
    n_near = len(np.unique(identical)) - len(np.unique(_joined(identical, near)))
    kept, dropped = _fresh(others, set(marks), belongs)
    if others is not None and not len(kept):
        raise DataError(
            f"{others.source}: all {len(others)} held-out items are training items, or of groups that training items "
            "are of; held-out items are ones that the model never saw."
        )
    return Sides(
        generated=samples,
        train=items,
        heldout=_only(others, kept) if others else None,
        groups=joined,
        heldout_groups=len(joined) + (_numbered(belongs[1])[kept] if belongs else np.arange(len(kept))),
        duplicates=Duplicates(
            train_identical=len(items) - len(np.unique(identical)),
            train_near=n_near,
            n_groups=len(np.unique(joined)),
            rule=NEAR_RULE if near is not None else "identical items count as one",
            heldout_identical=dropped[0],
            heldout_grouped=dropped[1],
            generated_identical=len(samples) - len(set(marks_of_samples)),
        ),
        not_run=not_run,
    )


def _belonging(
    groups: object | None, items: Gathered, others: Gathered | None
) -> tuple[Sequence[str], Sequence[str]] | None:
    """The groups of training and held-out items, by name."""
    if groups is None:
        return None
    n_others = 0 if others is None else len(others)
    if isinstance(groups, str | Path):
        # Together, so that a name that items of both have is not taken for either's.
        found = read_groups(groups, [*items.paths, *(others.paths if others else ())])
        return found[: len(items)], found[len(items) :]
    if (
        not isinstance(groups, tuple | list)
        or len(groups) != 2
        or [len(part) for part in groups] != [len(items), n_others]
    ):
        raise DataError(
            f"groups are a file, or two lists of names: one for each of the {len(items)} training items, and one for "
            f"each of the {n_others} held-out items; got {type(groups).__name__}."
        )
    return [str(name) for name in groups[0]], [str(name) for name in groups[1]]


def taken(part: Gathered, places: NDArray[np.int64]) -> Any:
    """Some items of a set."""
    return [part.items[place] for place in places] if isinstance(part.items, list) else part.items[places]


def _only(part: Gathered, places: NDArray[np.int64]) -> Gathered:
    if len(places) == len(part):
        return part
    return replace(part, items=taken(part, places), names=[part.names[place] for place in places])


def _marks(items: Gathered) -> list[str]:
    """A mark for each item, equal where items are."""
    if isinstance(items.items, list):
        return items.items
    parts = (torch.as_tensor(items.items[k : k + AT_ONCE]) for k in range(0, len(items), AT_ONCE))
    return [mark for part in parts for mark in digests(part, len(part))]


def _near(items: Gathered, settings: Settings) -> tuple[NDArray[np.int64] | None, tuple[NotRun, ...]]:
    """Groups of near-duplicates among the training items; None where they are not looked for, and why."""
    what = "near-duplicates in the training set"
    if not settings.near_duplicates:
        return None, (NotRun(what=what, why="they were not asked for (near_duplicates=False)"),)
    if len(items) > MOST_COMPARED:
        why = (
            f"there are {len(items):,} training items, and all would be compared with all; up to {MOST_COMPARED:,} are"
        )
        return None, (NotRun(what=what, why=why),)
    if isinstance(items.items, list):
        return text_groups(items.items), ()
    if items.kind == "tokens":
        return None, (NotRun(what=what, why="of tokens, only identical items count as one"),)
    return near_duplicates(items.items[:]).numpy(), ()


def _fresh(
    others: Gathered | None, marks: set[str], groups: tuple[Sequence[str], Sequence[str]] | None
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Which held-out items are no training items, nor of their groups; and how many are either."""
    if others is None:
        return np.empty(0, np.int64), (0, 0)
    is_train = np.array([mark in marks for mark in _marks(others)])
    theirs = set(groups[0]) if groups else set()
    is_grouped = np.array([group in theirs for group in groups[1]]) if groups else np.zeros(len(others), np.bool_)
    dropped = int(is_train.sum()), int((is_grouped & ~is_train).sum())
    return np.flatnonzero(~is_train & ~is_grouped), dropped


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for each name: the place at which it stands first."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(name, place) for place, name in enumerate(names)], np.int64)


def _joined(*groupings: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """What any of some groupings takes for one: of each item, the first item of its group."""
    given = [grouping for grouping in groupings if grouping is not None]
    n = len(given[0])
    rows, columns = np.concatenate([np.arange(n)] * len(given)), np.concatenate(given)
    part = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n)), directed=False)[1]
    return np.unique(part, return_index=True)[1][part].astype(np.int64)
