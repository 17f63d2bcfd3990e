"""The audit in one sentence: whether there are copies above chance, and whether it could have told."""

import math
from dataclasses import dataclass
from functools import partial

from taumem.analysis.phantoms import samples_needed, share_test, smallest_excluded
from taumem.analysis.shares import exact_interval
from taumem.analysis.wording import plural
from taumem.audit.compared import Compared
from taumem.audit.sides import SELDOM, Sides
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
"""Share of planted copies that an audit must be known to find (95 %, one-sided) to say that there are none."""
UNSEEN_AT_MOST = 0.1
"""Rate of copies that an audit must be able to exclude before it may say that there are none."""


@dataclass(frozen=True)
class _Tested:
    """One of the tests behind the headline: what it is of, its p, and the smallest that this could have been."""

    name: str
    p: float
    best: float


def power_of(copies: CopyShare, flagged: Flagged, controls: tuple[Control, ...]) -> Power:
    """Say what the audit could have seen."""
    n, excluded, smallest = copies.n, smallest_excluded(copies.n), 1 / (flagged.n_null + 1)
    enough = 2 * math.ceil(n / flagged.q)
    single = f"; for a single one to be, {enough:,} held-out items would do"
    told = (
        "a single sample can be flagged"
        if flagged.fewest == 1
        else f"samples are flagged only where {flagged.fewest:,} or more of {n:,} stand out{single}"
        if flagged.fewest <= n
        else f"none of {n:,} samples can be flagged, whatever they are{single}"
    )
    first, *others = (control for control in controls if control.passed is None)
    planted = "; ".join([first.sentence, *(f"{c.name.removeprefix('positive, ')}: {c.count} of {c.n}" for c in others)])
    return Power(
        excluded_above=excluded,
        smallest_p=smallest,
        sentence=f"With {n:,} samples and none found, a rate above {100 * excluded:.2g} % is excluded at 95 % "
        f"(one-sided). A p-value is at least {smallest:.2g} ({flagged.n_null:,} items to compare with), so that at "
        f"q = {flagged.q:g} {told}. {_capitalized(planted)}.",
    )


def verdict_of(copies: CopyShare, flagged: Flagged, compared: Compared, sides: Sides) -> AuditVerdict:
    """Put the audit into one sentence, or say why that cannot be done."""
    assert copies.chance is not None
    tests = _tests(copies, compared, sides)
    first = min(tests, key=lambda test: test.p)
    p, best = (min(1.0, len(tests) * value) for value in (first.p, min(test.best for test in tests)))
    corrected = f", {'the smaller of two tests, corrected' if len(tests) > 1 else 'of one test'}: {first.name}"
    said = f"p = {p:.2g}{corrected if p <= SIGNIFICANT else ''}"
    verdict = partial(AuditVerdict, p=p, test=first.name)
    if reasons := _against(copies, best, compared.controls, sides.duplicates):
        return _withheld(verdict, reasons)
    counts, look = f"{copies.count:,} of {copies.n:,} samples", "looks" if copies.count == 1 else "look"
    what = "held-out items" if copies.chance.source == "heldout" else "training items, each against the others,"
    chance = f"of {what} {copies.chance.count:,} of {copies.chance.n:,} do"
    if copies.count and p <= SIGNIFICANT:
        sentence = (
            f"Copies found: {counts} ({_percent(copies.fraction)}, 95 % interval {_percent(copies.low)} to "
            f"{_percent(copies.high)}) {look} like copies of training items; {chance} ({said})."
        )
        return verdict(state="copies", sentence=sentence)
    if reasons := _too_blind(copies, flagged, compared, sides):
        return _withheld(verdict, reasons)
    if not copies.count:
        found = f"none of {copies.n:,} samples looks like one; {chance}"
    elif copies.fraction <= copies.chance.fraction:
        found = f"{counts} {look} like copies, no more than chance gives: {chance}"
    else:
        found = f"{counts} {look} like copies, which cannot be told from chance: {chance} ({said})"
    above = f"a rate above {100 * smallest_excluded(copies.n, copies.count):.2g} % is excluded at 95 % (one-sided)"
    return verdict(state="none_found", sentence=f"No copies found above chance: {found}; {above}.")


def _tests(copies: CopyShare, compared: Compared, sides: Sides) -> list[_Tested]:
    """The tests of the headline.

    How often held-out items look like copies says little of samples where these differ from them even where no copies
    are, and where held-out items were chosen to equal no training item: then the test of phantoms stands alone.
    """
    assert copies.chance is not None
    assert copies.p is not None
    chance, n, twice = copies.chance, len(compared.seen.distinct), sides.duplicates
    best = share_test(n, n, chance.count, chance.n)
    share = _Tested(f"samples against {'held-out' if chance.source == 'heldout' else 'training'} items", copies.p, best)
    if compared.phantoms is None or sides.heldout is None:
        return [share]
    sided = _Tested("matches on the training side and on the other", compared.phantoms.p, compared.phantoms.best_p)
    alike = compared.certainty.alike_p
    repeat = share_test(twice.generated_heldout, len(sides.generated), twice.heldout_identical, len(sides.heldout))
    return [sided] if repeat < UNLIKE or (alike is not None and alike < UNLIKE) else [share, sided]


def _withheld(verdict: partial[AuditVerdict], reasons: list[str]) -> AuditVerdict:
    return verdict(state="withheld", withheld=tuple(reasons), sentence=f"No verdict: {'; '.join(reasons)}.")


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


def _too_blind(copies: CopyShare, flagged: Flagged, compared: Compared, sides: Sides) -> list[str]:
    """Why it may not be said that there are none."""
    reasons, n_distinct, twice = [], len(compared.seen.distinct), sides.duplicates
    if twice.generated_train * len(sides.kin) > twice.fresh_identical * copies.n:
        reasons.append(
            f"{twice.generated_train:,} of {copies.n:,} samples {'is a' if twice.generated_train == 1 else 'are'} "
            f"training item{'' if twice.generated_train == 1 else 's'}, bit for bit, which may be too few to tell from "
            "chance; look at them"
        )
    if flagged.count:
        reasons.append(
            f"no more samples than by chance are copies by the rule, yet {flagged.count:,} of {flagged.n:,} stand out "
            f"as items that copy nothing do not (q = {flagged.q:g}); look at them"
        )
    reasons += [
        f"it is not known that the rule finds half of the copies that it should ({control.sentence})"
        for control in compared.controls
        if control.name == "positive" and exact_interval(control.count, control.n, 0.9)[0] < SEEN_AT_LEAST
    ]
    unseen = smallest_excluded(copies.n, copies.count)
    if (all_but := smallest_excluded(n_distinct)) > UNSEEN_AT_MOST:
        reasons.append(
            f"{plural(n_distinct, 'distinct sample')} {'is' if n_distinct == 1 else 'are'} too few: a rate of "
            f"{_percent(all_but)} could go unseen; {samples_needed(UNSEEN_AT_MOST):,} samples would do"
        )
    elif unseen > UNSEEN_AT_MOST:
        reasons.append(
            f"{copies.count:,} of {copies.n:,} samples look like copies, which cannot be told from chance, and a rate "
            f"of {_percent(unseen)} could go unseen; a stricter rule, or held-out items that are no near-duplicates of "
            "training items, would do"
        )
    return reasons


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _capitalized(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
