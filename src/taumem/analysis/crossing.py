"""Where a share that only grows, such as that of copies, passes a threshold: by likelihood, whatever the sample size.

Between each look and the next the passage may lie, or before the first, or after the last. For each such gap the counts
are fitted by a share that grows from look to look, is at most the threshold before the gap and at least the threshold
after it; the gap of the largest likelihood holds the passage, and those that are nearly as likely make its interval.
What comes before the last look at which the share was certainly below the threshold does not count.
More samples narrow the interval; they do not move the passage, as a rule does that asks for a certain excess.

What chance gives is known from counts too. By how many standard errors it is off (the same at all looks, since the same
held-out items were counted) is one more unknown, with a normal penalty.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import ndtri, xlog1py, xlogy

from taumem.analysis.placing import Placed, left_censored, right_censored
from taumem.analysis.shares import exact_interval
from taumem.record import Curve

__all__ = ["crossing"]

ERRORS_OF_CHANCE = np.linspace(-3, 3, 25)
"""Standard errors by which chance may be off."""
NOT_YET = 2.71
"""Twice the log likelihood ratio up to which it is believed that nothing was passed yet (5 %, one-sided)."""

Floats = NDArray[np.float64]


def crossing(share: Curve, chance: Curve | float, threshold: float, confidence: float) -> Placed:
    """Place the step at which a share passes chance by a threshold, for good.

    Args:
        share: counted at each look, past step 0; at least one look.
        chance: at the same looks, with its interval; a number is taken for exact.
        threshold: above chance, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Returns:
        Right-censored where a run that never passed is nearly as likely, and left-censored where it had passed by the
        first look. Else located in the likeliest gap, where the growing fit crosses, linear in log step; the ends of
        its interval are looks.
    """
    levels, penalty = _levels(chance, len(share), threshold)
    start = _last_certainly_below(share, levels[len(levels) // 2])
    steps, levels = share.steps[start:].astype(float), levels[:, start:]
    x, n, last = np.log(steps), share.counts[start:].astype(float), len(steps)
    k = np.round(share.values[start:] * n)
    likelihood = np.empty((len(levels), last + 1))
    for before in range(last + 1):  # how many looks lie before the passage
        growing = [_growing(k[part], n[part]) for part in (slice(None, before), slice(before, None))]
        p = np.hstack([np.minimum(growing[0], levels[:, :before]), np.maximum(growing[1], levels[:, before:])])
        likelihood[:, before] = (xlogy(k, p) + xlog1py(n - k, -p)).sum(1) + penalty
    profile = likelihood.max(0)
    ratio = 2 * (profile.max() - profile)
    likeliest = int(np.argmin(ratio))
    # Two-sided, yet the gaps' widths come on top: simulations give 90 to 96 % where 90 are asked for.
    believed = np.flatnonzero(ratio <= float(ndtri(max(confidence, 0.5))) ** 2)
    low, high = float([0.0, *steps][believed[0]]), float([*steps, np.inf][believed[-1]])
    if ratio[last] <= NOT_YET:
        return right_censored(math.log(max(low, steps[0])))
    if likeliest == 0:
        return left_censored(float(x[0]))
    gap = slice(likeliest - 1, likeliest + 1)
    excess = _growing(k, n)[gap] - levels[int(np.argmax(likelihood[:, likeliest]))][gap]
    within = -excess[0] / (excess[1] - excess[0]) if excess[1] > excess[0] else 0.5
    at = float(x[likeliest - 1] + np.clip(within, 0, 1) * np.diff(x[gap])[0])
    return Placed(math.exp(at), low, high, "no")


def _last_certainly_below(share: Curve, level: Floats) -> int:
    """The last look at which it had not passed for certain, else the first: copies that vanish were no passage."""
    _, high = exact_interval(np.round(share.values * share.counts), share.counts)
    below = np.flatnonzero(high < level)
    return int(below[-1]) if len(below) else 0


def _growing(k: Floats, n: Floats) -> Floats:
    """The likeliest shares that never fall from look to look."""
    return isotonic_regression(k / n, weights=n).x if len(k) else k


def _levels(chance: Curve | float, n_looks: int, threshold: float) -> tuple[Floats, Floats]:
    """What is to be passed, for each error that chance may have [errors, looks], and the log penalty of each."""
    if not isinstance(chance, Curve):
        return np.full((1, n_looks), min(chance + threshold, 1.0)), np.zeros(1)
    low, high = exact_interval(np.round(chance.values * chance.counts), chance.counts)
    stated = np.isfinite(chance.low) & np.isfinite(chance.high)
    low, high = np.where(stated, chance.low, low), np.where(stated, chance.high, high)
    confidence = np.full(n_looks, 0.95) if chance.confidence is None else chance.confidence
    ends = ndtri((1 + np.where(stated, confidence, 0.95)) / 2)
    z = ERRORS_OF_CHANCE[:, None]
    off = np.where(z > 0, high - chance.values, chance.values - low) * z / ends
    return np.clip(chance.values + off + threshold, threshold, 1.0), -(ERRORS_OF_CHANCE**2) / 2
