"""Of what and how the audit was made, how to make it again, and how to verify it."""

import json
from collections.abc import Iterator

from markupsafe import Markup

from taumem.record.audit import AuditRecord
from taumem.report.sections.section import Section

__all__ = ["section"]


def section(record: AuditRecord) -> Iterator[Section]:
    """Show it always."""
    content = record.model_dump(mode="json", exclude={"pairs"})
    shown = {
        "facts": {
            "Settings": {key: _told(value) for key, value in record.settings.items()},
            "Cost": {key: f"{value:,.0f}" for key, value in record.cost.items()},
            "Versions": record.made,
            "SHA-256 of the findings": record.findings,
        },
        # No "<" in it can end the script element that it stands in.
        "json": Markup(json.dumps(content).replace("<", "\\u003c")),
    }
    yield Section("made", "How it was made", template="made", shown=shown)


def _told(value: object) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value)
