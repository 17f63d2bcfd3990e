"""The clocks: rules that read an onset off a curve. Fixed before the studies that report them.

Each function takes curves and the header of the run they belong to, and returns an :class:`Onset`. Intervals
come from a bootstrap over items (the same items at every check, so that what items share over training stays
paired), and are widened by the distance between checks. Checks at step 0 are left out: they have no place on
a log axis.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from taumem.analysis.interval import check_confidence
from taumem.analysis.onset import Onset
from taumem.analysis.placing import between_checks, for_good, left_censored, located, passage, right_censored
from taumem.analysis.resampling import N_RESAMPLES, SEED, paired_shares, resampled_means, shares
from taumem.analysis.smoothing import FEWEST_CHECKS, HALF_WIDTH, quadratic_smoother, smoothed_and_residual
from taumem.analysis.twins import TwinLosses
from taumem.errors import ConfigError
from taumem.record import Curve, RunHeader

__all__ = ["tau_copy", "tau_gap", "tau_gap_sym", "tau_gen", "tau_infill", "tau_level", "tau_split", "tau_val"]

SIGNIFICANT = 2.0
"""Standard errors that count as significant (one-sided 2.3 %)."""
N_LAST = 2
"""Checks at the end whose mean is held against the minimum."""
LEARNED = 0.9
"""Share of the held-out loss's whole fall after which the first learning is done."""
LEVEL_REACHED = 0.5
"""Share of the samples that obey a grammar up to a level from which on the level counts as reached."""
STILL_AGREED = 0.9
"""Share of the highest agreement so far below which two models have parted."""

Floats = NDArray[np.float64]


def tau_gen(heldout_loss: Curve, run: RunHeader, *, confidence: float = 0.9) -> Onset:
    """Find where the first learning is done: the held-out loss has made 0.9 of its fall.

    Unlike the clocks of memorization it hardly depends on the size of the training set, and so it bounds from below
    what those can show at small sizes. While the loss still falls at the last check the onset is right-censored: the
    share is then one of the fall so far.

    Args:
        heldout_loss: with the loss of each item, at 5 checks or more. The fall is counted from its first check.
        run: the run it was measured in.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there are too few checks.
    """
    rule = f"The held-out loss first has made {LEARNED:g} of its fall from the first check to its minimum."
    check_confidence(confidence)
    x, items = _log_steps_and_items(heldout_loss, FEWEST_CHECKS)
    end = int(np.argmin(items.mean(1)))
    if end == 0:
        return left_censored("tau_gen", float(x[0]), rule, confidence, run)
    falling = items[: end + 1]
    means = resampled_means(falling, shares(items.shape[1], np.random.default_rng(SEED)))
    means = np.vstack([falling.mean(1), means])
    fallen = (means[:, :1] - means) / (means[:, :1] - means[:, -1:])
    onset = passage("tau_gen", fallen[0], fallen[1:], LEARNED, x[: end + 1], rule, confidence, run)
    if end == len(x) - 1 and onset.usable:
        return right_censored("tau_gen", math.log(onset.low), rule, confidence, run)
    return onset


def tau_val(heldout_loss: Curve, run: RunHeader, *, confidence: float = 0.9) -> Onset:
    """Find the minimum of the held-out loss.

    The curve is smoothed by a local quadratic in log step; its lowest point is the minimum. It is
    right-censored while the lowest point is at or next to the last check, or the rise after it is not
    significant: the mean of the last 2 checks less the minimum is at most 2 standard errors. The bound is
    then the lower end of the bootstrap interval, and at most the last check but one.

    Two kinds of noise enter the interval and the standard error: that of the items (paired: the same items
    and noise at every check), and that of the weights, which jitter from check to check and move all items
    alike. The latter shows as the distance of the checks from the smoothed curve; a wild bootstrap redraws
    it.

    Args:
        heldout_loss: with the loss of each item, at 5 checks or more.
        run: the run it was measured in.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or there are too few checks.
    """
    rule = (
        "Minimum of the held-out loss, smoothed by a local quadratic in log step over a factor of 2 to "
        "either side; it counts once the last 2 checks are above it by more than 2 standard errors."
    )
    check_confidence(confidence)
    x, items = _log_steps_and_items(heldout_loss, FEWEST_CHECKS)
    grid = np.linspace(x[0], x[-1], max(2, math.ceil((x[-1] - x[0]) / 0.005)) + 1)
    smoother = quadratic_smoother(x, grid)
    mean = items.mean(1)
    at = int(np.argmin(smoother @ mean))

    rng = np.random.default_rng(SEED)
    smoothed, residual = smoothed_and_residual(x, mean)
    wild = residual * rng.standard_normal((N_RESAMPLES, len(x)))
    resampled = smoothed + wild + resampled_means(items, shares(items.shape[1], rng)) - mean
    lowest = grid[np.argmin(resampled @ smoother.T, axis=1)]

    rise = items[-N_LAST:].mean(0) - smoother[at] @ items
    scatter = residual[x >= grid[at] - HALF_WIDTH].std()
    variance = rise.var(ddof=1) / len(rise) + scatter**2 * (1 / N_LAST + np.sum(smoother[at] ** 2))
    rises = rise.mean() > SIGNIFICANT * math.sqrt(variance)
    if grid[at] >= x[-2] or not rises:
        bound = min(float(np.quantile(lowest, (1 - confidence) / 2)), float(grid[at]), float(x[-2]))
        return right_censored("tau_val", bound, rule, confidence, run)
    if grid[at] <= x[0]:
        return left_censored("tau_val", float(x[1]), rule, confidence, run)
    return located("tau_val", float(grid[at]), lowest, x, rule, confidence, run)


def tau_gap(
    train_loss: Curve, heldout_loss: Curve, run: RunHeader, *, threshold: float, confidence: float = 0.9
) -> Onset:
    """Find where the relative gap 1 - train / held-out passes a threshold for good.

    Args:
        train_loss: with the loss of each item.
        heldout_loss: with the loss of each item, under the same noise.
        run: the run they were measured in.
        threshold: of the gap, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: per-item losses were not kept, or no check is at the same step.
    """
    check_confidence(confidence)
    _check_threshold(threshold)
    common = np.intersect1d(train_loss.steps, heldout_loss.steps)
    x, train = _log_steps_and_items(_at(train_loss, common), 1)
    _, heldout = _log_steps_and_items(_at(heldout_loss, common), 1)
    rng = np.random.default_rng(SEED)
    of_train, of_heldout = paired_shares(train.shape[1], heldout.shape[1], rng)
    resampled = 1 - resampled_means(train, of_train) / resampled_means(heldout, of_heldout)
    gap = 1 - train.mean(1) / heldout.mean(1)
    rule = (
        f"The relative gap 1 - train / held-out loss passes {threshold:g} for good (no later check is "
        "below), interpolated in log step."
    )
    return passage(f"tau_gap[{threshold:g}]", gap, resampled, threshold, x, rule, confidence, run)


def tau_gap_sym(twins: TwinLosses, run: RunHeader, *, threshold: float, confidence: float = 0.9) -> Onset:
    """Find where the symmetrized gap of two runs passes a threshold for good.

    Args:
        twins: the losses of both models on both sets.
        run: either run (they share the size, the seed and the batch size).
        threshold: of the gap, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: no check is past step 0.
    """
    check_confidence(confidence)
    _check_threshold(threshold)
    past = twins.steps > 0
    if not past.any():
        raise ConfigError("gap_sym: no check past step 0; a clock needs some.")
    x = np.log(twins.steps[past].astype(float))
    rng = np.random.default_rng(SEED)
    of_a, of_b = paired_shares(twins.a_on_a.shape[1], twins.b_on_b.shape[1], rng)
    own = resampled_means(twins.a_on_a[past], of_a) + resampled_means(twins.b_on_b[past], of_b)
    other = resampled_means(twins.b_on_a[past], of_a) + resampled_means(twins.a_on_b[past], of_b)
    rule = (
        f"The gap 1 - (L_A(A) + L_B(B)) / (L_B(A) + L_A(B)) of two models on disjoint sets passes "
        f"{threshold:g} for good (no later check is below), interpolated in log step."
    )
    gap = twins.gap().values[past]
    return passage(f"tau_gap_sym[{threshold:g}]", gap, 1 - own / other, threshold, x, rule, confidence, run)


def tau_copy(
    copy_fraction: Curve, chance: Curve | float, run: RunHeader, *, threshold: float, confidence: float = 0.9
) -> Onset:
    """Find when copies above chance exceed a threshold: between two checks.

    It has set in at the first check where the exact lower limit of the copy fraction less chance is above the
    threshold, provided that the fraction itself less chance stays above it from there on. Samples are drawn
    at few checks, so that the onset is known to lie between that check and the one before. The limit depends
    on the number of samples: compare runs that drew equally many.

    Args:
        copy_fraction: share of samples that are copies; ``low`` holds the exact lower limit (where it is
            missing, the Clopper-Pearson limit at 95 % two-sided is computed from the count).
        chance: the share that a model without copies would have under the same rule; a curve is taken look by look.
        run: the run it was measured in.
        threshold: share of samples above chance, in (0, 1).
        confidence: stated with the onset; the limit's own confidence is the probe's.

    Raises:
        ConfigError: no check is past step 0, or the two curves were measured at different steps.
    """
    clock = f"tau_copy[{threshold:g}]"
    return _above_chance(
        clock, "share of copies", copy_fraction, chance, run, threshold=threshold, confidence=confidence
    )


def tau_infill(
    infill_copies: Curve, chance: Curve | float, run: RunHeader, *, threshold: float, confidence: float = 0.9
) -> Onset:
    """Find when training texts that are put together from half of them exceed a threshold: between two checks.

    The rule is that of :func:`tau_copy`, for the share of training texts that the model completes from the visible
    part, above the share of held-out texts that it completes.

    Args:
        infill_copies: share of training texts that are recovered, with its exact lower limit in ``low``.
        chance: the same for held-out texts; a curve is taken look by look.
        run: the run it was measured in.
        threshold: share of texts above chance, in (0, 1).
        confidence: stated with the onset; the limit's own confidence is the probe's.

    Raises:
        ConfigError: no check is past step 0, or the two curves were measured at different steps.
    """
    clock, what = f"tau_infill[{threshold:g}]", "share of training texts that are completed from half of them"
    return _above_chance(clock, what, infill_copies, chance, run, threshold=threshold, confidence=confidence)


def tau_level(valid: Curve, run: RunHeader, *, grammar_level: int, confidence: float = 0.9) -> Onset:
    """Find when samples obey a grammar up to a level: between two checks.

    It is reached at the first check where the exact lower limit of the share of samples that do is above 1/2, provided
    that the share itself stays above it from there on. Copies of training strings obey the grammar too: a level that
    is reached only after tau_mem was copied, not learned.

    Args:
        valid: share of samples that parse up to the level, with its exact lower limit in ``low``.
        run: the run it was measured in.
        grammar_level: l, from 1 (pairs of tokens) to the depth of the grammar.
        confidence: stated with the onset; the limit's own confidence is the probe's.

    Raises:
        ConfigError: no check is past step 0.

    Reference: Favero et al. 2025, arXiv 2505.16959, section 5 (levels are learned in order).
    """
    check_confidence(confidence)
    rule = (
        f"The lower end of the exact 95 % interval of the share of samples that parse up to level {grammar_level} "
        f"exceeds {LEVEL_REACHED:g}, and the share itself does at every later check; known to lie between that check "
        "and the one before."
    )
    certain = _lower_limits(valid) > LEVEL_REACHED
    lasting = for_good(valid.values > LEVEL_REACHED)
    return between_checks(f"tau_level[{grammar_level}]", valid.steps, certain & lasting, rule, confidence, run)


def tau_split(agreement: Curve, run: RunHeader, *, learned: float = 0.0, confidence: float = 0.9) -> Onset:
    """Find when two models on disjoint sets start to disagree: between two checks.

    They have split at the first check where the agreement is below 0.9 of its highest value so far by more
    than 2 standard errors (of the difference, paired by sample), provided that it stays below 0.9 of its
    highest value at every later check. Models that have learned next to nothing agree as well, and come to differ
    while they learn: only checks from ``learned`` on count.

    Args:
        agreement: with the similarity of each pair; see :func:`taumem.analysis.agreement_curve`.
        run: either run.
        learned: the step at which both models' first learning is done (:func:`tau_gen`).
        confidence: stated with the onset.

    Raises:
        ConfigError: the similarity of each pair was not kept, or no check is past step 0.
    """
    rule = (
        "The agreement of two models on disjoint sets falls below 0.9 of its highest value so far, counted from the "
        "later tau_gen of the two, by more than 2 paired standard errors, and stays below; known to lie between that "
        "check and the one before."
    )
    check_confidence(confidence)
    x, items = _log_steps_and_items(agreement, 1)
    steps = np.round(np.exp(x))
    counted = steps >= learned
    if not counted.any():
        return right_censored("tau_split", float(x[-1]), rule, confidence, run)
    steps, items = steps[counted], items[counted]
    values = items.mean(1)
    highest = np.array([int(np.argmax(values[: k + 1])) for k in range(len(values))])
    drop = STILL_AGREED * items[highest] - items
    significant = drop.mean(1) > SIGNIFICANT * drop.std(axis=1, ddof=1) / math.sqrt(items.shape[1])
    split = significant & for_good(drop.mean(1) > 0)
    return between_checks("tau_split", steps, split, rule, confidence, run)


def _above_chance(
    clock: str, what: str, shares: Curve, chance: Curve | float, run: RunHeader, *, threshold: float, confidence: float
) -> Onset:
    """The first check where a share is above chance by a threshold: certainly there, and by its value ever after."""
    check_confidence(confidence)
    _check_threshold(threshold)
    if isinstance(chance, Curve) and not np.array_equal(chance.steps, shares.steps):
        raise ConfigError("the copies and their chance level were measured at different steps; measure both at each.")
    floor = chance.values if isinstance(chance, Curve) else float(chance)
    rule = (
        f"The lower end of the exact 95 % interval of the {what} exceeds chance by {threshold:g}, and the "
        "share itself does at every later check; known to lie between that check and the one before."
    )
    certain = _lower_limits(shares) - floor > threshold
    lasting = for_good(shares.values - floor > threshold)
    return between_checks(clock, shares.steps, certain & lasting, rule, confidence, run)


def _log_steps_and_items(curve: Curve, fewest: int) -> tuple[Floats, Floats]:
    if curve.items is None or curve.items.shape[1] < 2:
        raise ConfigError(f"'{curve.quantity}' was recorded without the values of its items; a clock needs them.")
    past = curve.steps > 0
    if past.sum() < fewest:
        raise ConfigError(f"'{curve.quantity}': {past.sum()} check(s) past step 0; this clock needs {fewest}.")
    return np.log(curve.steps[past].astype(float)), curve.items[past]


def _at(curve: Curve, steps: NDArray[np.int64]) -> Curve:
    kept = np.isin(curve.steps, steps)
    columns = {name: column[kept] for name, column in curve.__dict__.items() if isinstance(column, np.ndarray)}
    return Curve(quantity=curve.quantity, **columns)


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise ConfigError(f"a threshold is a share between 0 and 1, such as 0.2; got {threshold}.")


def _lower_limits(share: Curve) -> Floats:
    n = share.counts
    k = np.round(share.values * n)
    exact = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, 0.025), 0.0)
    return np.where(np.isfinite(share.low), share.low, exact)
