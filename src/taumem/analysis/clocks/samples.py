"""Clocks that are read off samples: copies, completed texts, levels of a grammar, and models that part.

Samples are drawn at few looks and are counted, so that an onset is placed by the likelihood of the counts.
"""

import math

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.clocks.curves import SIGNIFICANT, check_threshold, log_steps_and_items
from taumem.analysis.crossing import crossing
from taumem.analysis.interval import check_confidence
from taumem.analysis.placing import Placed, between_looks, for_good, right_censored
from taumem.analysis.shares import common_looks
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["tau_copy", "tau_infill", "tau_level", "tau_split"]

LEVEL_REACHED = 0.5
"""Share of the samples that obey a grammar up to a level from which on the level counts as reached."""
PART_COPIED = 0.05
"""Share of samples above chance from which on parts of a size count as copied."""
STILL_AGREED = 0.9
"""Share of the highest agreement so far below which two models have parted."""

Floats = NDArray[np.float64]


def tau_copy(copy_fraction: Curve, chance: Curve | float, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find when copies above chance exceed a threshold.

    The share of copies is taken to grow over training. The passage lies in the gap between looks that makes the counts
    most likely, whatever the number of samples (see :mod:`taumem.analysis.crossing`); a run that would be nearly as
    likely (5 %, one-sided) had it never passed is right-censored.

    Args:
        copy_fraction: share of samples that are copies, with their number.
        chance: the share that a model without copies would have under the same rule: a curve, taken look by look and
            with its own interval, or a number that is taken for exact.
        threshold: share of samples above chance, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: no look is past step 0, or none has both curves.
    """
    check_threshold(threshold)
    check_confidence(confidence)
    if isinstance(chance, Curve):
        copy_fraction, chance = common_looks(copy_fraction, chance)
        chance = chance.at_steps(chance.steps[chance.steps > 0])
    share = copy_fraction.at_steps(copy_fraction.steps[copy_fraction.steps > 0])
    if not len(share):
        raise ConfigError(f"'{share.quantity}': no look past step 0; a clock needs some.")
    return crossing(share, chance, threshold, confidence)


def tau_infill(infill_copies: Curve, chance: Curve | float, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find when training texts that are put together from half of them exceed a threshold.

    The rule is that of :func:`tau_copy`, for the share of training texts that the model completes from the visible
    part, above the share of held-out texts that it completes.

    Args:
        infill_copies: share of training texts that are recovered, with their number.
        chance: the same for held-out texts.
        threshold: share of texts above chance, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: no look is past step 0, or none has both curves.
    """
    return tau_copy(infill_copies, chance, threshold=threshold, confidence=confidence)


def tau_level(valid: Curve, *, confidence: float = 0.9) -> Placed:
    """Find when half of the samples obey a grammar up to a level.

    The rule is that of :func:`tau_copy`, without chance. Copies of training strings obey the grammar too: a level that
    is reached only after tau_mem was copied, not learned.

    Args:
        valid: share of samples that parse up to the level, with their number.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: no look is past step 0.

    Reference: Favero et al. 2025, arXiv 2505.16959, section 5 (levels are learned in order).
    """
    return tau_copy(valid, 0.0, threshold=LEVEL_REACHED, confidence=confidence)


def tau_split(agreement: Curve, *, learned: float = 0.0) -> Placed:
    """Find when two models on disjoint sets start to disagree: between two looks.

    They have split at the first look where the agreement is below 0.9 of its highest value so far by more than 2
    standard errors, provided that it stays below 0.9 of its highest value at every later look. The error is that of the
    difference, paired by sample, and in quadrature half of the largest rise of the agreement, which shows how far the
    jitter of the weights goes. Models that have learned next to nothing agree as well, and come to differ while they
    learn: only looks from ``learned`` on count.

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
    swing = np.max(values - np.minimum.accumulate(values))  # models that part do not come back: so far the noise goes
    se = np.hypot(drop.std(axis=1, ddof=1) / math.sqrt(items.shape[1]), swing / 2)
    significant = drop.mean(1) > SIGNIFICANT * se
    return between_looks(steps, significant & for_good(drop.mean(1) > 0))
