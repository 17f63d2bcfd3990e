"""Stop by shares of samples or items: copies above chance, and members that can be told."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import hypergeom

from taumem.analysis.shares import above_chance, common_looks
from taumem.analysis.stopping.verdict import Reason, Verdict, best_until
from taumem.analysis.wording import percent
from taumem.errors import ConfigError
from taumem.record import RunRecord

__all__ = ["CopiesExceed", "CopiesFound", "MembersFound"]


@dataclass(frozen=True)
class CopiesFound:
    """Stops once there are more copies among samples than chance explains.

    At each look the samples are held against held-out items by Fisher's exact test. The probability of a false alarm is
    that of the whole run: look number k may spend alpha / (k (k + 1)) of it, which sums to alpha over any number of
    looks, whatever they have in common. What to keep is the best look before the first one with copies.

    Args:
        alpha: probability of a false alarm in the whole run, in (0, 1).

    Raises:
        ConfigError: a number out of its range.

    Reference: Fisher 1935, J. R. Stat. Soc. 98, 39.
    """

    alpha: float = 0.05
    name = "no_copies"

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"More samples are copies than chance explains (at most {percent(self.alpha)} false alarms a run)."
        copies, chance = (record.curve_or_none(name) for name in ("copy_fraction", "copy_fraction_chance"))
        until = math.inf if step is None else step
        if copies is None or chance is None or not np.intersect1d(copies.steps, chance.steps).size:
            what = "no samples were drawn" if copies is None else "what chance gives was not measured"
            keep = best_until(record, until)
            return Verdict(False, rule, keep=keep, not_checked=(f"Copies among samples: {what}.",))
        copies, chance = common_looks(copies, chance)
        looks = copies.steps[copies.steps <= until]
        counts = [np.rint(c.values * c.counts).astype(int)[: len(looks)] for c in (copies, chance)]
        n, n_chance = (c.counts[: len(looks)] for c in (copies, chance))
        p = hypergeom.sf(counts[0] - 1, n + n_chance, counts[0] + counts[1], n)
        found = np.flatnonzero(p < _spent(self.alpha, len(looks)))
        if not len(found):
            return Verdict(False, rule, keep=best_until(record, until), power=self._power(n, n_chance, counts[1]))
        first = int(found[0])
        before = int(looks[first - 1]) if first else 0
        return Verdict(
            True,
            rule,
            since=int(looks[first]),
            keep=best_until(record, before),
            reason=Reason.COPIES,
            message=(
                f"{counts[0][first]} of {n[first]} samples are copies; of held-out items {counts[1][first]} of "
                f"{n_chance[first]} look like one."
            ),
            interval=(before, int(looks[first])),
        )

    def _power(self, n: NDArray[np.int64], n_chance: NDArray[np.int64], by_chance: NDArray[np.int64]) -> str:
        if not len(n):
            return "Copies could not have been seen yet: no samples were drawn."
        counts = np.arange(n[-1] + 1)
        p = hypergeom.sf(counts - 1, n[-1] + n_chance[-1], counts + by_chance[-1], n[-1])
        enough = np.flatnonzero(p < _spent(self.alpha, len(n))[-1])
        if not len(enough):
            return f"{n[-1]} samples and {n_chance[-1]} held-out items are too few to show copies at all."
        return f"Copies would have been seen from {enough[0]} of {n[-1]} samples on ({percent(enough[0] / n[-1])})."


@dataclass(frozen=True)
class MembersFound:
    """Stops once training items can be told from held-out ones by their loss, better than a value says.

    ``membership_auc`` is the probability that a training item has the lower loss; the rule asks whether it is above the
    value for certain. The probability of a false alarm is spent over looks as in :class:`CopiesFound`.

    Args:
        above: the AUC that must be passed, in [0.5, 1).
        alpha: probability of a false alarm in the whole run, in (0, 1).

    Raises:
        ConfigError: a number out of its range.
    """

    above: float = 0.6
    alpha: float = 0.05
    name = "privacy"

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)
        if not 0.5 <= self.above < 1:
            raise ConfigError(f"membership is above an AUC, from 0.5 (chance) to below 1; got {self.above}.")

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"Training items can be told from held-out ones by their loss, with an AUC above {self.above:g}."
        curve = record.curve_or_none("membership_auc")
        until = math.inf if step is None else step
        keep = best_until(record, until)
        if curve is None or curve.se is None or not np.isfinite(curve.se).all():
            why = "Membership: the losses of training and held-out items were not both measured."
            return Verdict(False, rule, keep=keep, not_checked=(why,))
        counted = (curve.steps > 0) & (curve.steps <= until)
        looks, auc, se = curve.steps[counted], curve.values[counted], curve.se[counted]
        errors = -ndtri(_spent(self.alpha, len(looks)))
        found = np.flatnonzero(auc - errors * se > self.above)
        if not len(found):
            power = (
                "No look so far."
                if not len(looks)
                else (f"An AUC above {self.above + float(errors[-1] * se[-1]):.2f} would have been seen.")
            )
            return Verdict(False, rule, keep=keep, power=power)
        first = int(found[0])
        before = int(looks[first - 1]) if first else 0
        return Verdict(
            True,
            rule,
            since=int(looks[first]),
            keep=best_until(record, before),
            reason=Reason.MEMBERS,
            message=f"A training item has a lower loss than a held-out one with probability {auc[first]:.2f}.",
            interval=(before, int(looks[first])),
        )


@dataclass(frozen=True)
class CopiesExceed:
    """Stops once copies above chance exceed a share of the samples in several looks one after another.

    Args:
        share: of the samples, above chance, in (0, 1).
        looks: how many one after another, at least 1.

    Raises:
        ConfigError: a number out of its range.
    """

    share: float
    looks: int = 2
    name = "copies_exceed"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or self.looks < 1:
            raise ConfigError(
                f"copies exceed a share between 0 and 1 in at least 1 look; got {self.share} and {self.looks}."
            )

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        rule = f"Copies above chance exceed {self.share:g} of the samples in {self.looks} looks one after another."
        copies, chance = (record.curve_or_none(name) for name in ("copy_fraction", "copy_fraction_chance"))
        if copies is None or (chance is not None and not np.intersect1d(copies.steps, chance.steps).size):
            return Verdict(False, rule)  # a kill may have come between the two of the first look
        steps, above = above_chance(copies, 0.0 if chance is None else chance)
        counted = steps <= (np.inf if step is None else step)
        last = list(zip(steps[counted].tolist(), above[counted].tolist(), strict=True))[-self.looks :]
        if len(last) < self.looks or not all(value > self.share for _, value in last):
            return Verdict(False, rule)
        message = f"{percent(last[-1][1])} of the samples are copies, above chance."
        return Verdict(True, rule, since=last[0][0], reason=Reason.COPIES, message=message)


def _spent(alpha: float, looks: int) -> NDArray[np.float64]:
    """What each look may spend of the probability of a false alarm: in all alpha, however many there are."""
    k = np.arange(1, looks + 1, dtype=float)
    return alpha / (k * (k + 1))


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ConfigError(f"the probability of a false alarm lies between 0 and 1; got {alpha}.")
