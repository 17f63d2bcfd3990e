"""The audit in one sentence: whether there are copies above chance, and whether it could have told."""

from taumem.analysis.phantoms import samples_needed, share_test, smallest_excluded
from taumem.audit.compared import Compared
from taumem.audit.sides import SELDOM
from taumem.record.audit import AuditVerdict, Control, CopyShare, Duplicates, Flagged, Power

__all__ = ["power_of", "verdict_of"]

SIGNIFICANT = 0.05
UNLIKE = 0.001
"""The p below which samples differ from held-out items where no copies are."""
FAILED = {
    "negative": "the negative control failed",
    "alike": "held-out items are not like training items, so that it is unknown what looks like a copy by accident",
}
"""What a control that failed says."""
SEEN_AT_LEAST = 0.5
"""Share of planted copies that an audit must find before it may say that there are none."""
UNSEEN_AT_MOST = 0.1
"""Rate of copies that an audit must be able to exclude before it may say that there are none."""


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


def verdict_of(copies: CopyShare, flagged: Flagged, compared: Compared, duplicates: Duplicates) -> AuditVerdict:
    """Put the audit into one sentence, or say why that cannot be done."""
    assert copies.chance is not None
    p, best = _tests(copies, compared)
    if reasons := _against(copies, best, compared.controls, duplicates):
        return _withheld(p, reasons)
    counts = f"{copies.count:,} of {copies.n:,} samples"
    chance = f"{copies.chance.count:,} of {copies.chance.n:,}"
    what = "held-out items" if copies.chance.source == "heldout" else "training items, each against the others"
    if copies.count and p <= SIGNIFICANT:
        sentence = (
            f"Copies found: {counts} ({_percent(copies.fraction)}, 95 % interval {_percent(copies.low)} to "
            f"{_percent(copies.high)}) look like copies of training items; of {what}, {chance} do (p = {p:.2g})."
        )
        return AuditVerdict(state="copies", p=p, sentence=sentence)
    if reasons := _too_blind(copies, flagged, compared.controls):
        return _withheld(p, reasons)
    above = f"a rate above {100 * smallest_excluded(copies.n, copies.count):.2g} % is excluded at 95 %"
    found = f"{counts} look like copies, no more than chance gives" if copies.count else f"none of {copies.n:,} samples"
    sentence = f"No copies found above chance: {found} ({what}: {chance}); {above}."
    return AuditVerdict(state="none_found", p=p, sentence=sentence)


def _tests(copies: CopyShare, compared: Compared) -> tuple[float, float]:
    """The p of the headline, and the smallest that it could have been.

    Where samples differ from held-out items even where no copies are, how often these look like copies says little of
    samples: then the test of phantoms stands alone.
    """
    assert copies.chance is not None
    assert copies.p is not None
    best = share_test(copies.n, copies.n, copies.chance.count, copies.chance.n)
    tests, bests = [copies.p], [best]
    if compared.phantoms is not None:
        alike = compared.certainty.alike_p
        keeps = alike is None or alike >= UNLIKE
        tests, bests = [compared.phantoms.p, *tests[:keeps]], [compared.phantoms.best_p, *bests[:keeps]]
    return min(1.0, len(tests) * min(tests)), min(1.0, len(bests) * min(bests))


def _withheld(p: float, reasons: list[str]) -> AuditVerdict:
    sentence = f"No verdict: {'; '.join(reasons)}."
    return AuditVerdict(state="withheld", p=p, withheld=tuple(reasons), sentence=sentence)


def _against(copies: CopyShare, best: float, controls: tuple[Control, ...], duplicates: Duplicates) -> list[str]:
    """Why no verdict of either kind may be given."""
    assert copies.chance is not None
    reasons = [f"{FAILED[c.name]} ({c.sentence})" for c in controls if c.passed is False]
    repeated = duplicates.train_identical / max(1, duplicates.train_identical + duplicates.n_groups)
    if copies.chance.source == "left_out" and repeated > SELDOM:
        reasons.append(
            f"{_percent(repeated)} of the training items are there more than once, and without held-out items nobody "
            "can say whether a sample repeats as these do or copies; give held-out items"
        )
    if best > SIGNIFICANT:
        reasons.append(
            f"{copies.n:,} samples against {copies.chance.n:,} items that copy nothing could not show copies even if "
            "all were some"
        )
    return reasons


def _too_blind(copies: CopyShare, flagged: Flagged, controls: tuple[Control, ...]) -> list[str]:
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
        if control.name == "positive" and control.count < SEEN_AT_LEAST * control.n
    ]
    unseen = smallest_excluded(copies.n, copies.count)
    if unseen > UNSEEN_AT_MOST and copies.count:
        reasons.append(
            f"{copies.count:,} of {copies.n:,} samples look like copies by chance, among which a rate of "
            f"{_percent(unseen)} could go unseen; a stricter rule, or held-out items that are no near-duplicates of "
            "training items, would do"
        )
    elif unseen > UNSEEN_AT_MOST:
        reasons.append(
            f"{copies.n:,} samples are too few: a rate of {_percent(unseen)} could go unseen; "
            f"{samples_needed(UNSEEN_AT_MOST):,} samples would do"
        )
    return reasons


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
