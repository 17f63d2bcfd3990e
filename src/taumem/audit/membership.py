"""Whether the model's loss tells training items from held-out ones: for those who have the model as well."""

from typing import Any

from scipy.optimize import brentq
from scipy.special import ndtri

from taumem.analysis.shares import exact_interval
from taumem.probes.membership_inference import members_found, membership
from taumem.record.audit import NotRun, Score

__all__ = ["membership_scores"]

FALSE_POSITIVES = (0.001, 0.01)
"""Shares of held-out items that a test may take for members."""


def membership_scores(losses: tuple[Any, Any] | None) -> tuple[tuple[Score, ...], tuple[NotRun, ...]]:
    """Give AUC and true positives at 0.1 % and 1 % false ones with their 95 % intervals, or say why not.

    Args:
        losses: the model's loss of each training item [P] and of each held-out item [n], at the same diffusion times.

    Raises:
        DataError: losses that are not one finite number per item, or none.

    Reference: Carlini et al. 2022, arXiv 2112.03570; Newcombe 2006, Stat. Med. 25, 559 (interval of the AUC, method 5).
    """
    if losses is None:
        why = "an audit of samples alone sees no losses; give those of training and held-out items (losses=)"
        return (), (NotRun(what="membership", why=why),)
    train, heldout = losses
    auc, _ = membership(train, heldout)
    n, m = len(train), len(heldout)
    low, high = _lowest(auc.value, n, m), 1 - _lowest(1 - auc.value, n, m)
    area = Score(
        name="membership_auc",
        label="Membership: AUC of the loss (0.5 = chance, 1 = every training item is told from every held-out one)",
        value=auc.value,
        meaning="0.5 where training items have losses like held-out ones; above it they have lower ones",
        low=low,
        high=high,
        n=n + m,
        parts={} if auc.se is None else {"standard error": auc.se},
    )
    return (area, *(_found(train, heldout, share) for share in FALSE_POSITIVES)), ()


def _found(train: Any, heldout: Any, false_positives: float) -> Score:
    n, m, count = len(train), len(heldout), members_found(train, heldout, false_positives)
    low, high = exact_interval(count, n)
    few = "" if false_positives * m >= 1 else f" (of {m:,}: none)"
    return Score(
        name=f"membership_tpr_{false_positives:g}",
        label=f"Membership: training items found at {false_positives:.1%} false positives (0 = none, 1 = all)",
        value=count / n,
        meaning=f"about {false_positives:g} where losses tell nothing; the share of training items with a loss so low "
        f"that at most {false_positives:.1%} of the held-out items{few} have a lower one",
        low=low,
        high=high,
        n=n,
    )


def _lowest(auc: float, n: int, m: int) -> float:
    """The smallest area from which this one is 1.96 of its standard errors away: below 1 where all are told apart."""
    z, others = ndtri(0.975), (n + m) / 2 - 1

    def excess(area: float) -> float:
        variance = area * (1 - area) * (1 + others * ((1 - area) / (2 - area) + area / (1 + area))) / (n * m)
        return float((area - auc) ** 2 - z**2 * variance)

    return float(brentq(excess, 0, min(auc, 1 - 1e-12))) if auc > 0 else 0.0
