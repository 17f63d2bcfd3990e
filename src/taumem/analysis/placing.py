"""Placing an onset among the looks: where a curve passes a threshold, and what the looks leave unknown."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taumem.errors import ConfigError

__all__ = [
    "Censoring",
    "Placed",
    "between_looks",
    "for_good",
    "last_passage",
    "left_censored",
    "located",
    "passage",
    "right_censored",
]

Floats = NDArray[np.float64]
Censoring = Literal["no", "interval", "left", "right"]


@dataclass(frozen=True)
class Placed:
    """When something set in: a step, or the bounds that the looks put on it.

    ``censored`` says how much is known:

    - ``no``: the step was located; [low, high] is its interval.
    - ``interval``: it lies between two looks, low < onset <= high; ``step`` is their geometric mean.
    - ``left``: it had set in by the first look; low is 0 and ``step`` equals high.
    - ``right``: it had not set in when the run ended; ``step`` equals low and high is infinite. A result, no failure.

    Attributes:
        step: optimizer steps.
        low: lower end, in steps.
        high: upper end, in steps; infinite where nothing bounds it.
        censored: see above.
    """

    step: float
    low: float
    high: float
    censored: Censoring

    @property
    def usable(self) -> bool:
        """Whether the onset has a location, rather than a bound on one side."""
        return self.censored in ("no", "interval")


def passage(values: Floats, resampled: Floats, threshold: float, x: Floats, confidence: float) -> Placed:
    """Place the last upward passage of a curve [looks], with its interval from resampled curves."""
    at = float(last_passage(x, values[None, :], threshold)[0])
    if at == math.inf:
        return right_censored(float(x[-1]))
    if at == -math.inf:
        return left_censored(float(x[0]))
    return located(at, last_passage(x, resampled, threshold), x, confidence)


def last_passage(x: Floats, values: Floats, threshold: float) -> Floats:
    """Where each row last passes the threshold upward: -inf if before x[0], inf if after x[-1]."""
    below = values < threshold
    last = values.shape[1] - 1 - np.argmax(below[:, ::-1], axis=1)
    left = np.minimum(last, len(x) - 2) if len(x) > 1 else np.zeros(len(values), dtype=np.intp)
    right = np.minimum(left + 1, len(x) - 1)
    row = np.arange(len(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (threshold - values[row, left]) / (values[row, right] - values[row, left])
    crossing = x[left] + np.clip(share, 0, 1) * (x[right] - x[left])
    crossing = np.where(last == len(x) - 1, np.inf, crossing)
    return np.where(below.any(axis=1), crossing, -np.inf)


def for_good(holds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether it holds at this look and at every later one."""
    return np.logical_and.accumulate(holds[::-1])[::-1]


def between_looks(steps: NDArray[np.generic], holds: NDArray[np.bool_]) -> Placed:
    """Place an onset between the last look without it and the first with it.

    Raises:
        ConfigError: no look is past step 0.
    """
    at = np.asarray(steps, dtype=float)
    at, holds = at[at > 0], holds[np.asarray(steps, dtype=float) > 0]
    if len(at) == 0:
        raise ConfigError("no look past step 0; a clock needs some.")
    if not holds.any():
        return right_censored(math.log(at[-1]))
    first = int(np.argmax(holds))
    if first == 0:
        return left_censored(math.log(at[0]))
    low, high = float(at[first - 1]), float(at[first])
    return Placed(math.sqrt(low * high), low, high, "interval")


def located(at: float, resampled: Floats, x: Floats, confidence: float) -> Placed:
    """The bootstrap's interval, and in quadrature half the distance between the looks around the onset."""
    # 'lower' and 'higher' never average an infinite resample with a finite one
    low = float(np.quantile(resampled, (1 - confidence) / 2, method="lower"))
    high = float(np.quantile(resampled, (1 + confidence) / 2, method="higher"))
    right = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
    spacing = float(x[right] - x[right - 1]) / 2
    low = at - math.hypot(max(at - low, 0), spacing)
    high = at + math.hypot(max(high - at, 0), spacing)
    return Placed(math.exp(at), math.exp(low), math.exp(high), "no")


def right_censored(log_bound: float) -> Placed:
    """An onset that the run did not reach: only a lower bound is known."""
    bound = round(math.exp(log_bound), 6)
    return Placed(bound, bound, math.inf, "right")


def left_censored(log_bound: float) -> Placed:
    """An onset before the first look: only an upper bound is known."""
    bound = round(math.exp(log_bound), 6)
    return Placed(bound, 0.0, bound, "left")
