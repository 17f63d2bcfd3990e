"""Clocks that are read off samples: copies, completed texts, levels of a grammar, and models that part.

Samples are drawn at few looks, so that an onset is known to lie between the look that shows it and the one before.
"""

import math

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.clocks.curves import SIGNIFICANT, check_threshold, log_steps_and_items
from taumem.analysis.placing import Placed, between_looks, for_good, right_censored
from taumem.analysis.shares import above_chance, lower_limits
from taumem.record import Curve

__all__ = ["tau_copy", "tau_infill", "tau_level", "tau_split"]

LEVEL_REACHED = 0.5
"""Share of the samples that obey a grammar up to a level from which on the level counts as reached."""
STILL_AGREED = 0.9
"""Share of the highest agreement so far below which two models have parted."""

Floats = NDArray[np.float64]


def tau_copy(copy_fraction: Curve, chance: Curve | float, *, threshold: float) -> Placed:
    """Find when copies above chance exceed a threshold: between two looks.

    It has set in at the first look where the exact lower limit of the copy fraction less chance is above the
    threshold, provided that the fraction itself less chance stays above it from there on. The limit depends
    on the number of samples: compare runs that drew equally many.

    Args:
        copy_fraction: share of samples that are copies; ``low`` holds the exact lower limit (where it is
            missing, the Clopper-Pearson limit at 95 % two-sided is computed from the count).
        chance: the share that a model without copies would have under the same rule; a curve is taken look by look.
        threshold: share of samples above chance, in (0, 1).

    Raises:
        ConfigError: no look is past step 0, or none has both curves.
    """
    check_threshold(threshold)
    above = above_chance(copy_fraction, chance)
    return between_looks(above.steps, (above.low > threshold) & for_good(above.values > threshold))


def tau_infill(infill_copies: Curve, chance: Curve | float, *, threshold: float) -> Placed:
    """Find when training texts that are put together from half of them exceed a threshold: between two looks.

    The rule is that of :func:`tau_copy`, for the share of training texts that the model completes from the visible
    part, above the share of held-out texts that it completes.

    Args:
        infill_copies: share of training texts that are recovered, with its exact lower limit in ``low``.
        chance: the same for held-out texts; a curve is taken look by look.
        threshold: share of texts above chance, in (0, 1).

    Raises:
        ConfigError: no look is past step 0, or none has both curves.
    """
    return tau_copy(infill_copies, chance, threshold=threshold)


def tau_level(valid: Curve) -> Placed:
    """Find when samples obey a grammar up to a level: between two looks.

    It is reached at the first look where the exact lower limit of the share of samples that do is above 1/2, provided
    that the share itself stays above it from there on. Copies of training strings obey the grammar too: a level that
    is reached only after tau_mem was copied, not learned.

    Args:
        valid: share of samples that parse up to the level, with its exact lower limit in ``low``.

    Raises:
        ConfigError: no look is past step 0.

    Reference: Favero et al. 2025, arXiv 2505.16959, section 5 (levels are learned in order).
    """
    certain = lower_limits(valid) > LEVEL_REACHED
    return between_looks(valid.steps, certain & for_good(valid.values > LEVEL_REACHED))


def tau_split(agreement: Curve, *, learned: float = 0.0) -> Placed:
    """Find when two models on disjoint sets start to disagree: between two looks.

    They have split at the first look where the agreement is below 0.9 of its highest value so far by more
    than 2 standard errors (of the difference, paired by sample), provided that it stays below 0.9 of its
    highest value at every later look. Models that have learned next to nothing agree as well, and come to differ
    while they learn: only looks from ``learned`` on count.

    Args:
        agreement: with the similarity of each pair; see :func:`taumem.analysis.agreement_curve`.
        learned: the step at which both models' first learning is done (:func:`tau_gen`).

    Raises:
        ConfigError: the similarity of each pair was not kept, or no look is past step 0.
    """
    x, items = log_steps_and_items(agreement, 1)
    steps = np.round(np.exp(x))
    counted = steps >= learned
    if not counted.any():
        return right_censored(float(x[-1]))
    steps, items = steps[counted], items[counted]
    values = items.mean(1)
    highest = np.array([int(np.argmax(values[: k + 1])) for k in range(len(values))])
    drop = STILL_AGREED * items[highest] - items
    significant = drop.mean(1) > SIGNIFICANT * drop.std(axis=1, ddof=1) / math.sqrt(items.shape[1])
    return between_looks(steps, significant & for_good(drop.mean(1) > 0))
