"""Placing an onset among the checks: where a curve passes a threshold, and what the checks leave unknown."""

import math

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.onset import Censoring, Onset
from taumem.errors import ConfigError
from taumem.record import RunHeader

__all__ = [
    "between_checks",
    "for_good",
    "last_passage",
    "left_censored",
    "located",
    "passage",
    "right_censored",
]

Floats = NDArray[np.float64]


def passage(
    clock: str,
    values: Floats,
    resampled: Floats,
    threshold: float,
    x: Floats,
    rule: str,
    confidence: float,
    run: RunHeader,
) -> Onset:
    """Place the last upward passage of a curve [checks], with its interval from resampled curves."""
    at = float(last_passage(x, values[None, :], threshold)[0])
    if at == math.inf:
        return right_censored(clock, float(x[-1]), rule, confidence, run)
    if at == -math.inf:
        return left_censored(clock, float(x[0]), rule, confidence, run)
    return located(clock, at, last_passage(x, resampled, threshold), x, rule, confidence, run)


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
    """Whether it holds at this check and at every later one."""
    return np.logical_and.accumulate(holds[::-1])[::-1]


def between_checks(
    clock: str, steps: NDArray[np.generic], holds: NDArray[np.bool_], rule: str, confidence: float, run: RunHeader
) -> Onset:
    """Place an onset between the last check without it and the first with it."""
    at = np.asarray(steps, dtype=float)
    at, holds = at[at > 0], holds[np.asarray(steps, dtype=float) > 0]
    if len(at) == 0:
        raise ConfigError(f"{clock}: no check past step 0; a clock needs some.")
    if not holds.any():
        return right_censored(clock, math.log(at[-1]), rule, confidence, run)
    first = int(np.argmax(holds))
    if first == 0:
        return left_censored(clock, math.log(at[0]), rule, confidence, run)
    low, high = float(at[first - 1]), float(at[first])
    return _onset(clock, math.sqrt(low * high), low, high, "interval", rule, confidence, run)


def located(clock: str, at: float, resampled: Floats, x: Floats, rule: str, confidence: float, run: RunHeader) -> Onset:
    """The bootstrap's interval, and in quadrature half the distance between the checks around the onset."""
    # 'lower' and 'higher' never average an infinite resample with a finite one
    low = float(np.quantile(resampled, (1 - confidence) / 2, method="lower"))
    high = float(np.quantile(resampled, (1 + confidence) / 2, method="higher"))
    right = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
    spacing = float(x[right] - x[right - 1]) / 2
    low = at - math.hypot(max(at - low, 0), spacing)
    high = at + math.hypot(max(high - at, 0), spacing)
    return _onset(clock, math.exp(at), math.exp(low), math.exp(high), "no", rule, confidence, run)


def right_censored(clock: str, log_bound: float, rule: str, confidence: float, run: RunHeader) -> Onset:
    """An onset that the run did not reach: only a lower bound is known."""
    bound = round(math.exp(log_bound), 6)
    return _onset(clock, bound, bound, math.inf, "right", rule, confidence, run)


def left_censored(clock: str, log_bound: float, rule: str, confidence: float, run: RunHeader) -> Onset:
    """An onset before the first check: only an upper bound is known."""
    bound = round(math.exp(log_bound), 6)
    return _onset(clock, bound, 0.0, bound, "left", rule, confidence, run)


def _onset(
    clock: str,
    step: float,
    low: float,
    high: float,
    censored: Censoring,
    rule: str,
    confidence: float,
    run: RunHeader,
) -> Onset:
    half = f" half={run.half}" if run.half else ""
    return Onset(
        clock=clock,
        step=step,
        low=low,
        high=high,
        censored=censored,
        n_train=run.data.n_train,
        batch_size=run.batch_size,
        rule=rule,
        confidence=confidence,
        source=f"{run.name} P={run.data.n_train} seed={run.seed}{half}",
        seed=run.seed,
        data=run.data.name,
        weights=run.weights,
    )
