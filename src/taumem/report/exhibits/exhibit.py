"""What is shown of which runs, and at which looks: one rule for pictures, strings and texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taumem.analysis import Onset, Study
from taumem.analysis.wording import number, percent
from taumem.record import ItemKind, RunRecord
from taumem.report.exhibits.lines import LINES
from taumem.report.exhibits.pictures import PICTURES
from taumem.report.exhibits.strings import STRINGS
from taumem.report.exhibits.texts import TEXTS
from taumem.report.exhibits.way import Way

__all__ = ["Exhibit", "ShownLook", "exhibits_of", "looks_to_show", "way_of"]

WAYS = (PICTURES, STRINGS, LINES, TEXTS)
"""Lines are texts, and come before those of one length."""
BEFORE = 4.0
"""How many times earlier than the onset the first look lies."""


@dataclass(frozen=True)
class ShownLook:
    """A look at which samples were kept.

    Attributes:
        name: where it lies, such as ``before`` or ``at the onset``.
        step: optimizer steps.
        words: how far along the run was, and how many of its samples were copies.
        samples: the first ones drawn, whatever they show; from the same noise at every look.
    """

    name: str
    step: int
    words: str
    samples: tuple[Any, ...]


@dataclass(frozen=True)
class Exhibit:
    """The looks of one run.

    Attributes:
        kind: what the samples are: ``images``, ``strings`` or ``texts``.
        title: which run, and when its clock went off.
        looks: in the order of the steps.
    """

    kind: ItemKind
    title: str
    looks: tuple[ShownLook, ...]


def exhibits_of(study: Study) -> list[Exhibit]:
    """Show the run on the fewest training examples, and the one on the most (an excluded one, if it is that).

    Args:
        study: whose samples to show; runs that kept none, or none that can be shown, are passed over.

    Returns:
        At most two exhibits of each kind of item.
    """
    runs: dict[ItemKind, dict[int, tuple[Way, RunRecord]]] = {way.kind: {} for way in WAYS}
    for record in reversed(study.records):  # of the runs of a size the first one stays
        if (way := way_of(record)) is not None:
            runs[way.kind][record.header.data.n_train] = (way, record)
    ends = [of_kind[size] for of_kind in runs.values() if of_kind for size in sorted({min(of_kind), max(of_kind)})]
    return [_exhibit(way, record, study) for way, record in ends]


def way_of(record: RunRecord) -> Way | None:
    """How the samples of a run are shown: as its header says, else as what it kept looks; None if they cannot be."""
    steps = record.array_steps()
    data, arrays = record.header.data, record.arrays(steps[-1]) if steps else {}
    said = [way for way in WAYS if way.kind == data.kind]
    return next((way for way in said or WAYS if "samples" in arrays and way.can_show(data, arrays)), None)


def _exhibit(way: Way, record: RunRecord, study: Study) -> Exhibit:
    n_train, onset = record.header.data.n_train, _onset_of(record, study)
    looks = looks_to_show(record.array_steps(), onset)
    samples = way.show(record.header, [record.arrays(step) for _, step in looks])
    shown = tuple(
        ShownLook(name, step, _words(record, step), drawn) for (name, step), drawn in zip(looks, samples, strict=True)
    )
    excluded = " (kept out of every fit)" if n_train in study.excluded else ""
    late = f" · {onset.clock} = {number(onset.step)} steps" if onset else ""
    return Exhibit(way.kind, f"P = {n_train:,}{excluded}{late}", shown)


def _onset_of(record: RunRecord, study: Study) -> Onset | None:
    """The run's own onset of the clock that speaks for the study; None where it was not located."""
    # Copies are what the samples show: where there is a diagram, the clock that counts them says when to look.
    clock = study.hierarchy.clock if study.hierarchy else study.headline.clock if study.headline else ""
    keys = (record.header.key, record.header.key.pair)
    own = (onset for onset in study.onsets if onset.clock == clock and onset.usable and onset.run in keys)
    return next(own, None)


def looks_to_show(steps: Sequence[int], onset: Onset | None) -> list[tuple[str, int]]:
    """Choose where to look: before the onset, at it, and last; or early, midway and late if there is none.

    Args:
        steps: at which samples were kept, ascending.
        onset: of the run.

    Returns:
        What each look is called, and its step.
    """
    steps = [step for step in steps if step > 0]
    if not steps:
        return []
    last = steps[-1]
    if onset is None:
        chosen = [("early", steps[0]), ("midway", steps[len(steps) // 2]), ("late", last)]
    else:
        # An onset between two looks shows at the later one, if that may still be the onset.
        tau = onset.high if onset.censored == "interval" else onset.step
        at, before = (min(steps, key=lambda step: abs(math.log(step / aim))) for aim in (tau, tau / BEFORE))
        at = next((step for step in steps if tau <= step <= onset.high), at)
        chosen = [("before", before), ("at the onset", at), ("after", last)]
        if before >= at:
            del chosen[0]
        if last <= at and len(chosen) > 1:
            del chosen[-1]
    return [(name, step) for k, (name, step) in enumerate(chosen) if step not in [s for _, s in chosen[:k]]]


def _words(record: RunRecord, step: int) -> str:
    words = f"{number(step / record.header.data.n_train)} steps per example"
    copies = record.curve_or_none("copy_fraction")
    if copies is not None and step in copies.steps:
        k = int(np.searchsorted(copies.steps, step))
        words += f" · copies: {percent(float(copies.values[k]))} of {copies.counts[k]:,}"
    return words
