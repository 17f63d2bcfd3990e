"""Effective time over the steps of a run, and onsets in it.

    T = sum over steps of mu,    heat = N mu v / 2

mu is how far a step moves weights along a lasting gradient, v the mean squared gradient, N the number of weights
(:mod:`taumem.training.pace`). At low rates onsets in T hardly depend on batch size and optimizer; at others the heat
tells some of what they depend on. ``docs/unit.md`` has the figures.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.interval import Interval
from taumem.analysis.law import Law
from taumem.analysis.onset import NOISE, Onset
from taumem.analysis.placing import last_passage
from taumem.errors import TaumemWarning
from taumem.record import RunRecord

__all__ = ["Timeline", "in_effective_time", "reached"]

Floats = NDArray[np.float64]

FINE = 256
"""Places, evenly spaced in log steps, at which the heat is averaged."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """T and the heat over the steps of a run, as its looks have them: power laws of the step in between.

    Attributes:
        log_steps: of the looks, ascending, [looks].
        log_times: the logarithms of T, [looks].
        heats: in units of the loss, [looks]; None where the heat was not measured.
    """

    log_steps: Floats
    log_times: Floats
    heats: Floats | None

    @classmethod
    def of(cls, record: RunRecord) -> "Timeline | None":
        """That of a run; None where its effective time was not measured."""
        time, heat = record.curve_or_none("effective_time"), record.curve_or_none("heat")
        if time is None or not (known := (time.steps > 0) & (time.values > 0)).any():
            return None
        log_steps = np.log(time.steps[known])
        heats = None
        if heat is not None and (heat.steps > 0).any():
            heats = np.interp(log_steps, np.log(heat.steps[heat.steps > 0]), heat.values[heat.steps > 0])
        return cls(log_steps, np.log(time.values[known]), heats)

    def at(self, step: float) -> float:
        """T at a step; in proportion to the step before the first look, infinite at an infinite one.

        Args:
            step: up to the last look, or infinite.
        """
        if not 0 < step < np.inf:
            return float(step)
        return float(self._times_at(np.log([step]))[0])

    def _times_at(self, log_steps: Floats) -> Floats:
        early = np.minimum(log_steps - self.log_steps[0], 0.0)
        return np.asarray(np.exp(np.interp(log_steps, self.log_steps, self.log_times) + early))

    def reaches(self, step: float) -> bool:
        """Whether T is known at a step."""
        return bool(math.log(step) <= self.log_steps[-1] + 1e-9)

    def heat_until(self, step: float) -> float | None:
        """The heat on average over T until a step; None where it was not measured.

        Args:
            step: above 0.
        """
        if self.heats is None:
            return None
        log_steps = np.linspace(min(self.log_steps[0], np.log(step)), np.log(step), FINE)
        heats = np.interp(log_steps, self.log_steps, self.heats)
        between = (heats + np.array([heats[0], *heats[:-1]])) / 2
        return float(np.average(between, weights=np.diff(self._times_at(log_steps), prepend=0.0)))


def reached(law: Law, record: RunRecord, n_train: int, *, confidence: float | None = None) -> Interval | None:
    """At which step a run reaches an onset that a law in effective time forecasts.

    The law is asked at each look, at the noise that the run has met by then.

    Args:
        law: of onsets in effective time.
        record: the run, as far as it has come.
        n_train: its number of training examples P.
        confidence: probability of the interval; the law's own if None.

    Returns:
        In steps: where T passes the forecast's median, its lower and its upper end, each infinite where it has not yet;
        None where the run's effective time (or the heat, if the law needs it) was not measured.
    """
    timeline = Timeline.of(record)
    if timeline is None:
        return None
    forecasts = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TaumemWarning)  # each look would say it again
        for log_step in timeline.log_steps:
            heat = timeline.heat_until(float(np.exp(log_step)))
            if heat is None and law.covariates:
                return None
            settings = {} if heat is None else {NOISE: heat * n_train**0.5}
            forecasts.append(law.predict(n_train, settings=settings, confidence=confidence))
    ends = np.log([(f.value, f.low, f.high) for f in forecasts])
    value, low, high = (_passage(timeline.log_steps, timeline.log_times - end) for end in ends.T)
    return Interval(value, low, high, forecasts[0].confidence)


def _passage(log_steps: Floats, ahead: Floats) -> float:
    """The step from which on T is ahead of what was forecast for good; infinite where it is not yet."""
    return float(np.exp(last_passage(log_steps, ahead[None, :], 0.0)[0]))


def in_effective_time(onset: Onset, records: Sequence[RunRecord]) -> Onset | None:
    """An onset in effective time, with its noise among its settings; None where no run's time was measured.

    Args:
        onset: in steps.
        records: the run, or both runs of the pair that it was found in: their times are averaged.

    Returns:
        The onset; None where T is not known up to it.
    """
    known = [timeline for record in records if (timeline := Timeline.of(record)) is not None]
    timelines = [timeline for timeline in known if onset.censored == "right" or timeline.reaches(onset.step)]
    if len(timelines) < len(records) or not records:
        return None
    step, low, high = (_mean([line.at(end) for line in timelines]) for end in (onset.step, onset.low, onset.high))
    settings = {**onset.settings, **_noise(onset, timelines)}
    return replace(onset, step=step, low=low, high=high, unit="effective_time", settings=settings)


def _noise(onset: Onset, timelines: Sequence[Timeline]) -> Mapping[str, float]:
    heats = [heat for line in timelines if (heat := line.heat_until(onset.step)) is not None]
    return {NOISE: _mean(heats) * onset.n_train**0.5} if len(heats) == len(timelines) else {}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
