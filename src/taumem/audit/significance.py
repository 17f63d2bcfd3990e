"""From matches of samples, and of items that copy nothing, to p-values, flags and bounds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.discoveries import conformal_p, discovery_bounds, exchangeability_p, q_values
from taumem.analysis.phantoms import share_test
from taumem.analysis.shares import exact_interval
from taumem.audit.null import Null
from taumem.audit.rules import Rule
from taumem.neighbors.matches import Matches
from taumem.record.audit import Bounds, Chance, CopyShare, Flagged, Histogram, RuleResult, Share

__all__ = ["EXCHANGEABLE", "Significance", "chance_of", "counted", "histogram_of", "share_of"]

EXCHANGEABLE = (
    "The p-values hold if samples that copy nothing and {} are equally likely to look like a training item by "
    "accident, and independent of one another (are exchangeable)."
)
N_BARS = 40


@dataclass(frozen=True, eq=False)
class Significance:
    """The certainty of each sample's match.

    Attributes:
        p: conformal p-values [n]: the share of items that copy nothing (and the sample) that score as low.
        q: the false discovery rate at which the sample would just be flagged [n].
        flagged: whether it is [n].
        n_null: scores that the p-values are ranks among.
        alike_p: of the hypothesis that samples and null agree where no copies are.
    """

    p: NDArray[np.float64]
    q: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    n_null: int
    alike_p: float | None

    @classmethod
    def of(cls, found: Matches, null: Matches, q: float, distinct: NDArray[np.int64]) -> "Significance":
        """Rank the samples' scores among those of the calibration half; distinct samples are held against it."""
        p = conformal_p(found.score, null.score)
        values = q_values(p)
        return cls(p, values, values <= q, len(null), exchangeability_p(found.score[distinct], null.score))

    def flags(self, q: float) -> Flagged:
        """How many are flagged, and how few could be."""
        n = len(self.p)
        fewest = int(np.ceil(n / (q * (self.n_null + 1)) - 1e-9))
        return Flagged(count=int(self.flagged.sum()), n=n, q=q, n_null=self.n_null, fewest=max(1, fewest))


def share_of(count: int, n: int, confidence: float = 0.95) -> Share:
    """So many of so many, with the exact interval."""
    low, high = exact_interval(count, n, confidence)
    return Share(count=count, n=n, fraction=count / n if n else 0.0, low=low, high=high, confidence=confidence)


def chance_of(taken_for_copies: NDArray[np.bool_], null: Null) -> Chance:
    """How many items of the evaluation half are taken for copies, or hold what looks like a copied part."""
    share = share_of(int(taken_for_copies.sum()), len(taken_for_copies))
    return Chance(**share.model_dump(), source=null.source)


def counted(rule: Rule, found: Matches, null: Null) -> RuleResult:
    """What a rule counts."""
    samples = share_of(int(rule.copied(found).sum()), len(found))
    return RuleResult(
        name=rule.name,
        sentence=rule.sentence,
        threshold=rule.threshold,
        samples=samples,
        chance=chance_of(rule.copied(null.evaluation), null),
    )


def copies_of(rule: Rule, found: Matches, null: Null, distinct: NDArray[np.int64]) -> CopyShare:
    """The headline count: copies by the rule that was asked for, against chance.

    The test takes samples for independent, so it counts distinct ones: one accident that is repeated is no evidence.
    """
    result, chance = counted(rule, found, null), chance_of(rule.copied(null.evaluation), null)
    n_distinct = int(rule.copied(found[distinct]).sum())
    p = share_test(n_distinct, len(distinct), chance.count, chance.n)
    return CopyShare(**result.samples.model_dump(), chance=chance, rule=rule.sentence, p=p)


def bounds_of(found: Matches, null: Matches) -> Bounds:
    """For every threshold at once, at most how many of some distinct samples below it copy nothing (95 %)."""
    bounds = discovery_bounds(found.score, null.score, confidence=0.95)
    return Bounds(
        confidence=bounds.confidence,
        thresholds=tuple(bounds.thresholds.tolist()),
        found=tuple(bounds.found.tolist()),
        false=tuple(bounds.false.tolist()),
    )


def histogram_of(found: Matches, null: Matches) -> Histogram:
    """How the scores of samples and of items that copy nothing lie."""
    both = np.concatenate([found.score, null.score])
    low, high = min(0.0, float(both.min())), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1, N_BARS + 1)
    ours, theirs = (np.histogram(matches.score, edges)[0] for matches in (found, null))
    return Histogram(edges=tuple(edges.tolist()), generated=tuple(ours.tolist()), null=tuple(theirs.tolist()))
