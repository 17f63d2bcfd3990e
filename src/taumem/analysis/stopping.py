"""When to stop: rules that read a record and say so, for the laboratory, a guard, and loops of one's own.

A rule is a pure function of what a record holds up to a step, so that it says the same about a run under way, a run
that was resumed, and a run of last year. A step to stop at is the only thing that goes back from analysis to training.
"""

from dataclasses import dataclass

import numpy as np

from taumem.analysis.clocks import tau_val
from taumem.analysis.shares import above_chance
from taumem.analysis.smoothing import FEWEST_LOOKS
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
        if copies is None:
            return Verdict(False, rule)
        above = above_chance(copies, 0.0 if chance is None else chance)
        counted = above.steps <= (np.inf if step is None else step)
        last = list(zip(above.steps[counted].tolist(), above.values[counted].tolist(), strict=True))[-self.looks :]
        exceeded = len(last) == self.looks and all(value > self.share for _, value in last)
        return Verdict(True, rule, since=last[0][0]) if exceeded else Verdict(False, rule)


@dataclass(frozen=True)
class LossTurned:
    """Stops once the held-out loss has turned, and has gone on for as long as it took to turn.

    It has turned where ``tau_val`` is located: a minimum from which the loss has risen by more than its noise, of items
    and of weights. Asked at every look, that test is made many times: of 200 flat losses with a jitter of 0.1 % common
    to all items, at 30 looks, it stopped 32 %.

    Args:
        patience: how many times later than the minimum the last look must be, above 1.

    Raises:
        ConfigError: a patience of 1 or less.
    """

    patience: float = 2.0

    def __post_init__(self) -> None:
        if not self.patience > 1:
            raise ConfigError(f"the last look must be later than the lowest by a factor above 1; got {self.patience}.")

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"The held-out loss was lowest (tau_val) more than {self.patience:g} times earlier than the last look."
        curve = record.curve_or_none("heldout_loss")
        if curve is None:
            return Verdict(False, rule)
        curve = curve.at_steps(curve.steps[(curve.steps > 0) & (curve.steps <= (np.inf if step is None else step))])
        if not len(curve):
            return Verdict(False, rule)
        lowest = int(curve.steps[np.argmin(curve.values)])
        if curve.items is None or curve.items.shape[1] < 2 or len(curve) < FEWEST_LOOKS:
            return Verdict(False, rule, keep=lowest)
        turned = tau_val(curve)
        if turned.censored != "no" or curve.steps[-1] <= self.patience * turned.step:
            return Verdict(False, rule, keep=lowest)
        return Verdict(True, rule, since=round(turned.step), keep=lowest)
