"""An audit that is made again from its inputs, and held against what was written."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taumem.audit.auditing import Progress, audit
from taumem.audit.features import is_named
from taumem.data.gathered import NAMES
from taumem.data.sources import IN_MEMORY
from taumem.errors import RecordError, option
from taumem.record.audit import AuditRecord, Pair
from taumem.record.input_notes import GIVEN_IN_PYTHON, LEFT_OUT

__all__ = ["Verification", "verify"]

TABLE = "findings.csv"
"""The rows in a form that does not depend on the version of a library."""
TINY = 1e-300
CLOSE = 1e-6
"""Relative difference up to which two numbers agree: other processors round differently."""
UNASKED = ("groups", "losses", "stress", "features_sha256")
"""Settings of a record that are no options of :class:`taumem.audit.settings.Settings`."""
UNCOMPARED = ("made", "findings")
"""What may differ: the versions, and files whose numbers are compared in the record."""


@dataclass(frozen=True)
class Verification:
    """What came out.

    Attributes:
        differences: in words, one for each number or hash that is another one now; none where all agree.
        compared: how many numbers and words were compared.
        other_inputs: the inputs whose contents are not those that were audited, in words; differences begin with them.
    """

    differences: tuple[str, ...]
    compared: int
    other_inputs: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def verify(
    folder: Path | str,
    *,
    generated: object | None = None,
    train: object | None = None,
    heldout: object | None = None,
    groups: object | None = None,
    losses: object | None = None,
    stress: object | None = None,
    features: Any = None,
    progress: Progress | None = None,
) -> Verification:
    """Audit again with the settings of a record, and compare.

    Args:
        folder: of the audit.
        generated: the samples; from where the record says if None, and so are the others.
        train: the training items.
        heldout: the held-out items.
        groups: as they were given to the audit.
        losses: as they were given to the audit.
        stress: as it was given to the audit.
        features: as they were given to the audit; needed if they were a function, or the record is redacted.
        progress: as in :func:`taumem.audit.audit`.

    Raises:
        RecordError: the record cannot be read, or does not say where an input is: a redacted one never does.
        DataError: an input cannot be read any more.
    """
    record = AuditRecord.read(folder)
    given = {"generated": generated, "train": train, "heldout": heldout}
    sets = {name: _input(record, name, came) for name, came in given.items()}
    options = {name: _tuples(value) for name, value in record.settings.items() if name not in UNASKED}
    options["features"] = _setting(record, "features", features)
    with TemporaryDirectory() as place:  # so that its rows are written too
        again = audit(
            sets["generated"],
            sets["train"],
            sets["heldout"],
            groups=_setting(record, "groups", groups),
            losses=_setting(record, "losses", losses),
            stress=_setting(record, "stress", stress),
            output=place,
            progress=progress,
            **options,
        )
    is_moved = any(came is not None for came in given.values())  # then items may have other names
    was, now = (_facts(r.model_dump(mode="json") | {"pairs": _plain(r.pairs, is_moved)}) for r in (record, again))
    others = [name for name, part in again.inputs.items() if _digest(record, name) != part.digest]
    differences = [
        f"inputs.{name}.digest: these are not the {NAMES[name]} that were audited: their SHA-256 was "
        f"{_digest(record, name)[:16]}..., and is {again.inputs[name].digest[:16]}..."
        for name in others
    ]
    differences += _of_files(record, Path(folder))
    # Where items may have other names, rows differ by these alone; redacted ones hold none.
    is_alike = not others and (not is_moved or record.settings.get("redact"))
    if is_alike and record.findings.get(TABLE) != again.findings[TABLE]:
        differences.append(f"{TABLE}: its rows are not those that the inputs give")
    again_given = {"groups": groups, "losses": losses, "stress": stress, "features": features}
    elsewhere = {f"settings.{name}" for name, came in again_given.items() if came is not None}
    for name in sorted({*was, *now} - elsewhere):
        if not name.endswith(".digest") and not _agree(was.get(name), now.get(name)):
            differences.append(f"{name}: the record has {_said(was, name)}, the inputs give {_said(now, name)}")
    n_compared = len({*was, *now}) + len(record.findings)
    return Verification(tuple(differences), n_compared, tuple(NAMES[name] for name in others))


def _digest(record: AuditRecord, name: str) -> str:
    return record.inputs[name].digest if name in record.inputs else "none"


def _setting(record: AuditRecord, name: str, given: object | None) -> object | None:
    """What was given beside the sets: as it is given now, or from where the record says."""
    place = record.settings.get(name)  # records of before have no stress
    if given is not None or place is None:
        return given
    if place == LEFT_OUT:
        raise RecordError(f"the audit is redacted, and does not say where its {name} are; say so by {option(name)}.")
    is_function = name == "features" and not is_named(place)
    if place == GIVEN_IN_PYTHON or is_function:
        raise RecordError(
            f"the audit's {name} were given in Python, and no record can say where such are; give the same again: "
            f"taumem.audit.verify(..., {name}=...)."
        )
    return str(place)


def _input(record: AuditRecord, name: str, given: object | None) -> object | None:
    if given is not None or name not in record.inputs:
        return given
    if record.settings.get("redact"):
        needed = ", ".join(option(role) for role in record.inputs)
        raise RecordError(f"the audit is redacted, and does not say where its inputs are; say so by {needed}.")
    source = record.inputs[name].source
    if source == IN_MEMORY:
        raise RecordError(
            f"the audit's {NAMES[name]} were given in Python; give the same again: verify(..., {name}=...), "
            f"or a file that holds them by {option(name)}."
        )
    if not Path(source).expanduser().exists() and not source.startswith("hf:"):
        raise RecordError(
            f"the audit's {NAMES[name]} were at {source!r} ({record.inputs[name].n} of them), where nothing is now; "
            f"say where they are, by {option(name)}."
        )
    return source


def _plain(pairs: tuple[Pair, ...], without_names: bool) -> list[dict[str, Any]]:
    return [pair.model_dump(mode="json", exclude={"sample", "train"} if without_names else None) for pair in pairs]


def _of_files(record: AuditRecord, folder: Path) -> list[str]:
    """What is wrong with the files of the findings."""
    wrong = []
    for name, digest in record.findings.items():
        file = (folder if folder.is_dir() else folder.parent) / name
        if not file.exists():
            wrong.append(f"{name}: is missing")
        elif hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            wrong.append(f"{name}: was changed since it was written")
    return wrong


def _facts(content: Any, name: str = "") -> dict[str, Any]:
    """Every number and word by its place, such as ``copies.count``."""
    if isinstance(content, list):
        content = {str(place): part for place, part in enumerate(content)}
    if not isinstance(content, dict):
        return {name: content}
    return {
        place: fact
        for key, part in content.items()
        if (name or key not in UNCOMPARED) and key != "source"
        for place, fact in _facts(part, f"{name}.{key}".lstrip(".")).items()
    }


def _agree(was: Any, now: Any) -> bool:
    if isinstance(was, float) and isinstance(now, float | int) and not isinstance(now, bool):
        return math.isclose(was, now, rel_tol=CLOSE, abs_tol=TINY)
    return bool(was == now)


def _said(facts: dict[str, Any], name: str) -> str:
    return repr(facts[name]) if name in facts else "nothing"


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
