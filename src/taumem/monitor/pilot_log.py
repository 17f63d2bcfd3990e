"""What is told while pilots are made: what was found, which is overdue, and at the end what they forecast and cost."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from taumem.analysis import Study
from taumem.analysis.cautions import full_batches, of_a_forecast
from taumem.analysis.feasibility import objections
from taumem.analysis.prior import usual_prior
from taumem.analysis.stopping import Reason
from taumem.errors import TaumemError
from taumem.monitor.subsets import Subset

__all__ = ["LATE", "LATE_STEPS", "PilotLog"]

LATE, LATE_STEPS = 10, 10_000
"""A pilot is overdue past so many times the step that smaller ones let expect; past so many steps where none tells."""


class PilotLog:
    """Tells what comes of pilots, a line each, and knows what those before let expect of the next.

    Args:
        log: told a line; None for silence.
        n: how many pilots there are.
        clock: what they wait for.
    """

    def __init__(self, log: Callable[[str], Any] | None, n: int, clock: str) -> None:
        self._log, self._n, self._clock = log, n, clock
        self._onsets: dict[int, list[float]] = {}  # the steps that were located, by size
        self._steps = 0  # of all pilots so far
        self._so_far = 0  # pilots

    def say(self, line: str) -> None:
        """Tell a line, if it holds anything."""
        if self._log is not None and line:
            self._log(line)

    def overdue(self, subset: Subset) -> Callable[[Mapping[str, float], int], None]:
        """Make a sink that says when the next pilot, of this subset, takes much longer than is to be expected."""
        expected, name = self._expected(subset.size), self._name(self._so_far + 1, subset)
        due: float = LATE_STEPS if expected is None else LATE * expected
        where = "" if expected is None else f", where the smaller ones let expect it at about {expected:,.0f}"

        def late(numbers: Mapping[str, float], step: int) -> None:
            nonlocal due
            if step >= due and "taumem/onset_step" not in numbers:
                due = 2 * step
                self.say(
                    f"{name}: {self._clock} is not located by step {step:,}{where}. It goes on; with max_steps it "
                    "would end, and leave a bound."
                )

        return late

    def of_pilot(self, subset: Subset, found: Mapping[str, Any]) -> None:
        """Tell what came of a pilot.

        Args:
            subset: that it was trained on.
            found: its verdict, as JSON has it.
        """
        self._so_far += 1
        self._steps += int(found["step"])
        if found["reason"] == Reason.LOCATED:
            self._onsets.setdefault(subset.size, []).append(max(float(found["since"]), 1.0))
        self.say(f"{self._name(self._so_far, subset)}: {found['message']}")

    def of_study(self, study: Study, n_train: int) -> None:
        """Tell what speaks against the forecast for all items, what it is, and what the pilots cost beside it."""
        try:
            forecast = study.forecast(n_train, self._clock)
        except TaumemError as error:
            self.say(f"No forecast: {error}")
            return
        steps, law = forecast.predicted, forecast.law
        if law is not None:
            known = full_batches(law.sizes, law.batch_size or 0)  # told before they were made
            for line in (*objections(law), *of_a_forecast(forecast)):
                self.say("" if line == known else line)
        passes = "" if forecast.passes is None else f", {forecast.passes.value:,.0f} passes"
        self.say(
            f"Forecast for all {n_train:,}: {self._clock} at {steps.value:,.0f} steps [{steps.low:,.0f}, "
            f"{steps.high:,.0f}]{passes}. The pilots took {self._steps:,} steps, {self._steps / steps.value:.1f} times "
            "as many."
        )

    def _name(self, number: int, subset: Subset) -> str:
        return f"Pilot {number} of {self._n}, P = {subset.size}"

    def _expected(self, size: int) -> float | None:
        """The step at which smaller pilots let expect the onset of one of this size; None where none was located."""
        smaller = max((other for other in self._onsets if other < size), default=None)
        if smaller is None:
            return None
        exponent, _ = usual_prior().exponent
        typical = math.exp(sum(map(math.log, self._onsets[smaller])) / len(self._onsets[smaller]))
        return float(typical * (size / smaller) ** exponent)
