"""Stop by losses: when the held-out loss has turned, or when training items are known better than held-out ones.

Both hold the last looks (half a doubling of the steps) against the best ones before, in units of the noise of items and
of weights; how often they stop a run in which nothing happens is measured over whole runs, asked at every look
(docs/stopping.md).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.clocks import tau_val
from taumem.analysis.course import (
    CERTAIN,
    FEWEST_LOOKS,
    LASTING,
    ROUNDING,
    Course,
    half_doubling,
    jitter,
    looks_per_doubling,
)
from taumem.analysis.stopping.verdict import FEWEST_ITEMS, Reason, Verdict, curve_until, going_on
from taumem.analysis.wording import percent, plural
from taumem.errors import ConfigError
from taumem.record import Curve, RunRecord

__all__ = ["GapOpened", "LossTurned", "rise_seen", "too_few"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LossTurned:
    """Stops once the held-out loss has turned: at the last looks it is above its lowest, by more than its noise.

    The noise is that of the items and that of the weights; the test is that of ``tau_val``, with more standard errors
    since it is made at every look. What to keep is the look with the lowest loss; the interval of the onset is that of
    ``tau_val``, 90 %.

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
        so_far = going_on(record, step, rule)
        curve = _past_zero(record, "heldout_loss", step)
        if curve is None:
            return replace(so_far, not_checked=("Whether the held-out loss has turned: it was not measured.",))
        if curve.items is None or curve.items.shape[1] < FEWEST_ITEMS:
            return replace(so_far, not_checked=(f"Whether the held-out loss has turned: {_FEW_ITEMS}",))
        if len(curve) < FEWEST_LOOKS:
            return replace(so_far, power=too_few(len(curve)))
        course = Course.of(np.log(curve.steps.astype(float)), curve.items)
        if course.rise <= self.standard_errors or not course.has_risen_for(LASTING):
            return replace(so_far, power=rise_seen(course, curve, self.standard_errors))
        lowest = int(curve.steps[np.argmin(curve.values)])
        return replace(
            so_far,
            stop=True,
            since=lowest,
            reason=Reason.LOSS_TURNED,
            message=f"The held-out loss was lowest at step {lowest:,} and has risen since.",
            interval=_interval_of_lowest(curve),
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
        so_far = going_on(record, step, rule)
        ratio = _Ratio.of(record, step)
        if ratio is None:
            why = "Whether the gap has opened: training and held-out items were not both asked, or "
            return replace(so_far, not_checked=(why + _FEW_ITEMS,))
        if len(ratio.steps) < FEWEST_LOOKS:
            return replace(so_far, power=too_few(len(ratio.steps)))
        threshold = -math.log1p(-self.share)
        so_far = replace(so_far, not_checked=ratio.gap_at_first(threshold, self.standard_errors))
        grown, error = ratio.grown, ratio.error
        if grown <= threshold + self.standard_errors * error or not ratio.has_grown_for(LASTING, threshold):
            seen = -math.expm1(-threshold - (self.standard_errors + CERTAIN) * error)
            return replace(so_far, power=f"A gap that had grown by {percent(seen)} would have been seen.")
        before, since = ratio.passage(threshold)
        return replace(
            so_far,
            stop=True,
            since=since,
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
        train, heldout = (_past_zero(record, name, step) for name in ("train_loss", "heldout_loss"))
        if train is not None and heldout is not None and train.items is not None and heldout.items is not None:
            common = np.intersect1d(train.steps, heldout.steps)
            train, heldout = train.at_steps(common), heldout.at_steps(common)
            sets = tuple(curve.items for curve in (train, heldout) if curve.items is not None)
            means = [items.mean(axis=1) for items in sets]
            if all((mean > 0).all() for mean in means) and min(items.shape[1] for items in sets) >= FEWEST_ITEMS:
                relative = tuple(items / mean[:, None] for items, mean in zip(sets, means, strict=True))
                return cls(common, np.log(means[0]) - np.log(means[1]), relative, np.zeros(0))
        twins = _past_zero(record, "gap_sym", step)
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
        """The standard error of that: of items, and of weights."""
        first, last = self._highest, len(self._means) - 1
        if not self.sets:
            return math.hypot(self._noise, float(self.errors[last]), float(self.errors[first]))
        return math.hypot(self._noise, _error_of_items(self._items(last, s) - self._items(first, s) for s in self.sets))

    def gap_at_first(self, threshold: float, standard_errors: float) -> tuple[str, ...]:
        """What is not judged where the ratio was never above a threshold: a sentence, or none."""
        first, level = self._highest, -float(self._means[self._highest])
        of_items = _error_of_items(self._items(first, s) - 1 for s in self.sets) if self.sets else self.errors[first]
        if level <= threshold + standard_errors * math.hypot(self._noise, of_items):
            return ()
        at = int(self.steps[first + self.window - 1])
        return (
            f"Memorization before step {at:,}: the gap was {percent(-math.expm1(-level))} there already, more than the "
            "scatter of items explains; only what it has grown by since is judged.",
        )

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
    def _noise(self) -> float:
        """Of weights: single looks about a smooth curve, and swings against the course."""
        after = self._means[self._highest :]
        swing = float(np.max(after - np.minimum.accumulate(after)))
        return max(jitter(self.values, looks_per_doubling(self._x)), swing, ROUNDING)

    def _items(self, window: int, of: Floats) -> Floats:
        mean: Floats = of[window : window + self.window].mean(axis=0)
        return mean

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


_FEW_ITEMS = f"the loss of each item was not kept, of {FEWEST_ITEMS} items of a set or more."


def _error_of_items(differences: Iterable[Floats]) -> float:
    """The standard error that the items of some sets leave to the sum of their means."""
    return math.sqrt(sum(float(each.var(ddof=1)) / len(each) for each in differences))


def _interval_of_lowest(curve: Curve) -> tuple[int, int]:
    """The 90 % interval of the minimum, wide enough for the lowest look; where there is none, the looks around it."""
    placed, lowest = tau_val(curve), int(np.argmin(curve.values))
    if not placed.usable:
        return int(curve.steps[max(lowest - 1, 0)]), int(curve.steps[min(lowest + 1, len(curve) - 1)])
    at = int(curve.steps[lowest])
    return min(math.floor(placed.low), at), max(math.ceil(placed.high), at)


def _past_zero(record: RunRecord, quantity: str, step: int | None) -> Curve | None:
    """A curve from step 1 up to a step; looks at step 0 have no place on a log axis."""
    curve = curve_until(record, quantity, step)
    if curve is None or not (curve.steps > 0).any():
        return None
    return curve.at_steps(curve.steps[curve.steps > 0])


def rise_seen(course: Course, curve: Curve, standard_errors: float) -> str:
    """By how much a loss that has not turned would have had to rise for it to be seen, 19 times out of 20."""
    needed = (standard_errors + CERTAIN) * course.error
    by = percent(math.expm1(needed)) if (curve.values > 0).all() else f"{percent(needed)} of its size"
    return f"A lasting rise of the held-out loss by {by} would have been seen."


def too_few(looks: int) -> str:
    """Say that noise is not known from so few looks."""
    there = f"there {'is' if looks == 1 else 'are'} {plural(looks, 'look')}"
    return f"Nothing could have been seen yet: {there}, and noise is known from {FEWEST_LOOKS} on."


def _check_standard_errors(number: float) -> None:
    if not 0 < number < np.inf:
        raise ConfigError(f"a loss rises by a number of standard errors above 0; got {number}.")
