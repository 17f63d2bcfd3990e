"""Where a region of the phase diagram ends: the laws of learning, and of memorization."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taumem.analysis.clocks.table import level_clock
from taumem.analysis.design import SIZE
from taumem.analysis.fitting import fit_law
from taumem.analysis.interval import Interval
from taumem.analysis.law import Law
from taumem.analysis.laws import ClockLaw
from taumem.analysis.onset import Onset
from taumem.analysis.prior import Exponent
from taumem.analysis.regions import PlacedRun
from taumem.errors import ConfigError

__all__ = ["Boundary", "clock_boundary", "level_boundary", "level_laws"]


@dataclass(frozen=True)
class Boundary:
    """Where a region ends: the law of one clock over P, or over a setting at one P.

    The law of a level rests on the runs that had reached the level at a look before the one at which copies were seen,
    and, as bounds, on those that ended with neither. Where copies came first the level was copied, if it was reached
    at all, and the run is left out: what is fitted is the time of learning, given that it comes before memorization.
    Near P*_l that selects the runs that learned fast.

    Attributes:
        clock: what was timed: ``tau_level[l]`` or ``tau_gen``, or the clock of memorization.
        free: the law with a free exponent; None where it cannot be fitted. Over a setting it is that of the setting.
        linear: c P, for memorization; None for what is learned, over a setting, and where it cannot be fitted.
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
    def exponent(self) -> Interval | None:
        """Of P, or of the setting; None without a law."""
        if self.free is None:
            return None
        return self.free.covariates[0].coefficient if self.free.covariates else self.free.exponent

    def at(self, x: float) -> float | None:
        """The step at which the region ends: the median of its law; None without one.

        Args:
            x: a number of training examples, or a value of the setting.
        """
        if self.free is None:
            return None
        n_train, settings = round(x), None
        if self.free.covariates:
            n_train, settings = self.free.sizes[0], {self.free.covariates[0].name: x}
        return self.free.predict(n_train, settings=settings).value

    @property
    def n_fitted(self) -> int:
        """Runs that the law rests on."""
        return self.n_runs - self.n_copied

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        laws = {"free": self.free, "linear": self.linear}
        counts = {name: getattr(self, name) for name in ("n_runs", "n_fitted", "n_copied", "n_open")}
        return {**{k: law and law.to_json() for k, law in laws.items()}, "reason": self.reason, **counts}


def level_boundary(
    runs: Sequence[PlacedRun], number: int, *, over: str = SIZE, floor: bool, confidence: float
) -> Boundary:
    """Fit the law of learning a level: to the runs that learned it before they copied, and those that did neither yet.

    Args:
        runs: of any sizes; of one, over a setting.
        number: of the level, from 1.
        over: what the law is over: ``P``, or a setting.
        floor: whether to fit tau_0 too; over a setting there is none.
        confidence: probability of the law's intervals.
    """
    clock = level_clock(number).name
    learned = [run for run in runs if run.learned(number)]
    unfinished = [run for run in runs if run.ended_before(number)]
    onsets = [run.levels[number - 1] for run in (*learned, *unfinished)]
    if over == SIZE:
        free = ClockLaw(clock, tuple(onsets), tuple(onsets), floor, confidence).free
    else:
        free, _ = _over_a_setting(onsets, over, confidence)
    reason = ""
    if free is None:
        sizes = len({run.x for run in learned})
        reason = (
            f"{clock}: {len(learned)} of {len(runs)} runs, at {sizes} size(s), reached it before copies were seen; "
            "a law needs two sizes. Add larger ones."
        )
    n_copied = len(runs) - len(onsets)
    return Boundary(clock, free, None, reason, len(runs), n_copied, len(unfinished))


def level_laws(boundaries: Sequence[Boundary], exponent: Exponent) -> tuple[dict[str, Law], dict[str, str]]:
    """The laws of levels with this exponent by clock, and for each level without one the reason.

    Args:
        boundaries: of the levels.
        exponent: as in :func:`taumem.analysis.fit_law`.
    """
    if exponent is not None:
        return {}, {each.clock: f"{each.clock}: levels do not grow in proportion to P" for each in boundaries}
    reasons = {each.clock: each.reason for each in boundaries if each.free is None and each.reason}
    return {each.clock: each.free for each in boundaries if each.free is not None}, reasons


def clock_boundary(law: ClockLaw, *, over: str = SIZE, is_linear: bool) -> Boundary:
    """The boundary of a clock, by all runs.

    Args:
        law: of memorization, or of learning where there are no levels.
        over: what the boundary is over: ``P``, or a setting, at one P.
        is_linear: whether c P is asked for too.
    """
    if not law.fitted:
        return Boundary(law.clock, None, None, f"{law.clock}: every size is excluded from the fits.", 0)
    if over != SIZE:
        free, reason = _over_a_setting(law.fitted, over, law.confidence)
        return Boundary(law.clock, free, None, reason, len(law.fitted))
    reason = law.reason if is_linear else law.why_not(None)
    return Boundary(law.clock, law.free, law.linear if is_linear else None, reason, len(law.fitted))


def _over_a_setting(onsets: Sequence[Onset], over: str, confidence: float) -> tuple[Law | None, str]:
    """The law of a setting at one P, whose own exponent is of no matter then; or why there is none."""
    try:
        return fit_law(onsets, exponent=1.0, covariates=(over,), confidence=confidence), ""
    except ConfigError as error:
        return None, str(error)
