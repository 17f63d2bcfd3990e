"""Clocks that are read off losses: the minimum of the held-out loss, and the gap between training and held-out loss.

Intervals come from a bootstrap over items (the same items at every look, so that what items share over training stays
paired), and are widened by the distance between looks. Looks at step 0 are left out: they have no place on a log axis.
"""

import math

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.clocks.curves import SIGNIFICANT, check_threshold, log_steps_and_items
from taumem.analysis.interval import check_confidence
from taumem.analysis.placing import Placed, left_censored, located, passage, right_censored
from taumem.analysis.resampling import paired_shares, resampled_means, shares, signs_and_shares
from taumem.analysis.smoothing import FEWEST_LOOKS, HALF_WIDTH, quadratic_smoother, smoothed_and_residual
from taumem.analysis.twins import TwinLosses
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["LEARNED", "tau_gap", "tau_gap_sym", "tau_gen", "tau_val"]

N_LAST = 2
"""Looks at the end whose mean is held against the minimum."""
LEARNED = 0.9
"""Share of the held-out loss's whole fall after which the first learning is done."""

Floats = NDArray[np.float64]


def tau_gen(heldout_loss: Curve, *, confidence: float = 0.9) -> Placed:
    """Find where the first learning is done: the held-out loss has made 0.9 of its fall.

    Unlike the clocks of memorization it hardly depends on the size of the training set, and so it bounds from below
    what those can show at small sizes. While the loss still falls at the last look the onset is right-censored: the
    share is then one of the fall so far.

    Args:
        heldout_loss: with the loss of each item, at 5 looks or more. The fall is counted from its first look.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there are too few looks.
    """
    check_confidence(confidence)
    x, items = log_steps_and_items(heldout_loss, FEWEST_LOOKS)
    end = int(np.argmin(items.mean(1)))
    if end == 0:
        return left_censored(float(x[0]))
    falling = items[: end + 1]
    means = np.vstack([falling.mean(1), resampled_means(falling, shares(items.shape[1]))])
    fallen = (means[:, :1] - means) / (means[:, :1] - means[:, -1:])
    onset = passage(fallen[0], fallen[1:], LEARNED, x[: end + 1], confidence)
    if end == len(x) - 1 and onset.usable:
        return right_censored(math.log(onset.low))
    return onset


def tau_val(heldout_loss: Curve, *, confidence: float = 0.9) -> Placed:
    """Find the minimum of the held-out loss.

    The curve is smoothed by a local quadratic in log step; its lowest point is the minimum. It is
    right-censored while the lowest point is at or next to the last look, or the rise after it is not
    significant: the mean of the last 2 looks less the minimum is at most 2 standard errors. The bound is
    then the lower end of the bootstrap interval, and at most the last look but one.

    Two kinds of noise enter the interval and the standard error: that of the items (paired: the same items
    and noise at every look), and that of the weights, which jitter from look to look and move all items
    alike. The latter shows as the distance of the looks from the smoothed curve; a wild bootstrap redraws
    it.

    Args:
        heldout_loss: with the loss of each item, at 5 looks or more.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there are too few looks.
    """
    check_confidence(confidence)
    x, items = log_steps_and_items(heldout_loss, FEWEST_LOOKS)
    grid = np.linspace(x[0], x[-1], max(2, math.ceil((x[-1] - x[0]) / 0.005)) + 1)
    smoother = quadratic_smoother(x, grid)
    mean = items.mean(1)
    at = int(np.argmin(smoother @ mean))

    smoothed, residual = smoothed_and_residual(x, mean)
    signs, share = signs_and_shares(len(x), items.shape[1])
    resampled = smoothed + residual * signs + resampled_means(items, share) - mean
    lowest = grid[np.argmin(resampled @ smoother.T, axis=1)]

    rise = items[-N_LAST:].mean(0) - smoother[at] @ items
    scatter = residual[x >= grid[at] - HALF_WIDTH].std()
    variance = rise.var(ddof=1) / len(rise) + scatter**2 * (1 / N_LAST + np.sum(smoother[at] ** 2))
    rises = rise.mean() > SIGNIFICANT * math.sqrt(variance)
    if grid[at] >= x[-2] or not rises:
        return right_censored(min(float(np.quantile(lowest, (1 - confidence) / 2)), float(grid[at]), float(x[-2])))
    if grid[at] <= x[0]:
        return left_censored(float(x[1]))
    return located(float(grid[at]), lowest, x, confidence)


def tau_gap(train_loss: Curve, heldout_loss: Curve, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find where the relative gap 1 - train / held-out passes a threshold for good.

    Args:
        train_loss: with the loss of each item.
        heldout_loss: with the loss of each item, under the same noise.
        threshold: of the gap, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or no look is at the same step.
    """
    check_confidence(confidence)
    check_threshold(threshold)
    common = np.intersect1d(train_loss.steps, heldout_loss.steps)
    x, train = log_steps_and_items(train_loss.at_steps(common), 1)
    _, heldout = log_steps_and_items(heldout_loss.at_steps(common), 1)
    of_train, of_heldout = paired_shares(train.shape[1], heldout.shape[1])
    resampled = 1 - resampled_means(train, of_train) / resampled_means(heldout, of_heldout)
    return passage(1 - train.mean(1) / heldout.mean(1), resampled, threshold, x, confidence)


def tau_gap_sym(twins: TwinLosses, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find where the symmetrized gap of two runs passes a threshold for good.

    Args:
        twins: the losses of both models on both sets.
        threshold: of the gap, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: no look is past step 0.
    """
    check_confidence(confidence)
    check_threshold(threshold)
    past = twins.steps > 0
    if not past.any():
        raise ConfigError("gap_sym: no look past step 0; a clock needs some.")
    x = np.log(twins.steps[past].astype(float))
    of_a, of_b = paired_shares(twins.a_on_a.shape[1], twins.b_on_b.shape[1])
    own = resampled_means(twins.a_on_a[past], of_a) + resampled_means(twins.b_on_b[past], of_b)
    other = resampled_means(twins.b_on_a[past], of_a) + resampled_means(twins.a_on_b[past], of_b)
    return passage(twins.gap().values[past], 1 - own / other, threshold, x, confidence)
