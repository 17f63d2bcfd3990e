"""Stop by losses: when the held-out loss has turned, or when training items are known better than held-out ones.

Both hold the last looks (half a doubling of the steps) against the best ones before, in units of the noise of items and
of weights; how often they stop a run in which nothing happens is measured over whole runs, asked at every look
(docs/stopping.md).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.course import FEWEST_LOOKS, ROUNDING, Course, half_doubling, jitter, looks_per_doubling
from taumem.analysis.stopping.verdict import Reason, Verdict, best_until
from taumem.analysis.wording import percent
from taumem.errors import ConfigError
from taumem.record import Curve, RunRecord

__all__ = ["GapOpened", "LossTurned"]

LASTING = 3
"""Looks that a rise must have lasted, at least: one or two that spike are no turn."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossTurned:
    """Stops once the held-out loss has turned: at the last looks it is above its lowest, by more than its noise.

    The noise is that of the items and that of the weights; the test is that of ``tau_val``, with more standard errors
    since it is made at every look. What to keep is the look with the lowest loss.

    Args:
        standard_errors: by how many the loss must have risen, above 0.

    Raises:
        ConfigError: a number of 0 or less.
    """

    standard_errors: float = 5.0
    name = "quality"

    def __post_init__(self) -> None:
        _check_standard_errors(self.standard_errors)

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"The held-out loss is above its lowest by more than {self.standard_errors:g} standard errors."
        curve = _until(record, "heldout_loss", step)
        if curve is None:
            return Verdict(False, rule, not_checked=("Whether the held-out loss has turned: it was not measured.",))
        if not len(curve):
            return Verdict(False, rule, power=_too_few(0))
        lowest = int(curve.steps[np.argmin(curve.values)])
        if curve.items is None or curve.items.shape[1] < 2:
            why = "Whether the held-out loss has turned: the loss of each item was not kept, at least 2 items."
            return Verdict(False, rule, keep=lowest, not_checked=(why,))
        if len(curve) < FEWEST_LOOKS:
            return Verdict(False, rule, keep=lowest, power=_too_few(len(curve)))
        course = Course.of(np.log(curve.steps.astype(float)), curve.items)
        if course.rise <= self.standard_errors or not course.has_risen_for(LASTING):
            needed = percent(self.standard_errors * course.error)
            power = f"A lasting rise of the held-out loss by {needed} would have been seen."
            return Verdict(False, rule, keep=lowest, power=power)
        later = curve.steps[curve.steps > lowest]
        return Verdict(
            True,
            rule,
            since=lowest,
            keep=lowest,
            reason=Reason.LOSS_TURNED,
            message=f"The held-out loss was lowest at step {lowest:,} and has risen since.",
            interval=(lowest, int(later[0]) if len(later) else lowest),
        )


@dataclass(frozen=True)
class GapOpened:
    """Stops once the gap between training and held-out loss has grown by a share, for certain.

    The gap is 1 - train / held-out. Sets that differ in difficulty differ from the first look on, which is no
    memorization: what counts is how far the ratio of the two losses has fallen from where it was highest. Without
    held-out items the gap of two models on disjoint sets serves (``gap_sym``). What to keep is the look with the lowest
    held-out loss so far.

    Args:
        share: by which the gap must have grown, in (0, 1).
        standard_errors: by how many beyond that, above 0.

    Raises:
        ConfigError: a number out of its range.
    """

    share: float = 0.1
    standard_errors: float = 3.0
    name = "balanced"

    def __post_init__(self) -> None:
        _check_standard_errors(self.standard_errors)
        if not 0 < self.share < 1:
            raise ConfigError(f"a gap grows by a share between 0 and 1; got {self.share}.")

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"The gap between training and held-out loss has grown by more than {percent(self.share)}."
        ratio = _Ratio.of(record, step)
        if ratio is None:
            why = "Whether the gap has opened: the losses of training and held-out items were not both measured, with "
            why += "the loss of each item."
            return Verdict(False, rule, not_checked=(why,))
        until = math.inf if step is None else step
        if len(ratio.steps) < FEWEST_LOOKS:
            return Verdict(False, rule, keep=best_until(record, until), power=_too_few(len(ratio.steps)))
        grown, error = ratio.grown, ratio.error
        needed = -math.log1p(-self.share) + self.standard_errors * error
        if grown <= needed or not ratio.has_grown_for(LASTING, -math.log1p(-self.share)):
            power = f"A gap that had grown by {percent(-math.expm1(-needed))} would have been seen."
            return Verdict(False, rule, keep=best_until(record, until), power=power)
        before, since = ratio.passage(-math.log1p(-self.share))
        return Verdict(
            True,
            rule,
            since=since,
            keep=best_until(record, until),
            reason=Reason.GAP_OPENED,
            message=f"The gap between training and held-out loss has grown by {percent(-math.expm1(-grown))}.",
            interval=(before, since),
        )


@dataclass(frozen=True, eq=False)
class _Ratio:
    """The logarithm of training over held-out loss, look by look, and its noise.

    Attributes:
        steps: of the looks, from 8 looks on of any use.
        values: the logarithm.
        sets: for each set, the loss of each item over the mean of its look [looks, items]; empty where only the errors
            are known.
        errors: of the items at each look, where that is all that is known.
    """

    steps: NDArray[np.int64]
    values: Floats
    sets: tuple[Floats, ...]
    errors: Floats

    @classmethod
    def of(cls, record: RunRecord, step: int | None) -> "_Ratio | None":
        """The ratio up to a step; None where the losses that it needs were not measured."""
        train, heldout = (_until(record, name, step) for name in ("train_loss", "heldout_loss"))
        if train is not None and heldout is not None and train.items is not None and heldout.items is not None:
            common = np.intersect1d(train.steps, heldout.steps)
            train, heldout = train.at_steps(common), heldout.at_steps(common)
            sets = tuple(curve.items for curve in (train, heldout) if curve.items is not None)
            means = [items.mean(axis=1) for items in sets]
            if all((mean > 0).all() for mean in means) and min(items.shape[1] for items in sets) > 1:
                relative = tuple(items / mean[:, None] for items, mean in zip(sets, means, strict=True))
                return cls(common, np.log(means[0]) - np.log(means[1]), relative, np.zeros(0))
        twins = _until(record, "gap_sym", step)
        if twins is None or twins.se is None or not (twins.values < 1).all():
            return None
        return cls(twins.steps, np.log1p(-twins.values), (), np.nan_to_num(twins.se / (1 - twins.values), nan=math.inf))

    @property
    def window(self) -> int:
        """Looks in half a doubling."""
        return min(half_doubling(looks_per_doubling(self._x)), len(self.steps) // 4)

    @property
    def grown(self) -> float:
        """By how much the logarithm has fallen from its highest window to the last one."""
        means = self._means
        return float(means[self._highest] - means[-1])

    @property
    def error(self) -> float:
        """The standard error of that: of items, and of weights (single looks, and swings against the course)."""
        after = self._means[self._highest :]
        swing = float(np.max(after - np.minimum.accumulate(after)))
        noise = max(jitter(self.values, looks_per_doubling(self._x)), swing, ROUNDING)
        if not self.sets:
            return math.hypot(noise, float(self.errors[-1]), float(self.errors[self._highest]))
        places = (self._highest, len(self._means) - 1)
        variance = 0.0
        for items in self.sets:
            then, now = (items[k : k + self.window].mean(axis=0) for k in places)
            variance += float((now - then).var(ddof=1)) / items.shape[1]
        return math.sqrt(noise**2 + variance)

    def has_grown_for(self, looks: int, by: float) -> bool:
        """Whether each of the last looks shows the growth, or half of what the last window shows."""
        top = self._means[self._highest]
        return bool((top - self.values[-looks:] > min(by, self.grown / 2)).all())

    def passage(self, by: float) -> tuple[int, int]:
        """The last look before the growth that lasts, and the next one."""
        fallen = self._means[self._highest] - self.values > by
        short = np.flatnonzero(~fallen)
        last = int(short[-1]) if len(short) else 0
        return int(self.steps[last]), int(self.steps[min(last + 1, len(self.steps) - 1)])

    @property
    def _x(self) -> Floats:
        return np.asarray(np.log(self.steps.astype(np.float64)))

    @property
    def _means(self) -> Floats:
        means: Floats = np.lib.stride_tricks.sliding_window_view(self.values, self.window).mean(axis=1)
        return means

    @property
    def _highest(self) -> int:
        return int(np.argmax(self._means[: -self.window]))


def _until(record: RunRecord, quantity: str, step: int | None) -> Curve | None:
    """A curve from step 1 up to a step; looks at step 0 have no place on a log axis."""
    curve = record.curve_or_none(quantity)
    if curve is None:
        return None
    return curve.at_steps(curve.steps[(curve.steps > 0) & (curve.steps <= (np.inf if step is None else step))])


def _too_few(looks: int) -> str:
    return f"Nothing could have been seen yet: there are {looks} looks, and noise is known from {FEWEST_LOOKS} on."


def _check_standard_errors(number: float) -> None:
    if not 0 < number < np.inf:
        raise ConfigError(f"a loss rises by a number of standard errors above 0; got {number}.")
