"""The sections of the page of an audit: their words, when they are shown, and what they show."""

from collections.abc import Callable, Iterator

from taumem.record.audit import AuditRecord
from taumem.report.audit_sections import checks, found, made, pairs, scores
from taumem.report.sections.section import Section

__all__ = ["SECTIONS"]

SECTIONS: tuple[Callable[[AuditRecord], Iterator[Section]], ...] = (
    found.section,
    pairs.section,
    scores.histogram,
    found.phantoms,
    found.partial,
    found.at_risk,
    scores.scores,
    checks.controls,
    checks.duplicates,
    checks.unchecked,
    made.section,
)
"""In the order of the page; each yields what it has to show."""
