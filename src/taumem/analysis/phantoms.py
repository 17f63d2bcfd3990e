"""Exact tests of counts: matches against phantom ones, a share against chance, and what none found excludes.

A match to a held-out item is a phantom: the model never saw that item. If it knew nothing of which items it was trained
on either, the matches would be shared out between the two sides as by a draw.
"""

import math
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from taumem.analysis.interval import check_confidence
from taumem.errors import ConfigError

__all__ = ["PhantomTest", "phantom_test", "samples_needed", "share_test", "smallest_excluded"]

Counts = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PhantomTest:
    """Matches on the training side against those on the held-out side.

    Attributes:
        n_train: training items that could be matched; groups, where items belong together.
        n_heldout: held-out ones.
        matched_train: distinct ones of the training side that some sample matches.
        matched_heldout: and of the held-out side: phantoms.
        expected_heldout: of all matched ones, so many would be held-out ones if the sides were alike to the model.
        p: probability of at least so many on the training side then, given how many are matched in all.
        best_p: the p if all matched ones were on the training side: what the test could have shown at best.
    """

    n_train: int
    n_heldout: int
    matched_train: int
    matched_heldout: int
    expected_heldout: float
    p: float
    best_p: float


def phantom_test(
    n_train: Counts | int, n_heldout: Counts | int, matched_train: Counts | int, matched_heldout: Counts | int
) -> PhantomTest:
    """Test whether samples match what was trained on more than what was held out.

    What is drawn are distinct matched items, or groups: many samples that match one count once, so that no model of
    samples is needed; only that it was by chance which items were trained on. Items that are met with unlike ease
    (groups of one item and of ten) are counted apart, in strata: each has a draw of its own, and what is tested is
    the sum. A stratum that has items of one side alone then says nothing.

    Args:
        n_train: training items that could be matched; a number, or one for each stratum, as all that follow.
        n_heldout: held-out ones.
        matched_train: distinct ones of the training side that some sample matches.
        matched_heldout: and of the held-out side.

    Raises:
        ConfigError: counts that are negative, or more matched than there are.

    Reference: Amin et al. 2026, arXiv 2606.16952; by strata as Birch 1964, J. R. Stat. Soc. B 26, 313.

    >>> test = phantom_test(100, 100, 8, 1)
    >>> test.expected_heldout, round(test.p, 4), round(test.best_p, 4)
    (4.5, 0.0174, 0.0016)
    """
    ours, theirs, found, phantoms = np.broadcast_arrays(
        *map(np.atleast_1d, (n_train, n_heldout, matched_train, matched_heldout))
    )
    if np.any((found < 0) | (found > ours) | (phantoms < 0) | (phantoms > theirs)):
        raise ConfigError(
            f"a match counts from 0 to all items; got {found.tolist()} of {ours.tolist()} training items and "
            f"{phantoms.tolist()} of {theirs.tolist()} held-out ones."
        )
    from scipy.stats import hypergeom  # as in share_test

    matched, both = found + phantoms, ours + theirs
    fewest, most = np.maximum(0, matched - theirs), np.minimum(matched, ours)
    draw = np.ones(1)  # probability of each number of training items among all that are matched, from the fewest on
    for n, of, drawn, low, high in zip(both, ours, matched, fewest, most, strict=True):
        draw = np.convolve(draw, hypergeom.pmf(np.arange(low, high + 1), n, of, drawn)) if drawn else draw
    return PhantomTest(
        n_train=int(ours.sum()),
        n_heldout=int(theirs.sum()),
        matched_train=int(found.sum()),
        matched_heldout=int(phantoms.sum()),
        expected_heldout=float((matched * theirs / np.maximum(both, 1)).sum()),
        p=min(1.0, float(draw[int((found - fewest).sum()) :].sum())),
        best_p=min(1.0, float(draw[-1])),
    )


@overload
def share_test(count: int, n: int, count_chance: int, n_chance: int) -> float: ...
@overload
def share_test(count: Counts, n: Counts | int, count_chance: Counts | int, n_chance: Counts | int) -> Floats: ...
def share_test(count: Any, n: Any, count_chance: Any, n_chance: Any) -> Any:
    """Test whether a share is above that of chance: Fisher's exact test, one-sided.

    Args:
        count: how many, such as copies among samples; a number or an array, as all that follow.
        n: of how many.
        count_chance: how many by chance, such as held-out items that look like copies.
        n_chance: of how many.

    Returns:
        Probability of at least ``count`` if both shares were the same, given how many there are in all: a number for
        numbers, an array for arrays.

    Raises:
        ConfigError: counts that are negative, or more than there are.

    Reference: Fisher 1935, J. R. Stat. Soc. 98, 39.

    >>> round(share_test(6, 100, 0, 100), 4)
    0.0145
    """
    from scipy.stats import hypergeom  # which takes longer to import than all else here, and stopping rules share this

    k, of, k_chance, of_chance = map(np.asarray, (count, n, count_chance, n_chance))
    if np.any((k < 0) | (k > of) | (k_chance < 0) | (k_chance > of_chance)):
        raise ConfigError(
            f"a share counts from 0 to all of its items; got {count} of {n}, by chance {count_chance} of {n_chance}."
        )
    # None found is no evidence, whatever there was to find; scipy has no draw from nothing.
    p = np.where(k > 0, hypergeom.sf(k - 1, of + of_chance, k + k_chance, of), 1.0)
    return p if p.ndim else float(p)


def smallest_excluded(n: int, count: int = 0, confidence: float = 0.95) -> float:
    """The rate above which all are excluded by what was counted: the upper end of the exact one-sided interval.

    Args:
        n: how many were looked at.
        count: how many were found.
        confidence: probability that the rate is not above the end, in (0, 1).

    Raises:
        ConfigError: the confidence is out of its range, or more were found than were looked at.

    Reference: Clopper and Pearson 1934, Biometrika 26, 404.

    >>> f"with 500 samples and none found, a rate above {smallest_excluded(500):.1%} is excluded at 95 %"
    'with 500 samples and none found, a rate above 0.6% is excluded at 95 %'
    """
    check_confidence(confidence)
    if not 0 <= count <= n:
        raise ConfigError(f"a share counts from 0 to all of its items; got {count} of {n}.")
    return 1.0 if count == n else float(betaincinv(count + 1, n - count, confidence))


def samples_needed(rate: float, confidence: float = 0.95) -> int:
    """So many samples exclude a rate if none of them is found to be a copy.

    Args:
        rate: of copies, in (0, 1).
        confidence: probability of finding one at least, if the rate is no lower, in (0, 1).

    Raises:
        ConfigError: a number out of its range.

    >>> samples_needed(0.006), samples_needed(0.01)
    (498, 299)
    """
    check_confidence(confidence)
    if not 0 < rate < 1:
        raise ConfigError(f"a rate of copies to be excluded lies between 0 and 1; got {rate!r}.")
    return math.ceil(math.log1p(-confidence) / math.log1p(-rate) - 1e-9)
