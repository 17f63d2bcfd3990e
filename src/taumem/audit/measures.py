"""The numbers of an audit by name: what a gate can ask for."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from taumem.errors import nearest_name
from taumem.record.audit import AuditRecord, Score, Share

__all__ = ["FAMILIES", "MEASURES", "Measured", "measured"]

Value = Share | float | None


@dataclass(frozen=True)
class Measured:
    """A number of an audit.

    Attributes:
        value: a share with its counts, or a plain number.
        of_copies: whether it counts copies, so that an audit that cannot see any says nothing by it.
        by_p_values: whether it rests on p-values, which are none too small where there are few items to compare with.
    """

    value: Share | float
    of_copies: bool = False
    by_p_values: bool = False


def _excess(record: AuditRecord) -> Value:
    chance = record.copies.chance
    return None if chance is None else record.copies.fraction - chance.fraction


MEASURES: dict[str, Callable[[AuditRecord], Value]] = {
    "copies": lambda record: record.copies,
    "copies.above_chance": _excess,
    "copies.count": lambda record: record.copies.count,
    "copies.fraction": lambda record: record.copies.fraction,
    "copies.high": lambda record: record.copies.high,
    "copies.low": lambda record: record.copies.low,
    "copies.p": lambda record: record.copies.p,
    "duplicates.generated_identical": lambda record: record.duplicates.generated_identical,
    "duplicates.heldout_identical": lambda record: record.duplicates.heldout_identical,
    "duplicates.heldout_near": lambda record: record.duplicates.heldout_near,
    "duplicates.train_identical": lambda record: record.duplicates.train_identical,
    "duplicates.train_near": lambda record: record.duplicates.train_near,
    "exchangeability_p": lambda record: record.exchangeability_p,
    "flagged": lambda record: record.flagged.count,
    "flagged.count": lambda record: record.flagged.count,
    "flagged.fraction": lambda record: record.flagged.count / max(record.flagged.n, 1),
    "phantoms.p": lambda record: None if record.phantoms is None else record.phantoms.p,
    "power.excluded_above": lambda record: record.power.excluded_above,
    "verdict.p": lambda record: record.verdict.p,
}
"""By name; besides these the families below."""
FAMILIES = ("rules[", "scores[", "membership[", "scores.", "membership.")
"""What records hold by names of their own: ``rules[gap<1/4]``, ``scores.c_t``, ``scores.closer_to_train.low``."""
PARTS = ("count", "fraction", "high", "low", "value")
_OF_COPIES = ("copies", "flagged", "phantoms", "rules", "verdict")


def measured(record: AuditRecord, name: str) -> Measured | str:
    """A number of a record by its name; in words why there is none."""
    family = re.split(r"[.\[]", name)[0]
    value = MEASURES[name](record) if name in MEASURES else _named(record, name)
    if value is None:
        return "it was not measured."
    if isinstance(value, str):
        return value
    return Measured(value, family in _OF_COPIES, family in ("flagged", "verdict"))


def _named(record: AuditRecord, name: str) -> Value | str:
    """A rule or a score that records hold by its own name."""
    found = re.fullmatch(r"(\w+)(?:\[(?P<own>[^]]+)]|\.(?P<plain>\w+))(?:\.(?P<part>\w+))?", name)
    tables: dict[str, dict[str, Score | Share]] = {
        "rules": {rule.name: rule.samples for rule in (*record.rules, *record.partial)},
        "scores": dict(record.scores),
        "membership": {score.name: score for score in record.membership},
    }
    table = tables[name.replace("[", ".").partition(".")[0]]
    own = (found["own"] or found["plain"]) if found else name
    if found is None or own not in table:
        return f"it was not measured; {nearest_name(own, table) if table else 'nothing of its kind was.'}"
    value, part = table[own], found["part"] or ""
    if part:
        number: float | None = getattr(value, part, None) if part in PARTS else None
        return number
    return value.value if isinstance(value, Score) else value
