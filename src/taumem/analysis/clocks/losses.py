"""Clocks that are read off losses: the minimum of the held-out loss, and the gap between training and held-out loss.

Whether something happened is asked first, against the noise of items and of weights; where it happened comes after.
Intervals come from a bootstrap over items (the same items at every look, so that what items share over training stays
paired), and are widened by the distance between looks. Looks at step 0 are left out: they have no place on a log axis.
"""

import math

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.clocks.curves import check_threshold, log_steps_and_items
from taumem.analysis.course import CERTAIN, FEWEST_LOOKS, Course, half_doubling, jitter, looks_per_doubling
from taumem.analysis.interval import check_confidence
from taumem.analysis.placing import Placed, last_passage, left_censored, located, passage, right_censored
from taumem.analysis.resampling import paired_shares, resampled_means, shares, signs_and_shares
from taumem.analysis.smoothing import quadratic_smoother, smoothed_and_residual
from taumem.analysis.twins import TwinLosses
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = [
    "LEARNED",
    "MIDWAY",
    "TURNED",
    "midway",
    "passed_for_certain",
    "tau_gap",
    "tau_gap_base",
    "tau_gap_grown",
    "tau_gap_sym",
    "tau_gen",
    "tau_val",
]

TURNED = 4.0
"""Standard errors by which a loss must have risen, or fallen, to have done so (docs/clocks.md has the error rates)."""
LEARNED = 0.9
"""Share of the held-out loss's whole fall after which the first learning is done."""
MIDWAY = 0.8
"""Share of the fall around which a gap that is compared with itself is taken for the first time."""

Floats = NDArray[np.float64]


def tau_gen(heldout_loss: Curve, *, confidence: float = 0.9) -> Placed:
    """Find where the first learning is done: the held-out loss has made 0.9 of its fall.

    Unlike the clocks of memorization it hardly depends on the size of the training set, and so it bounds from below
    what those can show at small sizes. It is located once the fall is over: the loss has turned (as for ``tau_val``),
    or its last doubling of the steps made less than a tenth of the whole fall, for certain. Before that it is
    right-censored: the share is then one of the fall so far. A loss that never fell by more than 4 standard errors has
    learned by its first look if it rose from there, and else not yet.

    Args:
        heldout_loss: with the loss of each item, at 8 looks or more. The fall is counted from its first look.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there are too few looks.
    """
    check_confidence(confidence)
    x, items = log_steps_and_items(heldout_loss, FEWEST_LOOKS)
    course = Course.of(x, items)
    turned, end = course.rise > TURNED, int(np.argmin(items.mean(1)))
    if course.fall <= TURNED or end == 0:
        return left_censored(float(x[0])) if turned else right_censored(float(x[0]))
    falling = items[: end + 1]
    means = np.vstack([falling.mean(1), resampled_means(falling, shares(items.shape[1]))])
    fallen = (means[:, :1] - means) / (means[:, :1] - means[:, -1:])
    onset = passage(fallen[0], fallen[1:], LEARNED, x[: end + 1], confidence)
    if onset.usable and not (turned or course.has_settled(1 - LEARNED)):
        return right_censored(math.log(onset.low))
    return onset


def tau_val(heldout_loss: Curve, *, confidence: float = 0.9) -> Placed:
    """Find the minimum of the held-out loss.

    It is located once the loss has turned: at the last looks (half a doubling of the steps) it is above its lowest by
    more than 4 standard errors, of the items and of the jitter of the weights. Until then it is right-censored; the
    bound is the lower end of the bootstrap interval, and at most the last look but one.

    The curve is smoothed by a local quadratic in log step; its lowest point is the minimum. Two kinds of noise enter
    the interval: that of the items (paired: the same items and noise at every look), and that of the weights, which
    jitter from look to look and move all items alike. The latter shows as the distance of the looks from the smoothed
    curve; a wild bootstrap redraws it.

    Args:
        heldout_loss: with the loss of each item, at 8 looks or more.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there are too few looks.
    """
    check_confidence(confidence)
    x, items = log_steps_and_items(heldout_loss, FEWEST_LOOKS)
    grid = np.linspace(x[0], x[-1], max(2, math.ceil((x[-1] - x[0]) / 0.005)) + 1)
    smoother = quadratic_smoother(x, grid)
    mean = items.mean(1)
    at = float(grid[np.argmin(smoother @ mean)])

    smoothed, residual = smoothed_and_residual(x, mean)
    signs, share = signs_and_shares(len(x), items.shape[1])
    resampled = smoothed + residual * signs + resampled_means(items, share) - mean
    lowest = grid[np.argmin(resampled @ smoother.T, axis=1)]

    if at >= x[-2] or Course.of(x, items).rise <= TURNED:
        return right_censored(min(float(np.quantile(lowest, (1 - confidence) / 2)), at, float(x[-2])))
    if at <= x[0]:
        return left_censored(float(x[1]))
    return located(at, lowest, x, confidence)


def tau_gap(train_loss: Curve, heldout_loss: Curve, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find where the relative gap 1 - train / held-out passes a threshold for good.

    It is located where the gap at the last looks is above the threshold for certain (95 %, one-sided).

    Args:
        train_loss: with the loss of each item.
        heldout_loss: with the loss of each item, under the same noise.
        threshold: of the gap, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or no look is at the same step.
    """
    x, _, ratios = _ratios(train_loss, heldout_loss)
    return passed_for_certain(x, 1 - ratios, threshold, confidence)


def tau_gap_grown(train_loss: Curve, heldout_loss: Curve, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find where the gap has grown by a threshold since the model was learning what the sets have in common.

    A small training set is easier or harder than the held-out set by chance, which moves :func:`tau_gap`. Here train /
    held-out is divided by what it was (in geometric mean) at the three looks around 0.8 of the held-out loss's fall;
    once 1 - that passes the threshold for good, as in :func:`tau_gap`, the clock strikes.

    Args:
        train_loss: with the loss of each item.
        heldout_loss: with the loss of each item, under the same noise.
        threshold: of the growth, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there are fewer than 3 looks at the same steps.
    """
    x, heldout, ratios = _ratios(train_loss, heldout_loss, fewest=3)
    at = midway(heldout)
    before = ratios[:, at - 1 : at + 2].prod(1, keepdims=True) ** (1 / 3)
    return passed_for_certain(
        x, 1 - np.divide(ratios, before, out=ratios.copy(), where=before > 0), threshold, confidence
    )


def tau_gap_base(train_loss: Curve, heldout_loss: Curve, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find where the gap has grown by a threshold since step 0: of a run that starts from a pretrained model.

    A pretrained model knows something from the first step on, and may find the training set easier or harder than the
    held-out set. Here train / held-out is divided by what it was at step 0; once 1 - that passes the threshold for
    good, as in :func:`tau_gap`, the clock strikes.

    Args:
        train_loss: with the loss of each item, at step 0 too.
        heldout_loss: with the loss of each item, under the same noise, at step 0 too.
        threshold: of the growth, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there is no common look at step 0, or none after it.
    """
    x, _, ratios = _ratios(train_loss, heldout_loss)
    started = [curve.at_steps(np.zeros(1, np.int64)).items for curve in (train_loss, heldout_loss) if 0 in curve.steps]
    train, heldout = [items for items in started if items is not None] if len(started) == 2 else (None, None)
    if train is None or heldout is None:
        raise ConfigError("tau_gap_base compares with the losses at step 0; there was no look at it.")
    return passed_for_certain(x, 1 - ratios / _resampled_ratios(train, heldout), threshold, confidence)


def tau_gap_sym(twins: TwinLosses, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find where the symmetrized gap of two runs passes a threshold for good.

    It is located where the gap at the last looks is above the threshold for certain (95 %, one-sided).

    Args:
        twins: the losses of both models on both sets.
        threshold: of the gap, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: no look is past step 0.
    """
    past = twins.steps > 0
    if not past.any():
        raise ConfigError("gap_sym: no look past step 0; a clock needs some.")
    x = np.log(twins.steps[past].astype(float))
    of_a, of_b = paired_shares(twins.a_on_a.shape[1], twins.b_on_b.shape[1])
    own = resampled_means(twins.a_on_a[past], of_a) + resampled_means(twins.b_on_b[past], of_b)
    other = resampled_means(twins.b_on_a[past], of_a) + resampled_means(twins.a_on_b[past], of_b)
    return passed_for_certain(x, np.vstack([twins.gap().values[past], 1 - own / other]), threshold, confidence)


def midway(heldout: Floats) -> int:
    """The look, neither first nor last, at which a held-out loss [looks] has made 0.8 of its fall: 3 looks or more."""
    fallen = heldout[0] - MIDWAY * (heldout[0] - heldout.min())
    return min(max(int(np.argmax(heldout <= fallen)), 1), len(heldout) - 2)


def passed_for_certain(x: Floats, gaps: Floats, threshold: float, confidence: float) -> Placed:
    """Place the passage of a curve, as measured (row 0) and resampled, if the last looks show it for certain."""
    check_confidence(confidence)
    check_threshold(threshold)
    measured, resampled = gaps[0], gaps[1:]
    per_doubling = looks_per_doubling(x) if len(x) > 1 else 1.0
    last = slice(-min(half_doubling(per_doubling), len(x)), None)
    se = math.hypot(float(resampled[:, last].mean(1).std()), jitter(measured, per_doubling))
    if float(measured[last].mean()) - CERTAIN * se > threshold:
        return passage(measured, resampled, threshold, x, confidence)
    earliest = float(np.quantile(last_passage(x, resampled, threshold), (1 - confidence) / 2, method="lower"))
    return right_censored(float(np.clip(earliest, x[0], x[-1])))


def _ratios(train_loss: Curve, heldout_loss: Curve, *, fewest: int = 1) -> tuple[Floats, Floats, Floats]:
    """At the looks that both have: log steps, the held-out loss, and train / held-out as measured and resampled."""
    common = np.intersect1d(train_loss.steps, heldout_loss.steps)
    x, train = log_steps_and_items(train_loss.at_steps(common), fewest)
    _, heldout = log_steps_and_items(heldout_loss.at_steps(common), fewest)
    return x, heldout.mean(1), _resampled_ratios(train, heldout)


def _resampled_ratios(train: Floats, heldout: Floats) -> Floats:
    """Train / held-out of each look, as measured (row 0) and for resampled items: the same ones at every look."""
    of_train, of_heldout = paired_shares(train.shape[1], heldout.shape[1])
    resampled = resampled_means(train, of_train) / resampled_means(heldout, of_heldout)
    return np.vstack([train.mean(1) / heldout.mean(1), resampled])
