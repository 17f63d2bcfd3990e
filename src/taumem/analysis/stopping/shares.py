"""Stop by shares of samples or items: copies above chance, and members that can be told."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from taumem.analysis.clocks import table
from taumem.analysis.course import CERTAIN
from taumem.analysis.phantoms import share_test
from taumem.analysis.shares import above_chance, common_looks, exact_interval
from taumem.analysis.stopping.verdict import FEWEST_ITEMS, Reason, Verdict, best_until, curve_until, going_on
from taumem.analysis.wording import percent
from taumem.errors import ConfigError, nearest_name
from taumem.record import RunRecord

__all__ = ["ATTACKS", "CopiesExceed", "CopiesFound", "MembersFound"]

ATTACKS = (*(name for name, *_ in table.ATTACKS), "exact")
"""Those by which membership is measured, besides the losses: those that have clocks, and the true distribution."""


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
        so_far = going_on(record, step, rule)
        copies, chance = (curve_until(record, name, step) for name in ("copy_fraction", "copy_fraction_chance"))
        if copies is None or chance is None or not np.intersect1d(copies.steps, chance.steps).size:
            what = "no samples were drawn" if copies is None else "what chance gives was not measured"
            return replace(so_far, not_checked=(f"Copies among samples: {what}.",))
        copies, chance = common_looks(copies, chance)
        counts = [np.rint(c.values * c.counts).astype(int) for c in (copies, chance)]
        n, n_chance = copies.counts, chance.counts
        p = share_test(counts[0], n, counts[1], n_chance)
        found = np.flatnonzero(p < _spent(self.alpha, len(copies)))
        if not len(found):
            return replace(so_far, power=self._power(n, n_chance, counts[1]))
        first = int(found[0])
        message = (
            f"{counts[0][first]} of {n[first]} samples are copies; of held-out items {counts[1][first]} of "
            f"{n_chance[first]} look like one."
        )
        return _found(so_far, record, copies.steps, first, Reason.COPIES, message)

    def _power(self, n: NDArray[np.int64], n_chance: NDArray[np.int64], by_chance: NDArray[np.int64]) -> str:
        counts = np.arange(n[-1] + 1)
        p = share_test(counts, n[-1], by_chance[-1], n_chance[-1])
        enough = np.flatnonzero(p < _spent(self.alpha, len(n))[-1])
        if not len(enough):
            return f"{n[-1]} samples and {n_chance[-1]} held-out items are too few to show copies at all."
        # The smallest true share of which so many are counted with a probability of 95 %.
        certain = exact_interval(n[-1] - enough[0] + 1, n[-1], 0.9)[0]
        return (
            f"Copies would have been seen from {enough[0]} of {n[-1]} samples on: 19 times out of 20, if "
            f"{percent(1 - certain)} of all samples were copies."
        )


@dataclass(frozen=True)
class MembersFound:
    """Stops once training items can be told from held-out ones by their loss, better than a value says.

    ``membership_auc`` is the probability that a training item has the lower loss; the rule asks whether it is above the
    value for certain. The probability of a false alarm is spent over looks as in :class:`CopiesFound`. It is that of
    sets that were divided by chance: where the AUC is above the value at the first look already, the verdict says so.

    Args:
        above: the AUC that must be passed, in [0.5, 1); 0.5 stops once items can be told at all.
        attack: by whose errors: ``"secmi"``, ``"pia"``, ``"averaged"``, or ``"exact"`` where the distribution is known
            (monitor.membership, in the laboratory; a Guard makes none); empty for the losses.
        alpha: probability of a false alarm in the whole run, in (0, 1).

    Raises:
        ConfigError: a number out of its range, or an attack that there is not.
    """

    above: float = 0.6
    alpha: float = 0.05
    attack: str = ""
    name = "privacy"

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)
        if not 0.5 <= self.above < 1:
            raise ConfigError(f"membership is above an AUC, from 0.5 (chance) to below 1; got {self.above}.")
        if self.attack and self.attack not in ATTACKS:
            raise ConfigError(f"no attack is called '{self.attack}'; {nearest_name(self.attack, ATTACKS)}")

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        by = f"the attack {self.attack}" if self.attack else "their loss"
        rule = f"Training items can be told from held-out ones by {by}, with an AUC above {self.above:g}."
        so_far = going_on(record, step, rule)
        curve = curve_until(record, f"membership_auc[{self.attack}]" if self.attack else "membership_auc", step)
        if curve is None or curve.se is None or not np.isfinite(curve.se).all():
            what = (
                f"the attack {self.attack} was not made"
                if self.attack
                else ("the losses of training and held-out items were not both measured")
            )
            why = f"Membership: {what}."
            return replace(so_far, not_checked=(why,))
        if _fewest_items(record, step) < FEWEST_ITEMS:
            why = f"Membership: below {FEWEST_ITEMS} items of a set one can be told from the other by chance."
            return replace(so_far, not_checked=(why,))
        counted = curve.steps > 0
        looks, auc, se = curve.steps[counted], curve.values[counted], curve.se[counted]
        if not len(looks):
            return replace(so_far, power="No look so far.")
        errors = -ndtri(_spent(self.alpha, len(looks)))
        found = np.flatnonzero(auc - errors * se > self.above)
        if not len(found):
            seen = self.above + float((errors[-1] + CERTAIN) * se[-1])
            what = f"An AUC of {seen:.2f} would" if seen < 1 else "No AUC could"
            return replace(so_far, power=f"{what} have been seen.")
        first = int(found[0])
        message = f"A training item has a lower loss than a held-out one with probability {auc[first]:.2f}."
        if self.attack:
            message = message.replace("loss", f"error of {self.attack}")
        if first == 0:
            why = (
                f"Whether that was learned since: it was so at the first look (step {looks[0]:,}). The model may have "
                "known its training items before, or the sets were not divided by chance."
            )
            so_far = replace(so_far, not_checked=(why,))
        return _found(so_far, record, looks, first, Reason.MEMBERS, message)


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
        so_far = going_on(record, step, rule)
        copies, chance = (curve_until(record, name, step) for name in ("copy_fraction", "copy_fraction_chance"))
        if copies is None or (chance is not None and not np.intersect1d(copies.steps, chance.steps).size):
            return so_far  # a kill may have come between the two of the first look
        steps, above = above_chance(copies, 0.0 if chance is None else chance)
        last = list(zip(steps.tolist(), above.tolist(), strict=True))[-self.looks :]
        if len(last) < self.looks or not all(value > self.share for _, value in last):
            return so_far
        message = f"{percent(last[-1][1])} of the samples are copies, above chance."
        return replace(so_far, stop=True, since=last[0][0], reason=Reason.COPIES, message=message)


def _found(
    so_far: Verdict, record: RunRecord, looks: NDArray[np.int64], first: int, reason: Reason, message: str
) -> Verdict:
    """The verdict of a rule that a look has passed for the first time."""
    before, since = int(looks[first - 1]) if first else 0, int(looks[first])
    keep = best_until(record, before)
    return replace(so_far, stop=True, since=since, keep=keep, reason=reason, message=message, interval=(before, since))


def _fewest_items(record: RunRecord, step: int | None) -> float:
    """How many items the smaller set has; infinite where that is not known."""
    curves = (curve_until(record, name, step) for name in ("train_loss", "heldout_loss"))
    return min((int(curve.counts.min()) for curve in curves if curve is not None), default=math.inf)


def _spent(alpha: float, looks: int) -> NDArray[np.float64]:
    """What each look may spend of the probability of a false alarm: in all alpha, however many there are."""
    k = np.arange(1, looks + 1, dtype=float)
    return alpha / (k * (k + 1))


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ConfigError(f"the probability of a false alarm lies between 0 and 1; got {alpha}.")
