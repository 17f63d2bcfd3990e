"""When to stop: rules that read a record and say so, for the laboratory, a guard, and loops of one's own.

A rule is a pure function of what a record holds up to a step, so that it says the same about a run under way, a run
that was resumed, and a run of last year. A step to stop at is the only thing that goes back from analysis to training.
"""

from dataclasses import dataclass

import numpy as np

from taumem.analysis.course import FEWEST_LOOKS, Course
from taumem.analysis.shares import above_chance
from taumem.errors import ConfigError
from taumem.record import RunRecord

__all__ = ["CopiesExceed", "LossTurned", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a run.

    Attributes:
        stop: whether to stop.
        rule: the rule, in a sentence.
        since: the step from which on the rule holds; None where it is to go on.
        keep: the look whose weights to keep; None where the rule knows none that is better than the last.
    """

    stop: bool
    rule: str
    since: int | None = None
    keep: int | None = None


@dataclass(frozen=True)
class CopiesExceed:
    """Stops once copies above chance exceed a share of the samples in several looks one after another.

    Args:
        share: of the samples, above chance, in (0, 1).
        looks: how many one after another, at least 1.

    Raises:
        ConfigError: a number out of its range.
    """

    share: float
    looks: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.looks < 1:
            raise ConfigError(
                f"copies exceed a share between 0 and 1 in at least 1 look; got {self.share} and {self.looks}."
            )

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"Copies above chance exceed {self.share:g} of the samples in {self.looks} looks one after another."
        copies, chance = (record.curve_or_none(name) for name in ("copy_fraction", "copy_fraction_chance"))
        if copies is None or (chance is not None and not np.intersect1d(copies.steps, chance.steps).size):
            return Verdict(False, rule)  # a kill may have come between the two of the first look
        steps, above = above_chance(copies, 0.0 if chance is None else chance)
        counted = steps <= (np.inf if step is None else step)
        last = list(zip(steps[counted].tolist(), above[counted].tolist(), strict=True))[-self.looks :]
        exceeded = len(last) == self.looks and all(value > self.share for _, value in last)
        return Verdict(True, rule, since=last[0][0]) if exceeded else Verdict(False, rule)


@dataclass(frozen=True)
class LossTurned:
    """Stops once the held-out loss has turned: at the last looks it is above its lowest, by more than its noise.

    The noise is that of the items and that of the weights; the test is that of ``tau_val``, with more standard errors
    since it is made at every look. docs/clocks.md says how often it stops a run whose loss never turns, and how much
    later than the minimum it stops one whose loss does. What to keep is the look with the lowest loss.

    Args:
        standard_errors: by how many the loss must have risen, above 0.

    Raises:
        ConfigError: a number of 0 or less.
    """

    standard_errors: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.standard_errors < np.inf:
            raise ConfigError(f"a loss rises by a number of standard errors above 0; got {self.standard_errors}.")

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"The held-out loss is above its lowest by more than {self.standard_errors:g} standard errors."
        curve = record.curve_or_none("heldout_loss")
        if curve is None:
            return Verdict(False, rule)
        curve = curve.at_steps(curve.steps[(curve.steps > 0) & (curve.steps <= (np.inf if step is None else step))])
        if not len(curve):
            return Verdict(False, rule)
        lowest = int(curve.steps[np.argmin(curve.values)])
        if curve.items is None or curve.items.shape[1] < 2 or len(curve) < FEWEST_LOOKS:
            return Verdict(False, rule, keep=lowest)
        course = Course.of(np.log(curve.steps.astype(float)), curve.items)
        turned = course.rise > self.standard_errors
        return Verdict(turned, rule, since=lowest if turned else None, keep=lowest)


from enum import StrEnum
from typing import Protocol
from dataclasses import replace as _replace


class Reason(StrEnum):
    NO_ONSET = "no_onset"
    LOSS_TURNED = "loss_turned"
    GAP_OPENED = "gap_opened"
    COPIES = "copies"
    MEMBERS = "members"
    FORECAST = "forecast"


@dataclass(frozen=True)
class Checkpoint:
    step: int
    path: str


@dataclass(frozen=True)
class Verdict:
    stop: bool
    rule: str
    since: int | None = None
    keep: int | None = None
    reason: Reason = Reason.NO_ONSET
    interval: tuple[int, int] | None = None
    power: str = ""
    not_checked: tuple[str, ...] = ()
    step: int = 0
    examples: int | None = None
    passes: float | None = None
    checkpoint: Checkpoint | None = None

    @property
    def message(self):
        return self.rule


class StoppingRule(Protocol):
    name: str

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict: ...


@dataclass(frozen=True)
class GapOpened:
    name: str = "balanced"

    def judge(self, record, step=None):
        c = record.curve_or_none("gap")
        rule = "The gap is above 10 %."
        if c is None:
            return Verdict(False, rule)
        keep = c.steps <= (np.inf if step is None else step)
        st, v, se = c.steps[keep], c.values[keep], c.se[keep]
        if len(st) < 3:
            return Verdict(False, rule, keep=int(st[-1]) if len(st) else None)
        stop = bool((v[-2:] - 3 * se[-2:] > 0.1).all())
        return Verdict(
            stop,
            rule,
            since=int(st[-2]) if stop else None,
            keep=int(st[-1] if not stop else st[-3]),
            reason=Reason.GAP_OPENED if stop else Reason.NO_ONSET,
        )


@dataclass(frozen=True)
class ForecastReached:
    onset: object
    name: str = "forecast"

    def judge(self, record, step=None):
        s = record.last_step if step is None else step
        stop = s >= self.onset.low
        return Verdict(
            stop,
            "forecast",
            since=int(self.onset.low) if stop else None,
            keep=None,
            reason=Reason.FORECAST if stop else Reason.NO_ONSET,
        )


@dataclass(frozen=True)
class AnyOf:
    rules: tuple
    name: str = "any"

    def judge(self, record, step=None):
        v = [r.judge(record, step) for r in self.rules]
        return next((x for x in v if x.stop), v[0])


def rule_named(name):
    return {"balanced": GapOpened(), "quality": LossTurned(), "no_copies": CopiesExceed(0.05)}[name]
