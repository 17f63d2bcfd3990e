"""Where a region of the phase diagram ends: the laws of learning a level, and of memorization."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taumem.analysis.clocks.table import level_clock
from taumem.analysis.law import Law
from taumem.analysis.laws import ClockLaw
from taumem.analysis.onset import Onset
from taumem.analysis.regions import PlacedRun

__all__ = ["Boundary", "level_boundary", "memorization_boundary"]


@dataclass(frozen=True)
class Boundary:
    """Where a region ends: the law of one clock over P.

    The law of a level rests on the runs that had reached the level at a look before the one at which copies were seen,
    and, as bounds, on those that ended with neither. Where copies came first the level was copied, if it was reached
    at all, and the run is left out: what is fitted is the time of learning, given that it comes before memorization.
    Near P*_l that selects the runs that learned fast.

    Attributes:
        clock: what was timed: ``tau_level[l]``, or the clock of memorization.
        free: the law with a free exponent; None where it cannot be fitted.
        linear: c P, for memorization; None for levels, and where it cannot be fitted.
        reason: why a law is missing; empty if none is.
        n_runs: runs of the sizes that are fitted.
        n_copied: of them, those left out as copies were seen no later than the level, or instead of it.
        n_open: of them, those that ended with neither: their onset is a bound.
    """

    clock: str
    free: Law | None
    linear: Law | None
    reason: str
    n_runs: int
    n_copied: int = 0
    n_open: int = 0

    @property
    def n_fitted(self) -> int:
        """Runs that the law rests on."""
        return self.n_runs - self.n_copied

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        laws = {"free": self.free, "linear": self.linear}
        counts = {name: getattr(self, name) for name in ("n_runs", "n_fitted", "n_copied", "n_open")}
        return {**{k: law and law.to_json() for k, law in laws.items()}, "reason": self.reason, **counts}


def level_boundary(runs: Sequence[PlacedRun], number: int, *, floor: bool, confidence: float) -> Boundary:
    """Fit the law of learning a level: to the runs that learned it before they copied, and those that did neither yet.

    Args:
        runs: of any sizes.
        number: of the level, from 1.
        floor: whether to fit tau_0 too.
        confidence: probability of the law's intervals.
    """
    clock = level_clock(number).name
    learned = [run for run in runs if run.learned(number)]
    unfinished = [run for run in runs if run.ended_before(number)]
    onsets = [run.levels[number - 1] for run in (*learned, *unfinished)]
    free, reason = _law(clock, onsets, floor, confidence).free, ""
    if free is None:
        sizes = len({run.n_train for run in learned})
        reason = (
            f"{clock}: {len(learned)} of {len(runs)} runs, at {sizes} size(s), reached it before copies were seen; "
            "a law needs two sizes. Add larger ones."
        )
    n_copied = len(runs) - len(onsets)
    return Boundary(clock, free, None, reason, len(runs), n_copied, len(unfinished))


def memorization_boundary(runs: Sequence[PlacedRun], clock: str, *, floor: bool, confidence: float) -> Boundary:
    """Fit the law of memorization to all runs.

    Args:
        runs: of any sizes.
        clock: of memorization.
        floor: whether to fit tau_0 too.
        confidence: probability of the law's intervals.
    """
    law = _law(clock, [run.memorization for run in runs], floor, confidence)
    reason = law.reason if runs else f"{clock}: every size is excluded from the fits."
    return Boundary(clock, law.free, law.linear, reason, len(runs))


def _law(clock: str, onsets: Sequence[Onset], floor: bool, confidence: float) -> ClockLaw:
    return ClockLaw(clock, tuple(onsets), tuple(onsets), floor, confidence)
