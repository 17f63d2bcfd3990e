"""When to stop: rules that read a record and say so, for the laboratory, a guard, and loops of one's own.

A rule is a pure function of what a record holds up to a step, so that it says the same about a run under way, a run
that was resumed, and a run of last year. A step to stop at is the only thing that goes back from analysis to training.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from taumem.analysis.shares import above_chance
from taumem.errors import ConfigError
from taumem.record import RunRecord

__all__ = ["CopiesExceed", "LossTurned", "StoppingRule", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a run.

    Attributes:
        stop: whether to stop.
        rule: the rule, in a sentence.
        since: the first look of those that the verdict rests on; None where it is to go on.
        keep: the look whose weights to keep; None where the rule knows none that is better than the last.
    """

    stop: bool
    rule: str
    since: int | None = None
    keep: int | None = None


class StoppingRule(Protocol):
    """Says of a run whether to stop it."""

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        ...


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
        above = above_chance(copies.values, copies, 0.0 if chance is None else chance)
        counted = copies.steps <= (np.inf if step is None else step)
        last = list(zip(copies.steps[counted].tolist(), above[counted].tolist(), strict=True))[-self.looks :]
        exceeded = len(last) == self.looks and all(value > self.share for _, value in last)
        return Verdict(True, rule, since=last[0][0]) if exceeded else Verdict(False, rule)


@dataclass(frozen=True)
class LossTurned:
    """Stops once no look has shown a lower held-out loss for as long as it took to reach the lowest.

    Args:
        patience: how many times later than the lowest look the last one must be, above 1.

    Raises:
        ConfigError: a patience of 1 or less.
    """

    patience: float = 2.0

    def __post_init__(self) -> None:
        if not self.patience > 1:
            raise ConfigError(f"the last look must be later than the lowest by a factor above 1; got {self.patience}.")

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"The held-out loss was lowest {self.patience:g} times earlier than the last look, or earlier still."
        curve = record.curve_or_none("heldout_loss")
        past = None if curve is None else (curve.steps > 0) & (curve.steps <= (np.inf if step is None else step))
        if curve is None or past is None or not past.any():
            return Verdict(False, rule)
        steps, values = curve.steps[past], curve.values[past]
        lowest = int(steps[np.argmin(values)])
        turned = bool(steps[-1] > self.patience * lowest)
        return Verdict(turned, rule, since=lowest if turned else None, keep=lowest)
