"""Which pilot to make next: the size whose run narrows a forecast's interval most per step.

A pilot that has not been made is put through the law that there is: its onset is taken at three quantiles of what the
law predicts, each draw of the law's posterior is weighed by how well it foretells that onset, and the width of the
forecast's interval is read off again. It is what a new fit would give, without one.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from taumem.analysis.design import BatchSize
from taumem.analysis.feasibility import TO_LOCATE
from taumem.analysis.interval import Interval
from taumem.analysis.law import Law
from taumem.analysis.laws import ClockLaw
from taumem.analysis.wording import number, percent
from taumem.errors import ConfigError, TaumemWarning

__all__ = ["NextPilot", "PlannedPilot", "next_pilot", "planned_pilot", "width_of"]

THIRDS = 2 / 3
"""Confidence of an interval whose ends and median are the middles of three equally probable parts."""
HELPS = 0.05
"""Share of an interval's width, on a log axis, by which a pilot must narrow it to be worth its steps."""
EARLIER = 0.03
"""By how much a forecast must come earlier without the smallest pilots to be told of."""
NARROW = math.log(1.5)
"""The width below which no further pilot is worth its steps: an onset is within about a fifth."""
LEAST = 0.03
"""By how much it must narrow the width at the least: an interval whose ends are close needs no further pilot."""


@dataclass(frozen=True)
class PlannedPilot:
    """A pilot that could be made.

    Attributes:
        n_train: its number of training examples.
        steps: that it will take, about: three times its onset, since a minimum is known once the loss has risen.
        cost_share: what it costs as a share of the forecast run, in examples seen.
        width_then: of the forecast's interval with it, log(high / low): the mean over where its onset may come.
        batch_size: that it is meant to have, where the pilots so far have several; None for the one that they have.
    """

    n_train: int
    steps: float
    cost_share: float
    width_then: float
    batch_size: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        return dict(vars(self))


@dataclass(frozen=True)
class NextPilot:
    """Which pilot to make next, and what the pilots so far cost.

    Attributes:
        best: of those within the budget that which narrows the interval most per step; None where none helps.
        reason: why there is none; empty where there is one.
        beyond: where there is none, the best of those that cost more, but less than the forecast run itself.
        width_now: of the forecast's interval, log(high / low).
        budget: what a pilot may cost, as a share of the forecast run.
        spent_share: what the pilots so far cost, as a share of the forecast run, in examples seen.
        without_smallest: the forecast without the smallest pilots, where it is earlier by 3 % or more: there it has
            been the nearer one more often than not (docs/forecasts.md); None elsewhere.
    """

    best: PlannedPilot | None
    reason: str
    beyond: PlannedPilot | None
    width_now: float
    budget: float
    spent_share: float
    without_smallest: Interval | None = None

    @property
    def has_overspent(self) -> bool:
        """Whether the pilots so far cost more than the budget."""
        return self.spent_share > self.budget

    @property
    def sentences(self) -> Iterator[str]:
        """What to do next, and what was spent, in words."""
        if self.best is not None:
            yield f"Next pilot: {self._told(self.best)}."
        else:
            beyond = f" The best of the dearer ones: {self._told(self.beyond)}." if self.beyond else ""
            yield f"Next pilot: none, since {self.reason}.{beyond}"
        if (other := self.without_smallest) is not None:
            yield (
                f"Without the smallest pilots it is {number(other.value)} steps [{number(other.low)}, "
                f"{number(other.high)}]. Where leaving them out made a forecast earlier, it was nearer in 73 of 109 "
                "cases (docs/forecasts.md)."
            )
        if self.has_overspent and self.best is not None:
            share = f"{percent(self.spent_share)} of" if self.spent_share < 1 else f"{number(self.spent_share)} times"
            yield f"The pilots so far cost {share} the forecast run, more than {percent(self.budget)} of it."

    def _told(self, pilot: PlannedPilot) -> str:
        now, then = (number(math.exp(width)) for width in (self.width_now, pilot.width_then))
        cost = f"about {number(pilot.steps)} steps, {percent(pilot.cost_share)} of the forecast run"
        which = f"P = {pilot.n_train:,}{f' in batches of {pilot.batch_size:,}' if pilot.batch_size else ''}"
        return f"{which} ({cost}) brings the interval's ends to a factor of {then} apart, from {now}"

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        pilots = {name: pilot and pilot.to_json() for name, pilot in (("best", self.best), ("beyond", self.beyond))}
        names = ("reason", "width_now", "budget", "spent_share")
        without = self.without_smallest and self.without_smallest.to_json()
        return pilots | {name: getattr(self, name) for name in names} | {"without_smallest": without}


def next_pilot(
    clock: ClockLaw, n_train: int, *, spent: float, batch_size: BatchSize = None, budget: float = 0.1
) -> NextPilot:
    """Find the size whose run would narrow the forecast's interval most per step.

    Tried are the sizes of the pilots, each with one more run, and doublings of the smallest (of a single one, halves
    too), as far as they are larger than the batch and smaller than the run that is forecast.

    Args:
        clock: with the onsets of the pilots.
        n_train: number of training examples of the run that is forecast.
        batch_size: of that run, as in :meth:`taumem.analysis.Law.predict`; the pilot that is made next has the batch
            size of most of those so far.
        spent: what the pilots so far cost, in training examples seen (in steps where the batch size is not known).
        budget: what the next one may cost, as a share of the forecast run, above 0.

    Raises:
        ConfigError: the pilots make no law, or the budget is out of its range.
    """
    if not isinstance(budget, int | float) or not 0 < budget < math.inf:
        raise ConfigError(f"a budget is a share of the forecast run above 0, such as 0.1; got {budget!r}.")
    law = clock.forecasting()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TaumemWarning)  # the forecast has said how far it reaches
        now = law.predict(n_train, batch_size=batch_size)
        width_now = width_of(now)
        planned = [planned_pilot(law, size, n_train, batch_size) for size in _sizes(law, n_train)]
        without = _without_smallest(clock, law, n_train, batch_size)
    helping = [pilot for pilot in planned if width_now - pilot.width_then > max(HELPS * width_now, LEAST)]
    helping.sort(key=lambda pilot: (pilot.width_then - width_now) / pilot.cost_share)
    best = next((pilot for pilot in helping if pilot.cost_share <= budget), None)
    return NextPilot(
        best=best,
        reason="" if best else _why_none(law, n_train, planned, budget, width_now),
        beyond=None if best else next((pilot for pilot in helping if pilot.cost_share < 1), None),
        width_now=width_now,
        budget=budget,
        spent_share=spent / _cost(now),
        without_smallest=without if without and without.value < (1 - EARLIER) * now.value else None,
    )


def _without_smallest(clock: ClockLaw, law: Law, n_train: int, batch_size: BatchSize) -> Interval | None:
    if len(law.located_sizes) < 3 or n_train <= law.largest_located:
        return None
    larger = tuple(onset for onset in clock.fitted if onset.n_train > law.sizes[0])
    return replace(clock, fitted=larger).forecasting().predict(n_train, batch_size=batch_size)


def _sizes(law: Law, n_train: int) -> Iterator[int]:
    if n_train <= law.largest_located or (law.reference_batch_size and law.sizes[-1] <= law.reference_batch_size):
        return  # nothing is extrapolated, or the law is none of larger sizes
    smallest = law.sizes[0]
    halves = (smallest // 4, smallest // 2) if len(law.sizes) == 1 else ()  # else there are smaller ones than need be
    doublings = (smallest << k for k in range(n_train.bit_length()))
    yield from sorted(
        {p for p in (*halves, *doublings, *law.sizes) if max(law.reference_batch_size or 0, 1) < p < n_train}
    )


def _why_none(law: Law, n_train: int, planned: list[PlannedPilot], budget: float, width_now: float) -> str:
    if n_train <= law.largest_located:
        return f"P = {n_train:,} is no larger than the pilots, and its own run is the one to make"
    if law.reference_batch_size and law.sizes[-1] <= law.reference_batch_size:
        return (
            f"those so far are no larger than the batch ({law.reference_batch_size:,}), and make no law of larger ones"
        )
    if width_now < NARROW:
        return f"the interval is narrow already (its ends are a factor of {number(math.exp(width_now))} apart)"
    if not any(pilot.cost_share <= budget for pilot in planned):
        return f"every one costs more than {percent(budget)} of the forecast run"
    return f"none within {percent(budget)} of the forecast run narrows the interval by {percent(HELPS)} or more"


def planned_pilot(law: Law, n_train: int, target: int, batch_size: BatchSize = None) -> PlannedPilot:
    """What one more pilot is expected to cost, and to do to the interval of a forecast.

    Args:
        law: of the pilots so far.
        n_train: number of training examples of the pilot.
        target: that of the run that is forecast.
        batch_size: of the run that is forecast.
    """
    onset = law.predict(n_train, batch_size=law.reference_batch_size, confidence=THIRDS)
    laws = [_given(law, n_train, step) for step in (onset.low, onset.value, onset.high)]
    widths = [width_of(with_it.predict(target, batch_size=batch_size)) for with_it in laws]
    cost_share = TO_LOCATE * _cost(onset) / _cost(law.predict(target, batch_size=batch_size))
    own = law.reference_batch_size if law.spans_batch_sizes else None
    return PlannedPilot(n_train, TO_LOCATE * onset.value, cost_share, float(np.mean(widths)), own)


def _given(law: Law, size: int, step: float) -> Law:
    """The law once one more run of this size has its onset at this step."""
    draws = law.posterior
    distance = (math.log(step) - draws.log_law(law.row(size, law.reference_batch_size)[0])) / draws.sigma
    weight = draws.weight * np.exp(-0.5 * distance**2) / draws.sigma
    return replace(law, posterior=replace(draws, weight=weight / weight.sum()))


def width_of(interval: Interval) -> float:
    """How far its ends are apart on a log axis, log(high / low)."""
    return math.log(interval.high / interval.low)


def _cost(interval: Interval) -> float:
    """Of a run up to its onset, in training examples seen; in steps where the batch size is not known."""
    return (interval.examples or interval).value
