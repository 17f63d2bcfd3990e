"""The sets that an audit compares, freed of what would mislead it: items that are there twice, or on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.phantoms import share_test
from taumem.audit.repeats import (
    MOST_COMPARED,
    NEAR_RULE,
    joined,
    marks_of,
    near_groups,
    numbered,
    with_content,
    with_kin,
)
from taumem.audit.settings import Settings
from taumem.data.gathered import Gathered, gather_all
from taumem.data.groups import read_groups
from taumem.errors import DataError, option
from taumem.record.audit import Duplicates, NotRun

__all__ = ["Sides", "bring_together", "taken"]

READING = ("size", "window", "limit", "key", "value_range", "as_bytes", "skip_unreadable")
SELDOM = 0.01
"""Share of training items that are there twice up to which it is no property of the data that items repeat."""

MIXED_UP = 0.05
"""The p below which held-out items equal training items more often than these equal one another."""

Belonging = tuple[Sequence[str], Sequence[str]]


@dataclass(frozen=True, eq=False)
class Sides:
    """What is compared.

    Attributes:
        generated: the samples.
        train: the training items.
        heldout: items that the model never saw; None where there are none.
        groups: of each training item, a number; items with one number count as one [P].
        pooled: of each training item and each held-out one, likewise, looked for among both together [P + n].
        kin: of each training item and each held-out one, whether a near-duplicate of it is a training item (of another
            patient, scene, author, where these were named) [P + n].
        units: what is one by nature, of each: the item, or what was named (patient, scene, author) [P + n].
        same: of each sample, a number; near-duplicates of one another have the same [m].
        duplicates: what was there more than once.
        not_run: what was left out of the preparation.
    """

    generated: Gathered
    train: Gathered
    heldout: Gathered | None
    groups: NDArray[np.int64]
    pooled: NDArray[np.int64]
    kin: NDArray[np.bool_]
    units: NDArray[np.int64]
    same: NDArray[np.int64]
    duplicates: Duplicates
    not_run: tuple[NotRun, ...]

    @cached_property
    def distinct(self) -> NDArray[np.int64]:
        """The samples that are no near-duplicates of an earlier one, ascending."""
        return np.unique(self.same, return_index=True)[1]

    @property
    def heldout_groups(self) -> NDArray[np.int64]:
        """Of each held-out item, a number; items with one number count as one [n]."""
        return self.pooled[len(self.train) :]


def bring_together(
    generated: object,
    train: object,
    heldout: object | None,
    settings: Settings,
    groups: object | None = None,
    *,
    role: Literal["generated", "stress"] = "generated",
) -> Sides:
    """Read the three sets, bring them to one kind and size, and find what stands in them twice.

    Args:
        generated: samples: a path, an array, texts.
        train: training items, likewise.
        heldout: items that the model never saw, likewise, or None.
        settings: of the audit.
        groups: what training items and held-out items belong to: a file that maps names to groups, or two lists.
        role: of the samples: ``stress`` of those after a stress test.

    Raises:
        DataError: they cannot be read or compared, or nothing is left of the held-out items.
    """
    options: dict[str, Any] = {name: getattr(settings, name) for name in READING}
    samples, items, others = gather_all(generated, train, heldout, **options, role=role)
    belongs = _belonging(groups, items, others)
    marks, marks_of_others = marks_of(items), marks_of(others) if others else []
    dropped = (0, 0)
    if others:
        kept, dropped = _fresh(others, marks, marks_of_others, belongs)
        others, marks_of_others = others.only(kept.tolist()), [marks_of_others[place] for place in kept.tolist()]
        belongs = (belongs[0], [belongs[1][place] for place in kept.tolist()]) if belongs else None
    marks_of_samples = marks_of(samples)
    identical, of_samples = numbered(marks), numbered(marks_of_samples)
    looks = settings.near_duplicates
    near, near_samples = (near_groups(part, memory=settings.memory) if looks else None for part in (items, samples))
    ours = joined(identical, near)
    units = numbered([*belongs[0], *belongs[1]]) if belongs else np.arange(len(items) + len(marks_of_others))
    everything = joined(
        numbered([*marks, *marks_of_others]),
        near_groups(items, others, memory=settings.memory) if looks and others else None,
        units,
    )
    together, same = joined(ours, units[: len(items)]), joined(of_samples, near_samples)
    is_near = np.isin(everything[len(items) :], everything[: len(items)])
    is_equal = np.isin(marks_of_others, marks)
    met, met_others = (
        with_content(samples, np.flatnonzero(np.isin(marks_of_samples, side))) for side in (marks, marks_of_others)
    )
    return Sides(
        generated=samples,
        train=items,
        heldout=others,
        groups=together,
        pooled=everything,
        kin=with_kin(everything, units, len(items)),
        units=units,
        same=same,
        duplicates=Duplicates(
            train_identical=len(items) - len(np.unique(identical)),
            train_near=len(np.unique(identical)) - len(np.unique(ours)),
            n_groups=len(np.unique(together)),
            rule=NEAR_RULE if near is not None else "identical items count as one",
            heldout_identical=dropped[0] or int(is_equal.sum()),
            heldout_near=int((is_near & ~is_equal).sum()),
            heldout_grouped=dropped[1],
            generated_train=len(met),
            generated_heldout=len(met_others),
            fresh_identical=int((np.bincount(identical)[identical] > 1).sum()) + int(is_equal.sum()),
            generated_identical=len(samples) - len(np.unique(of_samples)),
            generated_distinct=len(np.unique(same)),
        ),
        not_run=_not_looked_for(items, near is None, looks),
    )


def _belonging(groups: object | None, items: Gathered, others: Gathered | None) -> Belonging | None:
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


def _not_looked_for(items: Gathered, is_missing: bool, is_asked_for: bool) -> tuple[NotRun, ...]:
    """Why near-duplicates were not looked for, where they were not."""
    why = "of tokens, only identical items count as one"
    if not is_asked_for:
        why = f"they were not asked for by {option('near_duplicates', 'no-near-duplicates')}"
    elif len(items) > MOST_COMPARED:
        why = f"there are {len(items):,} training items, and up to {MOST_COMPARED:,} are compared with one another"
    return (NotRun(what="near-duplicates in the training set", why=why),) if is_missing else ()


def _fresh(
    others: Gathered, marks: list[str], marks_of_others: list[str], groups: Belonging | None
) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Give the held-out items that are of no training item's group, nor training items; and how many are either.

    Where items repeat by nature (short lines of text), new ones equal training items too. So those that do are left out
    only if they are more than training items repeat each other, and these hardly do: then somebody mixed the sets up.
    """
    known, counts = np.unique(marks, return_counts=True)
    is_train = np.isin(marks_of_others, known)
    n_equal, n_repeated = int(is_train.sum()), int(counts[counts > 1].sum())
    is_mix_up = (
        n_repeated <= SELDOM * len(marks) and share_test(n_equal, len(others), n_repeated, len(marks)) <= MIXED_UP
    )
    is_train &= is_mix_up
    is_grouped = np.isin(groups[1], groups[0]) & ~is_train if groups else np.zeros(len(others), np.bool_)
    kept = np.flatnonzero(~is_train & ~is_grouped)
    if not len(kept):
        raise DataError(
            f"{others.source}: all {len(others)} held-out items are training items, or of groups that training items "
            "are of; held-out items are ones that the model never saw."
        )
    return kept, (int(is_train.sum()), int(is_grouped.sum()))
