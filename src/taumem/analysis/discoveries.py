"""Samples that stand out against items that copy nothing: p-values, rates of false discoveries, bounds on their number.

A score is small where it is suspicious. What all of this needs is one thing: the scores of the items that copy nothing
(the null) and those of the samples that copy nothing are exchangeable. Samples that do copy may score anyhow.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve
from scipy.special import gammaln
from scipy.stats import false_discovery_control, ks_2samp

from taumem.analysis.interval import check_confidence
from taumem.errors import ConfigError, DataError

__all__ = ["DiscoveryBounds", "conformal_p", "discovery_bounds", "exchangeability_p", "flagged", "q_values"]

EVERY_RANK_TO = 32
"""Bounds are made at every rank of the null up to here, and at ranks a twentieth apart beyond."""
APART = 1.05
HALVINGS = 14
"""Of the range in which the probability of a miss is sought: to a thousandth of it."""
NEGLIGIBLE = 1e-15
"""Probability that may be left out at a rank."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def conformal_p(scores: Floats, null: Floats) -> Floats:
    """The share of the null, and of the sample itself, that is at least as suspicious as each sample.

    ``p = (1 + #{null <= score}) / (len(null) + 1)``: of a sample that copies nothing it is at most u with a probability
    of at most u. Ties count against a discovery. None is below ``1 / (len(null) + 1)``.

    Args:
        scores: of the samples [n], small where suspicious.
        null: scores of items that copy nothing [m].

    Returns:
        A p-value for each sample [n], in (0, 1].

    Raises:
        DataError: scores that are no one number for each item.

    Reference: Bates et al. 2023, Ann. Statist. 51, 149, eq. 3.

    >>> conformal_p(np.array([0.1, 0.5, 0.9]), np.array([0.5, 0.6, 0.7])).tolist()
    [0.25, 0.5, 1.0]
    """
    scores, null = _checked(scores, "samples"), np.sort(_checked(null, "the null"))
    return np.asarray((1 + np.searchsorted(null, scores, side="right")) / (len(null) + 1), dtype=np.float64)


def q_values(p: Floats) -> Floats:
    """The smallest rate of false discoveries at which each p-value would still be a discovery.

    Conformal p-values that share their null are positively dependent (PRDS), for which this holds.

    Args:
        p: p-values [n], in [0, 1].

    Returns:
        Their q-values [n], which are in the order of the p-values.

    Raises:
        DataError: p-values outside [0, 1].

    Reference: Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57, 289; Bates et al. 2023, Theorem 2.

    >>> q_values(np.array([0.01, 0.02, 0.5])).tolist()
    [0.03, 0.03, 0.5]
    """
    p = _checked(p, "p-values")
    if np.any((p < 0) | (p > 1)):
        raise DataError(f"p-values lie between 0 and 1; got {p.min():g} to {p.max():g}.")
    return np.asarray(false_discovery_control(p), dtype=np.float64)


def flagged(p: Floats, q: float = 0.05) -> NDArray[np.bool_]:
    """Name discoveries, of which a share of at most q, on average, is expected to be false.

    Args:
        p: p-values [n].
        q: that share, in (0, 1).

    Raises:
        ConfigError: q is out of its range.
    """
    if not 0 < q < 1:
        raise ConfigError(f"q is the share of false discoveries that is put up with, between 0 and 1; got {q!r}.")
    return q_values(p) <= q


def exchangeability_p(scores: Floats, null: Floats) -> float | None:
    """Test whether samples and null agree where no copies are: above the median of the null.

    If they are exchangeable, those samples and those of the null that score above it are so as well. A small p says
    that they differ there, so that they may differ elsewhere too; a large one does not say that they agree.

    Args:
        scores: of the samples [n].
        null: scores of items that copy nothing [m].

    Returns:
        The p-value of the Kolmogorov-Smirnov test, two-sided; None where either has none above the median.
    """
    scores, null = _checked(scores, "samples"), np.sort(_checked(null, "the null"))
    # An element of the null: what lies above it is then, given how much that is, in a random order.
    median = null[(len(null) - 1) // 2] if len(null) else np.inf
    above, null_above = scores[scores > median], null[null > median]
    if not len(above) or not len(null_above):
        return None
    return float(ks_2samp(above, null_above).pvalue)


@dataclass(frozen=True, eq=False)
class DiscoveryBounds:
    """For each threshold, how many of the samples up to it copy nothing at most; true of all thresholds at once.

    Attributes:
        thresholds: the distinct scores of samples, ascending [t].
        found: samples that score at most that [t].
        false: of these, at most so many copy nothing [t].
        confidence: probability that all these bounds hold together.
    """

    thresholds: Floats
    found: Ints
    false: Ints
    confidence: float

    @property
    def share(self) -> Floats:
        """The bound on the share of false discoveries at each threshold, in [0, 1]."""
        return self.false / self.found

    @property
    def copies_at_least(self) -> int:
        """So many samples, at least, do not score like items that copy nothing."""
        return int((self.found - self.false).max(initial=0))


def discovery_bounds(scores: Floats, null: Floats, confidence: float = 0.95) -> DiscoveryBounds:
    """Bound the number of false discoveries at every threshold at once, so that a threshold may be chosen afterwards.

    In the order of their scores, m samples that copy nothing and a null of n stand in a random order. So the number of
    the samples before the k-th of the null is beta-binomial, with parameters k and n + 1 - k, and all these numbers
    together are the path of a Polya urn. The bound at rank k is the quantile of its number that is missed with a
    probability of c / sqrt(k), where c is the largest for which the whole path stays within with the given confidence
    (exact, not simulated). So bounds are tight at the low thresholds at which copies are looked for, and cost little
    beyond. Fewer than m samples that copy nothing only help. Between ranks, at most all that are added are false.

    Args:
        scores: of the samples [m], small where suspicious.
        null: scores of items that copy nothing [n]; ties with samples count against a discovery.
        confidence: probability that all bounds hold, whichever samples copy, in (0, 1).

    Raises:
        ConfigError: the confidence is out of its range.
        DataError: scores that are no one number for each item.

    Reference: Song, Jin and Candès 2026, arXiv 2605.20726 (envelopes of conformal p-values); Gazin, Blanchard and
    Roquain 2024, arXiv 2310.18108 (their joint law); Goeman and Solari 2011, Stat. Sci. 26, 584 (interpolation).
    """
    check_confidence(confidence)
    scores, null = _checked(scores, "samples"), np.sort(_checked(null, "the null"))
    thresholds, counts = np.unique(scores, return_counts=True)
    found = np.cumsum(counts)
    m, n = len(scores), len(null)
    if not m:
        return DiscoveryBounds(thresholds, found, found, confidence)
    # All samples up to the threshold come before the first of the null above it, however ties are broken.
    ranks, most = _envelope(m, n, float(confidence))
    place = np.searchsorted(ranks, np.searchsorted(null, thresholds, side="right") + 1)
    false = np.append(most, m)[place]
    fewest_true = np.maximum.accumulate(np.maximum(found - false, 0))
    return DiscoveryBounds(thresholds, found, np.minimum(false, found - fewest_true), confidence)


@lru_cache(maxsize=16)
def _envelope(m: int, n: int, confidence: float) -> tuple[Ints, Ints]:
    """Ranks of the null, and how many of m samples that copy nothing come before each, at most, all at once."""
    ranks = _ranks(n)
    if not n:
        return ranks, ranks
    starts, tails = _tails(m, n, ranks)

    def bounds(log_c: float) -> Ints:
        misses = np.exp(log_c) / np.sqrt(ranks)
        first = [int(np.searchsorted(-tail, -miss)) for tail, miss in zip(tails, misses, strict=True)]
        return np.asarray(np.clip(starts + np.array(first) - 1, 0, m))

    low, high = float(np.log((1 - confidence) / np.sum(1 / np.sqrt(ranks)))), 0.0  # the low end holds by Bonferroni
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        holds = _stays_within(m, n, ranks, bounds(middle)) >= confidence
        low, high = (middle, high) if holds else (low, middle)
    return ranks, bounds(low)


def _ranks(n: int) -> Ints:
    ranks = list(range(1, min(n, EVERY_RANK_TO) + 1))
    while ranks and ranks[-1] < n:
        ranks.append(min(n, int(np.ceil(ranks[-1] * APART))))
    return np.array(ranks, dtype=np.int64)


def _tails(m: int, n: int, ranks: Ints) -> tuple[Ints, list[Floats]]:
    """P(at least a of m come before the k-th of n) for a from a start on, of each rank k."""
    log_factorial = gammaln(np.arange(m + n + 1) + 1.0)
    all_orders = log_factorial[m + n] - log_factorial[m] - log_factorial[n]
    mean = m * ranks / (n + 1)
    spread = np.sqrt(mean * (n + 1 - ranks) * (n + 1 + m) / ((n + 1) * (n + 2)))
    starts, ends = np.floor(mean).astype(np.int64), np.minimum(np.ceil(mean + 40 * spread), m).astype(np.int64)
    tails = []
    for k, start, end in zip(ranks, starts, ends, strict=True):
        a = np.arange(start, end + 1)
        before = log_factorial[a + k - 1] - log_factorial[a] - log_factorial[k - 1]
        after = log_factorial[m - a + n - k] - log_factorial[m - a] - log_factorial[n - k]
        tails.append(np.exp(before + after - all_orders)[::-1].cumsum()[::-1])
    return starts, tails


def _stays_within(m: int, n: int, ranks: Ints, most: Ints) -> float:
    """The probability that, at each rank, at most so many of m come before it.

    The numbers between neighbors in the null are independent and geometric, given that they sum to m.
    """
    rate = (n + 1) / (n + 1 + m)  # any would do; with this one the condition is as likely as it can be

    def chances(width: int, steps: int) -> Floats:
        a = np.arange(width)
        log_ways = gammaln(a + steps) - gammaln(a + 1.0) - gammaln(steps)
        return np.asarray(np.exp(log_ways + steps * np.log(rate) + a * np.log1p(-rate)))

    start, paths = 0, np.ones(1)  # probability of start, start + 1, ... before the rank, without having left
    for steps, bound in zip(np.diff(ranks, prepend=0), most, strict=True):
        width = int(bound) - start + 1
        paths = np.maximum(convolve(paths, chances(width, int(steps)))[:width], 0)
        drop = int(np.searchsorted(paths.cumsum(), NEGLIGIBLE))
        if drop == len(paths):
            return 0.0
        start, paths = start + drop, paths[drop:]
    left = m - start - np.arange(len(paths))
    last = paths @ np.exp(np.log(rate) + left * np.log1p(-rate))
    whole = gammaln(m + n + 1) - gammaln(m + 1) - gammaln(n + 1) + (n + 1) * np.log(rate) + m * np.log1p(-rate)
    return float(last / np.exp(whole))


def _checked(values: Floats, of: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or np.isnan(array).any():
        raise DataError(
            f"{of}: one number each is expected, [n], none of them NaN; got shape {array.shape}, with "
            f"{int(np.isnan(array).sum())} that are NaN."
        )
    return array
