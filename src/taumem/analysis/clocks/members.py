"""Clocks of membership: when training items can be told from held-out ones, by their losses or by an attack's errors.

The area under the ROC curve (AUC) is the probability that a training item has the lower error. Sets of few items
differ in difficulty by chance, and sets that were not divided by chance differ more: their AUC is off 1/2 with nothing
memorized, for as long as the run lasts. So what counts is what the AUC has grown by since the model was learning what
the sets have in common, as in ``tau_gap_grown``.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from taumem.analysis.clocks.curves import log_steps_and_items
from taumem.analysis.clocks.losses import midway, passed_for_certain
from taumem.analysis.clocks.samples import tau_copy
from taumem.analysis.placing import Placed
from taumem.analysis.resampling import paired_shares, resampled_means
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["FEWEST_MEMBERS", "FEWEST_TOLD", "auc_resampled", "tau_member", "tau_tpr"]

FEWEST_MEMBERS = 8
"""Items of a set, below which one can be told from the other by chance."""
FEWEST_TOLD = 3
"""Looks that a clock of membership needs: those midway."""
FALSE_POSITIVES = 0.01
"""The share of held-out items that may be taken for members where true positives are counted."""

Floats = NDArray[np.float64]


def tau_member(
    train: Curve, heldout: Curve, *, threshold: float, learning: Curve | None = None, confidence: float = 0.9
) -> Placed:
    """Find where the AUC of membership has grown by a threshold above chance, for good.

    What it was at the three looks around 0.8 of the held-out loss's fall is the sets' own difference. It is taken off
    where differences add up, among the quantiles of the normal distribution:

        grown = Phi(z - z midway) - 1/2,    z = Phi^-1(AUC)

    so that sets which are alike pass x where their AUC is 1/2 + x, and a model that knows all items by heart passes
    every threshold, whichever set is easier. It is located where ``grown`` at the last looks is above the threshold
    for certain (95 %, one-sided). Errors are those of a bootstrap over items, to first order (DeLong's placements).

    Args:
        train: an error of each training item, lower for what is known: their losses, or an attack's errors.
        heldout: the same of each held-out item.
        threshold: above 1/2, in (0, 1/2).
        learning: the held-out loss, whose fall says where midway is; None takes ``heldout``.
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: the values of items were not kept, there are fewer than 8 items of a set, or fewer than 3 looks at
            the same steps.

    Reference: DeLong et al. 1988, Biometrics 44, 837.
    """
    if not 0 < threshold < 0.5:
        raise ConfigError(f"membership passes 1/2 by a threshold between 0 and 1/2, such as 0.1; got {threshold}.")
    learning = heldout if learning is None else learning
    common = np.intersect1d(np.intersect1d(train.steps, heldout.steps), learning.steps)
    x, of_train = log_steps_and_items(train.at_steps(common), FEWEST_TOLD)
    _, of_heldout = log_steps_and_items(heldout.at_steps(common), FEWEST_TOLD)
    if (fewest := min(of_train.shape[1], of_heldout.shape[1])) < FEWEST_MEMBERS:
        raise ConfigError(f"membership is told of {FEWEST_MEMBERS} items of a set or more; got {fewest}.")
    at = midway(learning.at_steps(common[common > 0]).values)
    auc = auc_resampled(of_train, of_heldout)
    least = 1 / (2 * of_train.shape[1] * of_heldout.shape[1])  # half of what one pair weighs
    apart = ndtri(np.clip(auc, least, 1 - least))
    grown = ndtr(apart - apart[:, at - 1 : at + 2].mean(axis=1, keepdims=True)) - 0.5
    return passed_for_certain(x, grown, threshold, confidence)


def tau_tpr(membership_tpr: Curve, n_heldout: int, *, threshold: float, confidence: float = 0.9) -> Placed:
    """Find where the training items that are found, at 1 % false positives, exceed chance by a threshold.

    The rule is that of :func:`tau_copy`. Chance is the share of held-out items that may be mistaken, with the error
    that so few of them have: where 2 of 256 may be, other draws of the held-out set would let through 0.1 to 2.8 %.

    Args:
        membership_tpr: share of training items that are found, with their number.
        n_heldout: held-out items.
        threshold: above chance, in (0, 1).
        confidence: probability of the interval, in (0, 1).

    Raises:
        ConfigError: no look is past step 0.
    """
    mistaken = np.full(len(membership_tpr), np.floor(FALSE_POSITIVES * n_heldout * (1 + 1e-12)) / n_heldout)
    nothing = np.full(len(membership_tpr), np.nan)
    counts = np.full(len(membership_tpr), n_heldout)
    chance = replace(
        membership_tpr, values=mistaken, se=nothing, low=nothing, high=nothing, counts=counts, confidence=None
    )
    return tau_copy(membership_tpr, chance, threshold=threshold, confidence=confidence)


def auc_resampled(train: Floats, heldout: Floats) -> Floats:
    """The AUC at each look, as measured (row 0) and of resampled items: the same ones at every look.

    Args:
        train: errors [looks, n].
        heldout: errors [looks, m].

    Returns:
        [1 + resamples, looks]. To first order in the items, so that single resamples may lie a little outside [0, 1].
    """
    found = 1 - _shares_below(heldout, train)  # of the held-out items those above each training item
    spared = _shares_below(train, heldout)
    auc = found.mean(axis=1)
    of_train, of_heldout = paired_shares(train.shape[1], heldout.shape[1])
    return np.vstack([auc, resampled_means(found, of_train) + resampled_means(spared, of_heldout) - auc])


def _shares_below(of: Floats, each: Floats) -> Floats:
    """For each value of a look, the share of the other set's values that are below it; equal ones count half."""
    rows = zip(np.sort(of, axis=1), each, strict=True)
    counts = [(np.searchsorted(row, e) + np.searchsorted(row, e, side="right")) / 2 for row, e in rows]
    shares: Floats = np.asarray(counts) / of.shape[1]
    return shares
