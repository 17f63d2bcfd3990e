"""Where a run is in the phase diagram at each of its looks: what it has learned by then, and whether it copies."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

from taumem.analysis.onset import Onset
from taumem.record import RunRecord

__all__ = ["Look", "PlacedRun", "Region", "last_look_before", "looks_of", "place_run"]

Region = Literal["underfit", "partial", "generalization", "memorization"]


@dataclass(frozen=True)
class Look:
    """Where one run was in the diagram when its samples were looked at.

    Attributes:
        n_train: number of training examples P.
        seed: of the run.
        step: optimizer steps.
        region: see :mod:`taumem.analysis.phase`.
        grammar_level: how many levels had been reached, from 0 to L; in ``memorization`` some may have come by copying.
            Of data without levels 1 once it has learned, by tau_gen.
        source: the run, as its onsets name it.
        x: where it stands on the diagram's axis: at P, or at its value of a setting.
    """

    n_train: int
    seed: int
    step: int
    region: Region
    grammar_level: int
    source: str
    x: float


@dataclass(frozen=True)
class PlacedRun:
    """One run with the onsets that place it in the diagram.

    Attributes:
        record: the run.
        memorization: the onset of tau_mem.
        levels: those of levels 1, ..., L; of data without levels that of tau_gen alone.
        looks_of: the quantity whose looks are the run's.
        x: where it stands on the diagram's axis.
    """

    record: RunRecord
    memorization: Onset
    levels: tuple[Onset, ...]
    looks_of: str
    x: float

    @property
    def n_train(self) -> int:
        """Number of training examples P."""
        return self.record.header.data.n_train

    @property
    def source(self) -> str:
        """The run, in words."""
        return self.memorization.source

    @cached_property
    def steps(self) -> list[int]:
        """When it was looked at, past step 0."""
        return looks_of(self.record, self.looks_of)

    @cached_property
    def reached(self) -> list[float]:
        """When levels 1, ..., L were first seen, each with all below it."""
        return list(accumulate(map(self._shown, self.levels), max))

    def learned(self, grammar_level: int) -> bool:
        """Whether it had reached a level at a look before the one at which copies were seen."""
        return self.reached[grammar_level - 1] < self._shown(self.memorization)

    def ended_before(self, grammar_level: int) -> bool:
        """Whether it ended before either the level or copies were seen."""
        return math.isinf(self.reached[grammar_level - 1]) and math.isinf(self._shown(self.memorization))

    def level_at(self, step: float) -> int:
        """How many levels it had reached by a step."""
        return sum(at <= step for at in self.reached)

    def looks(self) -> Iterator[Look]:
        """Where it was in the diagram at each look."""
        for step in self.steps:
            reached, region = self.level_at(step), self._region_at(step)
            yield Look(self.n_train, self.record.header.seed, step, region, reached, self.source, self.x)

    def _region_at(self, step: float) -> Region:
        if step >= self._shown(self.memorization):
            return "memorization"
        reached = self.level_at(step)
        return "underfit" if reached == 0 else "partial" if reached < len(self.levels) else "generalization"

    def _shown(self, onset: Onset) -> float:
        """The first look at which it had set in; infinite if it had at none."""
        bound = onset.step if onset.censored == "no" else onset.high
        return min((step for step in self.steps if step >= bound), default=math.inf)

    def last_look_before_copies(self) -> int | None:
        """The last look before copies were seen; None where they were seen from the first look on."""
        return last_look_before(self.memorization, self.steps)


def last_look_before(onset: Onset, steps: Sequence[int]) -> int | None:
    """The last look before an onset; None where it had set in by the first.

    Args:
        onset: of a run; where it was not located, its lower bound counts.
        steps: the run's looks, ascending.
    """
    bound = onset.step if onset.censored == "no" else onset.low
    return max((step for step in steps if step <= bound), default=None)


def looks_of(record: RunRecord, quantity: str) -> list[int]:
    """The steps past 0 at which a quantity was measured, ascending; none where it was not."""
    curve = record.curve_or_none(quantity)
    return [] if curve is None else [int(step) for step in curve.steps if step > 0]


def place_run(
    record: RunRecord, onsets: Sequence[Onset], clock: str, learning: Sequence[str], looks: str, x: float
) -> PlacedRun | None:
    """The run with its onsets; None where one is missing.

    Args:
        record: the run.
        onsets: of any runs.
        clock: which clock is tau_mem.
        learning: the clocks of levels 1, ..., L, or tau_gen alone.
        looks: the quantity whose looks are the run's.
        x: where it stands on the diagram's axis.
    """
    own = {onset.clock: onset for onset in onsets if onset.run == record.header.key}
    if clock not in own or any(name not in own for name in learning) or not looks_of(record, looks):
        return None
    return PlacedRun(record, own[clock], tuple(own[name] for name in learning), looks, x)
