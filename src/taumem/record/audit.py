"""What an audit found: facts about samples and a training set, in numbers that can be checked again.

An audit is a folder: ``audit.json`` (an :class:`AuditRecord`), ``gallery.json`` (the most suspicious pairs, to be
looked at), ``findings.csv`` and ``findings.parquet`` (one row for each sample), and a page. All but the rows is here.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from taumem.errors import RecordError
from taumem.record.at_risk import AtRisk
from taumem.record.audit_facts import (
    AuditedItems,
    AuditVerdict,
    Bounds,
    Chance,
    Control,
    CopyShare,
    Duplicates,
    Fact,
    Flagged,
    Histogram,
    NotRun,
    Pair,
    Phantoms,
    Power,
    RuleResult,
    Score,
    Share,
    Stressed,
)
from taumem.record.files import write_atomically

__all__ = [
    "AtRisk",
    "AuditRecord",
    "AuditVerdict",
    "AuditedItems",
    "Bounds",
    "Chance",
    "Control",
    "CopyShare",
    "Duplicates",
    "Flagged",
    "Histogram",
    "NotRun",
    "Pair",
    "Phantoms",
    "Power",
    "RuleResult",
    "Score",
    "Share",
    "Stressed",
]

SCHEMA = 1
FILE, GALLERY = "audit.json", "gallery.json"


class AuditRecord(Fact):
    """All that an audit found, but for the rows of its findings."""

    schema_version: int = SCHEMA
    kind: Literal["taumem audit"] = "taumem audit"
    made: dict[str, str]
    """Versions of taumem, Python, torch, numpy, scipy; the platform."""
    settings: dict[str, Any]
    """All that was asked for: orbit, rule, q, features, seed, ...; the same settings on the same inputs give the same
    record."""
    inputs: dict[str, AuditedItems]
    """``generated``, ``train``, and where there are some ``heldout`` and ``stress``."""
    n_train: int
    n_generated: int
    n_heldout: int
    verdict: AuditVerdict
    copies: CopyShare
    rules: tuple[RuleResult, ...]
    flagged: Flagged
    bounds: Bounds
    phantoms: Phantoms | None
    scores: dict[str, Score]
    partial: tuple[RuleResult, ...] = ()
    """Partial copies: patches of images, stretches of text."""
    motifs: tuple[dict[str, Any], ...] = ()
    membership: tuple[Score, ...] = ()
    stress: Stressed | None = None
    """What a stress test of the model brings out, where samples of one were given."""
    at_risk: tuple[AtRisk, ...] = ()
    """Training items that are copied most, and those that stand alone among the others."""
    controls: tuple[Control, ...]
    power: Power
    duplicates: Duplicates
    exchangeability: str
    """What the p-values need, in one sentence."""
    exchangeability_p: float | None
    """Of a test whether samples and null differ where no copies are (the upper half of the scores); small means that
    they do."""
    histogram: Histogram
    pairs: tuple[Pair, ...] = Field(default=(), exclude=True)
    """The most suspicious, for the gallery; in a file of its own."""
    not_run: tuple[NotRun, ...]
    cost: dict[str, float]
    """Comparisons, views; not the seconds, which differ from run to run."""
    findings: dict[str, str] = Field(default_factory=dict)
    """Name and SHA-256 of the files beside this one: the rows, the page, the model card."""

    @classmethod
    def read(cls, folder: Path | str) -> "AuditRecord":
        """Read the record of an audit from its folder, or from the file itself.

        Raises:
            RecordError: there is none, or it cannot be read.
        """
        place = Path(folder)
        file = place / FILE if place.is_dir() else place
        record: AuditRecord = _parsed(TypeAdapter(cls), file)
        gallery = file.with_name(GALLERY)
        return record.model_copy(update={"pairs": _parsed(PAIRS, gallery)}) if gallery.exists() else record

    def write(self, folder: Path | str) -> Path:
        """Write ``audit.json`` and ``gallery.json`` into a folder, each atomically, and give the path of the first."""
        file = Path(folder) / FILE
        write_atomically(file.with_name(GALLERY), PAIRS.dump_json(self.pairs, indent=1))
        write_atomically(file, self.to_json() + "\n")
        return file

    def noting(self, folder: Path | str, *names: str) -> "AuditRecord":
        """The record with the SHA-256 of files in its folder that were made of it, so that changes to them are seen."""
        digests = {name: hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest() for name in names}
        return self.model_copy(update={"findings": self.findings | digests})

    def to_json(self) -> str:
        """The record as JSON, without the gallery."""
        return self.model_dump_json(indent=2)


PAIRS = TypeAdapter(tuple[Pair, ...])


def _parsed(schema: TypeAdapter[Any], file: Path) -> Any:
    try:
        return schema.validate_json(file.read_bytes())
    except OSError as error:
        raise RecordError(f"{file}: no audit can be read there ({error.strerror or error}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RecordError(
            f"{file}: not the record of an audit of this version of taumem: {where}: {first['msg']}. Audit again, or "
            "read it with the version that its 'made' names."
        ) from error
