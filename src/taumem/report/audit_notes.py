"""What a reader of an audit must know, wherever it is shown: on the page, on the screen, in a model card."""

import operator
from collections.abc import Callable, Iterator

from taumem.analysis.wording import number, percent, plural
from taumem.record.audit import AuditRecord
from taumem.record.input_notes import ITSELF, OTHER_SCALE, SAME_PLACE

__all__ = ["cautions", "distances_of_tokens", "intervals", "notes"]

SUSPICIOUS_P = 0.05
"""Of the test of exchangeability: below it, a reader is warned."""
WARNINGS = (ITSELF, SAME_PLACE, OTHER_SCALE)
"""Notes on inputs without which the numbers mislead."""
IN_WORDS = {
    "generated": "samples",
    "train": "training items",
    "heldout": "held-out items",
    "stress": "stressed samples",
}


def cautions(record: AuditRecord) -> Iterator[str]:
    """What a reader must know before believing the numbers, besides why a verdict is withheld."""
    yield from _told(record, lambda note: note in WARNINGS)
    p = record.exchangeability_p
    if p is not None and p < SUSPICIOUS_P:
        yield (
            "Where no copies are, samples score otherwise than the items that p-values are ranks among "
            f"(p = {number(p)}): p, q and the bounds may be off, either way."
        )
    if record.duplicates.heldout_near:
        raised = " They raise chance, and hide copies." if record.copies.chance and record.copies.chance.count else ""
        what = plural(record.duplicates.heldout_near, "held-out item")
        are = "is a near-duplicate" if record.duplicates.heldout_near == 1 else "are near-duplicates"
        yield f"{what} {are} of training items ({record.duplicates.rule}).{raised}"


def notes(record: AuditRecord) -> Iterator[str]:
    """What else there is to know of the items, as they were read, and of what rules mean for them."""
    yield from _told(record, lambda note: note not in WARNINGS)
    yield from distances_of_tokens(record)


def distances_of_tokens(record: AuditRecord) -> Iterator[str]:
    """What a distance of strings is, and how many symbols a rule lets differ: of short ones often none."""
    samples = record.inputs.get("generated")
    if samples is None or samples.kind != "tokens":
        return
    (n,) = samples.shape
    for rule in record.rules:
        if rule.threshold is not None and rule.name.startswith("distance<"):
            holds = operator.le if rule.name.startswith("distance<=") else operator.lt
            most = max((k for k in range(n + 1) if holds(k / n, rule.threshold)), default=0)
            bound = "at most" if holds is operator.le else "less than"
            yield (
                f"By {rule.name} a sample is a copy if {bound} {percent(rule.threshold)} of its symbols differ from "
                f"those of the nearest training item: of {n}, {most or 'none'}."
            )


def intervals(record: AuditRecord) -> str:
    """Which of the numbers that hold with some probability are which, in one sentence."""
    each = percent(record.copies.confidence)
    return f"Intervals are two-sided, {each} each (of counts exact, Clopper and Pearson); exclusions one-sided, 95 %."


def _told(record: AuditRecord, is_meant: Callable[[str], bool]) -> Iterator[str]:
    """Notes on the inputs; one that several have is told once."""
    roles: dict[str, list[str]] = {}
    for role, items in record.inputs.items():
        for note in filter(is_meant, items.notes):
            roles.setdefault(note, []).append(IN_WORDS.get(role, role))
    for note, whose in roles.items():
        yield f"Of {' and '.join(whose)}: {note[:1].lower()}{note[1:]}"
