"""Stop at a step that was named beforehand; and stop by whichever of several rules comes first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from taumem.analysis.clocks import CLOCKS, Seen
from taumem.analysis.interval import Interval
from taumem.analysis.stopping.verdict import Reason, StoppingRule, Verdict, best_until, curve_until, going_on
from taumem.errors import ConfigError, nearest_name
from taumem.record import RunRecord

__all__ = ["AnyOf", "ForecastReached", "Located"]

CONFIDENCE = 0.9
"""Of the interval of an onset that is located."""


@dataclass(frozen=True)
class ForecastReached:
    """Stops at the lower end of the interval in which an onset is forecast.

    It needs nothing that is measured in the run: the step says all.

    Args:
        onset: the forecast, in steps.

    Raises:
        ConfigError: the interval's lower end is no step.
    """

    onset: Interval
    name = "forecast"

    def __post_init__(self) -> None:
        if not 0 < self.onset.low < math.inf:
            raise ConfigError(f"a forecast names a step above 0 to stop at; got {self.onset.low}.")

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge a run at a step; at its last look if None."""
        forecast = f"{self.onset.value:,.0f} [{self.onset.low:,.0f}, {self.onset.high:,.0f}]"
        rule = f"The step is reached from which on the onset is forecast: {forecast}."
        due = math.ceil(self.onset.low)
        so_far = going_on(record, step, rule)
        if so_far.step < due:
            return replace(so_far, power=f"It is due at step {due:,}.")
        # The loss of training items falls on; nothing measured here says that an earlier look was better.
        best = best_until(record, due) if curve_until(record, "heldout_loss", due) is not None else None
        return replace(
            so_far,
            stop=True,
            since=due,
            keep=due if best is None else best,
            reason=Reason.FORECAST,
            message=f"Memorization is forecast to begin at step {forecast}.",
            interval=(due, math.ceil(self.onset.high) if math.isfinite(self.onset.high) else due),
        )


@dataclass(frozen=True)
class Located:
    """Stops once a clock is located: a pilot run has nothing more to tell then.

    Args:
        clock: its name in the table of clocks; one that is read off a single run.
        at_most: the step at which to stop anyway; None for no limit.

    Raises:
        ConfigError: an unknown clock, or one of pairs of runs.
    """

    clock: str = "tau_val"
    at_most: int | None = None

    def __post_init__(self) -> None:
        single = [name for name, clock in CLOCKS.items() if not clock.of_pairs]
        if self.clock not in single:
            raise ConfigError(f"no clock of single runs is called '{self.clock}'; {nearest_name(self.clock, single)}")

    @property
    def name(self) -> str:
        """Which clock."""
        return f"located {self.clock}"

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        so_far = going_on(record, step, f"{self.clock} is located.")
        at = so_far.step
        if record.last_step > at:
            record = RunRecord.of(record.header, (m for m in record.measurements if m.step <= at))
        onset = CLOCKS[self.clock].onset(Seen(record), CONFIDENCE) if record.steps else None
        if onset is not None and onset.usable:
            message = f"{self.clock} is located at step {onset.step:,.0f}."
            since, ends = round(onset.step), (round(onset.low), round(onset.high))
            return replace(so_far, stop=True, since=since, reason=Reason.LOCATED, message=message, interval=ends)
        if self.at_most is not None and at >= self.at_most:
            message = f"{self.clock} is not located by step {at:,}, the most that was allowed."
            return replace(so_far, stop=True, reason=Reason.LIMIT, message=message)
        return so_far


@dataclass(frozen=True)
class AnyOf:
    """Stops once one of several rules says so; of several, the one whose onset came first speaks.

    A false alarm of any is one of all: their rates add up.

    Args:
        rules: at least one.

    Raises:
        ConfigError: there is none.
    """

    rules: tuple[StoppingRule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ConfigError("any of no rules never stops; give at least one.")

    @property
    def name(self) -> str:
        """The names of all."""
        return " or ".join(rule.name for rule in self.rules)

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        verdicts = [rule.judge(record, step) for rule in self.rules]
        first = _first(verdicts)
        return first.beside(tuple(verdict for verdict in verdicts if verdict is not first))


def _first(verdicts: Sequence[Verdict]) -> Verdict:
    stops = [verdict for verdict in verdicts if verdict.stop]
    return min(stops, key=lambda verdict: verdict.since or 0) if stops else verdicts[0]
