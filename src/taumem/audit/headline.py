"""The audit in one sentence: whether there are copies above chance, and whether it could have told."""

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.phantoms import phantom_test, samples_needed, share_test, smallest_excluded
from taumem.audit.rules import Rule
from taumem.neighbors.matches import Matches
from taumem.record.audit import AuditVerdict, Control, CopyShare, Flagged, Phantoms, Power

__all__ = ["phantoms_of", "power_of", "verdict_of"]

SIGNIFICANT = 0.05
SEEN_AT_LEAST = 0.5
"""Share of planted copies that an audit must find before it may say that there are none."""
UNSEEN_AT_MOST = 0.1
"""Rate of copies that an audit must be able to exclude before it may say that there are none."""


def phantoms_of(
    rule: Rule,
    pooled: Matches,
    groups: NDArray[np.int64],
    n_train: int,
    n_groups: tuple[int, int],
) -> Phantoms:
    """Test matches on the training side against matches to held-out items.

    Each sample's nearest item is looked for on both sides together, by one rule. If the model did not know which items
    it was trained on, which of the matched ones are training items is a draw without replacement.

    Args:
        rule: what a match is.
        pooled: samples against training and held-out items together.
        groups: of training and held-out items, one after the other [P + n].
        n_train: P.
        n_groups: how many groups there are on either side.
    """
    matched = pooled.nearest[rule.copied(pooled)]
    ours, theirs = (len(np.unique(groups[side])) for side in (matched[matched < n_train], matched[matched >= n_train]))
    test = phantom_test(n_groups[0], n_groups[1], ours, theirs)
    return Phantoms(
        n_train=n_groups[0],
        n_heldout=n_groups[1],
        matched_train=ours,
        matched_heldout=theirs,
        expected_heldout=test.expected_heldout,
        p=test.p,
        best_p=test.best_p,
    )


def power_of(n: int, flagged: Flagged, planted: Control) -> Power:
    """Say what the audit could have seen."""
    excluded, smallest = smallest_excluded(n), 1 / (flagged.n_null + 1)
    sentence = (
        f"With {n:,} samples and none found, a rate above {100 * excluded:.2g} % is excluded at 95 %. A p-value is at "
        f"least {smallest:.2g} ({flagged.n_null:,} items to compare with), so that at q = {flagged.q:g} "
    )
    sentence += (
        "a single sample can be flagged."
        if flagged.fewest == 1
        else f"samples are flagged where {flagged.fewest:,} or more of {n:,} stand out."
        if flagged.fewest <= n
        else f"none of {n:,} samples can be flagged: more held-out items are needed."
    )
    return Power(excluded_above=excluded, smallest_p=smallest, sentence=f"{sentence} {_capitalized(planted.sentence)}.")


def verdict_of(
    copies: CopyShare, flagged: Flagged, phantoms: Phantoms | None, controls: tuple[Control, ...], power: Power
) -> AuditVerdict:
    """Put the audit into one sentence, or say why that cannot be done."""
    assert copies.chance is not None
    assert copies.p is not None
    tests = [copies.p] if phantoms is None else [copies.p, phantoms.p]
    p = min(1.0, len(tests) * min(tests))
    withheld = tuple(_against(copies, phantoms, controls))
    if withheld:
        return AuditVerdict(state="withheld", p=p, withheld=withheld, sentence=f"No verdict: {'; '.join(withheld)}.")
    counts = f"{copies.count:,} of {copies.n:,} samples"
    chance = f"{copies.chance.count:,} of {copies.chance.n:,}"
    what = "held-out items" if copies.chance.source == "heldout" else "training items, each against the others"
    if copies.count and p <= SIGNIFICANT:
        sentence = (
            f"Copies found: {counts} ({_percent(copies.fraction)}, 95 % interval {_percent(copies.low)} to "
            f"{_percent(copies.high)}) are copies of training items; of {what}, {chance} look so (p = {p:.2g})."
        )
        return AuditVerdict(state="copies", p=p, sentence=sentence)
    if blind := tuple(_too_blind(copies, flagged, controls, power)):
        return AuditVerdict(state="withheld", p=p, withheld=blind, sentence=f"No verdict: {'; '.join(blind)}.")
    above = f"a rate above {100 * smallest_excluded(copies.n, copies.count):.2g} % is excluded at 95 %"
    found = f"{counts} look like copies, no more than chance gives" if copies.count else f"none of {copies.n:,} samples"
    sentence = f"No copies found above chance: {found} ({what}: {chance}); {above}."
    return AuditVerdict(state="none_found", p=p, sentence=sentence)


def _against(copies: CopyShare, phantoms: Phantoms | None, controls: tuple[Control, ...]) -> list[str]:
    """Why no verdict of either kind may be given."""
    reasons = [
        f"the negative control failed ({control.sentence}, p = {control.p:.2g}): held-out items are not like fresh data"
        for control in controls
        if control.passed is False
    ]
    assert copies.chance is not None
    best = share_test(copies.n, copies.n, copies.chance.count, copies.chance.n)
    if min(best, 1.0 if phantoms is None else phantoms.best_p) > SIGNIFICANT:
        reasons.append(
            f"{copies.n:,} samples against {copies.chance.n:,} items that copy nothing could not show copies even if "
            "all were some"
        )
    return reasons


def _too_blind(copies: CopyShare, flagged: Flagged, controls: tuple[Control, ...], power: Power) -> list[str]:
    """Why it may not be said that there are none."""
    reasons = []
    if flagged.count:
        reasons.append(
            f"no more samples than by chance are copies by the rule, yet {flagged.count:,} of {flagged.n:,} stand out "
            f"as items that copy nothing do not (q = {flagged.q:g}); look at them"
        )
    reasons += [
        f"too few planted copies are found to say that there are none ({control.sentence})"
        for control in controls
        if control.passed is None and control.count < SEEN_AT_LEAST * control.n
    ]
    if power.excluded_above > UNSEEN_AT_MOST:
        needed = samples_needed(UNSEEN_AT_MOST)
        reasons.append(
            f"{copies.n:,} samples are too few: a rate of {_percent(power.excluded_above)} could go unseen; {needed:,} "
            "samples would do"
        )
    return reasons


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
