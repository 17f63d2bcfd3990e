"""How each clock is read off what was seen of a run: None where its quantities are missing."""

import math
from collections.abc import Callable

from taumem.analysis.clocks.clock import Seen
from taumem.analysis.clocks.losses import tau_gap_base, tau_gap_sym, tau_gen
from taumem.analysis.clocks.means import tau_val_mean
from taumem.analysis.clocks.members import FEWEST_MEMBERS, FEWEST_TOLD, tau_member, tau_tpr
from taumem.analysis.clocks.samples import PART_COPIED, tau_copy, tau_level, tau_split
from taumem.analysis.course import FEWEST_LOOKS
from taumem.analysis.placing import Placed, right_censored

__all__ = [
    "read_above_chance",
    "read_gap",
    "read_gap_base",
    "read_gap_sym",
    "read_heldout",
    "read_level",
    "read_means",
    "read_member",
    "read_part",
    "read_split",
    "read_tpr",
]


def read_heldout(
    seen: Seen, confidence: float, *, place: Callable[..., Placed], quantity: str = "heldout_loss"
) -> Placed | None:
    """Place an onset on a curve of held-out items, such as their loss."""
    heldout = seen.items_curve(quantity, looks=FEWEST_LOOKS)
    return None if heldout is None else place(heldout, confidence=confidence)


def read_means(seen: Seen, confidence: float) -> Placed | None:
    """Place the minimum of a held-out loss whose items are not known."""
    heldout = seen.curve("heldout_loss")
    if heldout is None or heldout.items is not None or (heldout.steps > 0).sum() < FEWEST_LOOKS:
        return None
    return tau_val_mean(heldout, confidence=confidence)


def read_gap(
    seen: Seen, confidence: float, *, threshold: float, place: Callable[..., Placed], looks: int = 1
) -> Placed | None:
    """Place where training items do better than held-out ones by a threshold."""
    train, heldout = seen.items_curve("train_loss"), seen.items_curve("heldout_loss")
    if train is None or heldout is None or len(set(heldout.steps) & set(train.steps) - {0}) < looks:
        return None
    if min(train.values.min(), heldout.values.min()) < 0:  # likelihoods, say: nothing is relative to them
        return None
    return place(train, heldout, threshold=threshold, confidence=confidence)


def read_gap_base(seen: Seen, confidence: float, *, threshold: float) -> Placed | None:
    """Place the same of losses that are measured against those before training."""
    curves = [seen.items_curve(name) for name in ("train_loss", "heldout_loss")]
    if any(curve is None or 0 not in curve.steps for curve in curves):
        return None
    return read_gap(seen, confidence, threshold=threshold, place=tau_gap_base)


def read_gap_sym(seen: Seen, confidence: float, *, threshold: float) -> Placed | None:
    """Place where two models on disjoint sets do better on their own items than the other one does."""
    losses = seen.twin_losses
    if losses is None or min(each.min() for each in losses.means) < 0:
        return None
    return tau_gap_sym(losses, threshold=threshold, confidence=confidence)


def read_member(seen: Seen, confidence: float, *, threshold: float, errors: str = "loss") -> Placed | None:
    """Place where the AUC of membership has grown by a threshold, by the loss or by the errors of an attack."""
    learning = seen.items_curve("heldout_loss")
    train, heldout = (seen.items_curve(f"{name}_{errors}") for name in ("train", "heldout"))
    if train is None or heldout is None or learning is None:
        return None
    looks = set(train.steps) & set(heldout.steps) & set(learning.steps) - {0}
    if len(looks) < FEWEST_TOLD or min(train.counts.min(), heldout.counts.min()) < FEWEST_MEMBERS:
        return None
    return tau_member(train, heldout, threshold=threshold, learning=learning, confidence=confidence)


def read_tpr(seen: Seen, confidence: float, *, threshold: float) -> Placed | None:
    """Place where training items are found, at 1 % false positives, more often than chance finds them."""
    found, heldout = seen.curve("membership_tpr"), seen.curve("heldout_loss")
    if found is None or heldout is None or found.counts.min() < FEWEST_MEMBERS:
        return None
    return tau_tpr(found, int(heldout.counts.min()), threshold=threshold, confidence=confidence)


def read_above_chance(seen: Seen, confidence: float, *, quantity: str, threshold: float) -> Placed | None:
    """Place where a share passes the chance that is recorded beside it."""
    share, chance = seen.curve(quantity), seen.curve(f"{quantity}_chance")
    return (
        None if share is None or chance is None else tau_copy(share, chance, threshold=threshold, confidence=confidence)
    )


def read_part(seen: Seen, confidence: float, *, threshold: float) -> Placed | None:
    """Place where samples with a copied part of a size are more than chance gives; the threshold is that size."""
    share, chance = seen.curve(f"part_copies[{threshold:g}]"), seen.curve(f"part_copies_chance[{threshold:g}]")
    if share is None or chance is None:
        return None
    return tau_copy(share, chance, threshold=PART_COPIED, confidence=confidence)


def read_level(seen: Seen, confidence: float, *, grammar_level: int) -> Placed | None:
    """Place where samples obey a grammar up to a level."""
    valid = seen.curve(f"valid[{grammar_level}]")
    return None if valid is None else tau_level(valid, confidence=confidence)


def read_split(seen: Seen, confidence: float) -> Placed | None:
    """Place where two models on disjoint sets part, after both have learned."""
    curves = [one.items_curve("heldout_loss", looks=FEWEST_LOOKS) for one in (seen, seen.other) if one is not None]
    learned = [tau_gen(curve) for curve in curves if curve is not None]
    if len(learned) < 2 or seen.agreement is None:
        return None
    if unknown := [gen.step for gen in learned if gen.censored == "right"]:  # no look is known to count
        return right_censored(math.log(max(unknown)))
    return tau_split(seen.agreement, learned=max(gen.step for gen in learned))
