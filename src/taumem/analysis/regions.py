"""Where a run is in the phase diagram at each of its looks: what it has learned by then, and whether it copies."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

from taumem.analysis.clocks.table import level_clock
from taumem.analysis.onset import Onset
from taumem.record import RunRecord

__all__ = ["Look", "PlacedRun", "Region", "place_run"]

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
        source: the run, as its onsets name it.
    """

    n_train: int
    seed: int
    step: int
    region: Region
    grammar_level: int
    source: str


@dataclass(frozen=True)
class PlacedRun:
    """One run with the onsets that place it in the diagram: of copies, and of levels 1, ..., L."""

    record: RunRecord
    memorization: Onset
    levels: tuple[Onset, ...]

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
        """When its samples were looked at, past step 0."""
        return [int(step) for step in self.record.curve("valid[1]").steps if step > 0]

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
            yield Look(self.n_train, self.record.header.seed, step, region, reached, self.source)

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
        bound = self.memorization.step if self.memorization.censored == "no" else self.memorization.low
        return max((step for step in self.steps if step <= bound), default=None)


def place_run(record: RunRecord, onsets: Sequence[Onset], clock: str, depth: int) -> PlacedRun | None:
    """The run with its onsets; None where one is missing.

    Args:
        record: the run.
        onsets: of any runs.
        clock: which clock is tau_mem.
        depth: L, the number of levels.
    """
    own = {onset.clock: onset for onset in onsets if onset.run == record.header.key}
    levels = [own[name] for number in range(1, depth + 1) if (name := level_clock(number).name) in own]
    return PlacedRun(record, own[clock], tuple(levels)) if clock in own and len(levels) == depth else None
