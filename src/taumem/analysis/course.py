"""The course of a loss over training: how far it fell and rose, in units of its noise. No resampling, microseconds.

Two kinds of noise move a mean loss from look to look. Items are drawn, and their own part is known from their scatter.
Weights jitter, which moves all items alike and lasts for several looks; it shows in two ways: as the distance from a
smooth curve (third differences, robust), and as swings against the course that a loss should take, down to its lowest
and up from there. The larger of the two counts: a chosen minimum can so be held against the last looks although it was
chosen.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CERTAIN",
    "FEWEST_LOOKS",
    "LASTING",
    "ROUNDING",
    "SPIKE",
    "Course",
    "half_doubling",
    "jitter",
    "looks_per_doubling",
]

FEWEST_LOOKS = 8
"""Looks past step 0, below which the noise of a course is not known."""
LASTING = 3
"""Looks that a rise must have lasted, at least, where one asks at every look: one or two that spike are no turn."""
CERTAIN = 1.645
"""Standard errors from the limit that is passed with a probability of 95 %."""
SPIKE = 0.25
"""Share of a rise that each of the last looks must have made."""
ROUNDING = 1e-7
"""Relative error of a recorded loss: no course is known better than that."""

Floats = NDArray[np.float64]


def looks_per_doubling(x: Floats) -> float:
    """How many looks there are on average while the steps double.

    Args:
        x: log steps of the looks, ascending, at least 2.
    """
    return (len(x) - 1) * math.log(2) / float(x[-1] - x[0])


def half_doubling(per_doubling: float) -> int:
    """How many looks there are in half a doubling of the steps, 2 at least.

    Args:
        per_doubling: looks while the steps double.
    """
    return max(2, round(per_doubling / 2))


def jitter(values: Floats, per_doubling: float) -> float:
    """The standard deviation of single looks about a smooth curve; 0 where fewer than 6 looks cannot tell.

    From the median of third differences, which no quadratic has and a few fast changes do not move; between
    neighbors, and up to half a doubling apart, since jitter that lasts hides from neighbors.

    Args:
        values: at each look.
        per_doubling: looks while the steps double.
    """
    largest = 0.0
    for lag in range(1, half_doubling(per_doubling) + 1):
        if len(values) < 3 * lag + 3:
            break
        third = np.diff(np.lib.stride_tricks.sliding_window_view(values, 3 * lag + 1)[:, ::lag], n=3, axis=1)[:, 0]
        # Of independent looks a third difference has 1 + 9 + 9 + 1 times their variance; few differences know it badly.
        sd = float(np.median(np.abs(third))) / (0.6745 * math.sqrt(20))
        largest = max(largest, sd * math.sqrt(1 + 8 / len(third)))
    return largest


@dataclass(frozen=True, eq=False)
class Course:
    """A held-out loss over training, averaged over windows of half a doubling of the steps (2 looks at least).

    Attributes:
        x: log steps of the looks, ascending.
        values: of the loss at each look: its logarithm where it is positive, else in units of its largest size.
        items: the loss of each item over the mean of its look (or over that size) [looks, items].
    """

    x: Floats
    values: Floats
    items: Floats

    @classmethod
    def of(cls, x: Floats, losses: Floats) -> "Course":
        """Follow a loss.

        Args:
            x: log steps of the looks, ascending, at least 8.
            losses: of each item [looks, items], at least 2 items.
        """
        mean = losses.mean(1)
        if (mean > 0).all():
            return cls(x, np.log(mean), losses / mean[:, None])
        size = float(np.abs(mean).max()) or 1.0
        return cls(x, mean / size, losses / size)

    @classmethod
    def of_mean(cls, x: Floats, mean: Floats) -> "Course":
        """Follow a loss of which the mean alone is known: what of its noise its items make shows in its jitter, or not.

        Args:
            x: log steps of the looks, ascending, at least 8.
            mean: of the loss at each look.
        """
        return cls.of(x, np.repeat(mean[:, None], 2, axis=1))

    @property
    def rise(self) -> float:
        """By how much the last window is above the lowest one before it, in standard errors.

        0 where a look of the last window is not: one that has made less than a quarter of the rise shows a spike.
        """
        return self._z(len(self._means) - 1, self.lowest) if self.has_risen_for(self.window) else 0.0

    def has_risen_for(self, looks: int) -> bool:
        """Whether each of the last looks has made a quarter of the rise, at least: fewer that spike are no rise.

        Args:
            looks: how many.
        """
        lowest = self._means[self.lowest]
        return bool(self.values[-looks:].min() - lowest > SPIKE * (self._means[-1] - lowest))

    @property
    def error(self) -> float:
        """The standard error that a rise in the last window would have, in units of ``values``.

        A loss that falls on counts as noise where it is held against a rise; here it does not.
        """
        noise = self._noise_about(int(np.argmin(self._means)))
        return math.hypot(noise, math.sqrt(self._variance_between(len(self._means) - 1, self.lowest)))

    @property
    def fall(self) -> float:
        """By how much the first window is above the lowest one, in standard errors; 0 where the two overlap."""
        lowest = int(np.argmin(self._means))
        return self._z(0, lowest) if lowest >= self.window else 0.0

    @cached_property
    def lowest(self) -> int:
        """The lowest window that does not overlap the last one."""
        return int(np.argmin(self._means[: -self.window]))

    def has_settled(self, share: float) -> bool:
        """Whether the last doubling made less than a share of the whole fall, for certain (95 %, one-sided)."""
        doublings = np.ceil((self.x[-1] - self.x) / math.log(2) + 1e-9)
        last, before = doublings == 1, doublings == 2
        if not before.any():
            return False
        drop = float(self.values[before].mean() - self.values[last].mean())
        of_items = self._variance(self.items[before].mean(0) - self.items[last].mean(0))
        se = math.sqrt(self.noise**2 * (1 / last.sum() + 1 / before.sum()) + of_items)
        return drop + CERTAIN * se < share * float(self._means[0] - self._means.min())

    @cached_property
    def noise(self) -> float:
        """Standard deviation of a window that all items share: of single looks, and of swings against the course."""
        return self._noise_about(self.lowest)

    @property
    def window(self) -> int:
        """Looks in a window."""
        return min(half_doubling(looks_per_doubling(self.x)), len(self.x) // 4)

    @cached_property
    def _means(self) -> Floats:
        return np.asarray(np.lib.stride_tricks.sliding_window_view(self.values, self.window).mean(1))

    def _noise_about(self, lowest: int) -> float:
        down, up = self._means[: lowest + 1], self._means[lowest:]
        swing = max(np.max(down - np.minimum.accumulate(down)), np.max(np.maximum.accumulate(up) - up))
        return max(jitter(self.values, looks_per_doubling(self.x)), float(swing), ROUNDING)

    def _z(self, later: int, earlier: int) -> float:
        return float(self._means[later] - self._means[earlier]) / self._error(later, earlier)

    def _error(self, later: int, earlier: int) -> float:
        return math.sqrt(self.noise**2 + self._variance_between(later, earlier))

    def _variance_between(self, later: int, earlier: int) -> float:
        both = tuple(self.items[k : k + self.window].mean(0) for k in (later, earlier))
        return self._variance(both[0] - both[1])

    def _variance(self, difference: Floats) -> float:
        return float(difference.var(ddof=1)) / len(difference)
