"""An audit that is made again from its inputs, and held against what was written."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taumem.audit.auditing import Progress, audit
from taumem.errors import RecordError, option
from taumem.record.audit import AuditRecord, Pair

__all__ = ["Verification", "verify"]

TABLE = "findings.csv"
"""The rows in a form that does not depend on the version of a library."""
TINY = 1e-300
CLOSE = 1e-6
"""Relative difference up to which two numbers agree: other processors round differently."""
UNASKED = ("groups", "losses", "features_sha256")
"""Settings of a record that are no options of :class:`taumem.audit.settings.Settings`."""
UNCOMPARED = ("made", "findings")
"""What may differ: the versions, and files whose numbers are compared in the record."""


@dataclass(frozen=True)
class Verification:
    """What came out.

    Attributes:
        differences: in words, one for each number or hash that is another one now; none where all agree.
        compared: how many numbers and words were compared.
    """

    differences: tuple[str, ...]
    compared: int

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
        progress: as in :func:`taumem.audit.audit`.

    Raises:
        RecordError: the record cannot be read, or does not say where an input is.
        DataError: an input cannot be read any more.
    """
    record = AuditRecord.read(folder)
    given = {"generated": generated, "train": train, "heldout": heldout}
    sets = {name: _input(record, name, came) for name, came in given.items()}
    options = {name: _tuples(value) for name, value in record.settings.items() if name not in UNASKED}
    with TemporaryDirectory() as place:  # so that its rows are written too
        again = audit(
            sets["generated"],
            sets["train"],
            sets["heldout"],
            groups=record.settings["groups"] if groups is None else groups,
            losses=record.settings["losses"] if losses is None else losses,
            output=place,
            progress=progress,
            **options,
        )
    is_moved = any(came is not None for came in given.values())  # then items may have other names
    was, now = (_facts(r.model_dump(mode="json") | {"pairs": _plain(r.pairs, is_moved)}) for r in (record, again))
    differences = _of_files(record, Path(folder))
    if not is_moved and record.findings.get(TABLE) != again.findings[TABLE]:
        differences.append(f"{TABLE}: its rows are not those that the inputs give")
    for name in sorted({*was, *now}):
        if not _agree(was.get(name), now.get(name)):
            differences.append(f"{name}: the record has {_said(was, name)}, the inputs give {_said(now, name)}")
    return Verification(tuple(differences), len({*was, *now}) + len(record.findings))


def _input(record: AuditRecord, name: str, given: object | None) -> object | None:
    if given is not None or name not in record.inputs:
        return given
    source = record.inputs[name].source
    if not Path(source).expanduser().exists() and not source.startswith("hf:"):
        raise RecordError(
            f"the audit's {name} items were at {source!r} ({record.inputs[name].n} of them), where nothing is now; say "
            f"where they are, by {option(name)}."
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
