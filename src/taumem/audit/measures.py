"""The numbers of an audit by name: what a gate can ask for."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from taumem.audit.rules import USUAL, rule_of
from taumem.errors import ConfigError, nearest_name
from taumem.record.audit import AuditRecord, Score, Share

__all__ = ["MEASURES", "Difference", "Measured", "is_share", "known_name", "measured"]


@dataclass(frozen=True)
class Difference:
    """What a share is above another one, with the counts of both."""

    share: Share
    other: Share


Value = Share | Difference | float | None


@dataclass(frozen=True)
class Measured:
    """A number of an audit.

    Attributes:
        value: a share with its counts, or the difference of two, or a plain number.
        of_copies: whether it counts copies, so that an audit that cannot see any says nothing by it.
        by_p_values: whether it rests on p-values, which are none too small where there are few items to compare with.
    """

    value: Share | Difference | float
    of_copies: bool = False
    by_p_values: bool = False


def _excess(record: AuditRecord) -> Value:
    chance = record.copies.chance
    return None if chance is None else Difference(record.copies, chance)


def _identical(record: AuditRecord) -> Share | None:
    return next((rule.samples for rule in record.rules if rule.name == "identical"), None)


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
    "identical": lambda record: None if (share := _identical(record)) is None else share.count,
    "identical.fraction": lambda record: None if (share := _identical(record)) is None else share.fraction,
    "phantoms.p": lambda record: None if record.phantoms is None else record.phantoms.p,
    "power.excluded_above": lambda record: record.power.excluded_above,
    "stress": lambda record: None if record.stress is None else record.stress.copies,
    "stress.count": lambda record: None if record.stress is None else record.stress.copies.count,
    "stress.p": lambda record: None if record.stress is None else record.stress.verdict.p,
    "verdict.p": lambda record: record.verdict.p,
}
"""By name; besides these there are those below."""
OWN = {
    "rules": (*dict.fromkeys(name for names in USUAL.values() for name in names), "distance", "patch", "stretch"),
    "scores": ("authpct", "c_t", "closer_to_train", "mifid_term", "nn_divergence"),
    "membership": ("auc", "tpr_1_in_100", "tpr_1_in_1000"),
}
"""What records hold by names of their own: ``rules[gap<1/4]``, ``scores.c_t``, ``scores.closer_to_train.low``."""
ENDS = {"rules": ("count", "fraction", "high", "low"), "scores": ("high", "low", "value")}
ENDS["membership"] = ENDS["scores"]
"""What may be asked of each of them, behind another dot."""
NAMED = re.compile(r"(?P<family>\w+)(?:\[(?P<own>[^]]+)]|\.(?P<plain>\w+))(?:\.(?P<end>\w+))?")
_OF_COPIES = ("copies", "flagged", "phantoms", "rules", "stress", "verdict")


def known_name(name: str, rule: str | None = None) -> str:
    """A name that may be measured, as records have it, before there is one.

    Args:
        name: as somebody wrote it.
        rule: the rule that copies will be counted by, where it is known.

    Raises:
        ConfigError: nothing of that name can be measured.
    """
    found = NAMED.fullmatch(name)
    family = found["family"] if found else ""
    if name in MEASURES or found is None or family not in OWN:
        known = [*MEASURES, *(f"{family}[...]" for family in OWN)]
        return _known(name, name, known)
    own = _rule_name(found["own"] or found["plain"]) if family == "rules" else found["own"] or found["plain"]
    _known(name, own, [*OWN[family], *([rule_of(rule).name] if rule and family == "rules" else [])])
    if found["end"]:
        _known(name, found["end"], ENDS[family])
    if family != "rules":
        return name
    return f"rules[{own}]" + (f".{found['end']}" if found["end"] else "")


def is_share(name: str) -> bool:
    """Whether what has this name is a share, or a probability."""
    family = re.split(r"[.\[]", name)[0]
    return (
        family not in ("scores", "membership", "duplicates")
        and name not in ("flagged", "identical")
        and not name.endswith(".count")
    )


def measured(record: AuditRecord, name: str) -> Measured | str:
    """A number of a record by its name; in words why there is none."""
    family = re.split(r"[.\[]", name)[0]
    value = MEASURES[name](record) if name in MEASURES else _named(record, name)
    if family == "stress" and record.stress and record.stress.verdict.state == "withheld":
        return f"of the stressed samples no verdict can be given: {'; '.join(record.stress.verdict.withheld)}."
    if value is None:
        return "it was not measured."
    if isinstance(value, str):
        return value
    return Measured(value, family in _OF_COPIES, family in ("flagged", "verdict"))


def _known(name: str, part: str, known: Iterable[str]) -> str:
    names = list(known)
    if part not in names:
        raise ConfigError(f"a gate names what is measured; there is no {name!r}: {nearest_name(part, names)}")
    return name


def _rule_name(written: str) -> str:
    """A rule as records call it: without spaces."""
    try:
        return rule_of(written).name
    except ConfigError:
        return written  # a rule for parts, or none


def _named(record: AuditRecord, name: str) -> Value | str:
    """A rule or a score that records hold by its own name."""
    found = NAMED.fullmatch(name)
    tables: dict[str, dict[str, Score | Share]] = {
        "rules": {rule.name: rule.samples for rule in (*record.rules, *record.partial)},
        "scores": dict(record.scores),
        "membership": {score.name: score for score in record.membership},
    }
    assert found is not None
    table, own = tables[found["family"]], found["own"] or found["plain"]
    if own not in table:
        return f"it was not measured; {nearest_name(own, table) if table else 'nothing of its kind was.'}"
    value = table[own]
    if found["end"]:
        number: float | None = getattr(value, found["end"])
        return number
    return value.value if isinstance(value, Score) else value
