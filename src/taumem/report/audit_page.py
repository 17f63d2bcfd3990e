"""One self-contained page about an audit: it opens offline, asks nothing of any server, and can be sent by mail."""

import json
import re
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from taumem.analysis.wording import plain_name, plural, sentence
from taumem.record import write_atomically
from taumem.record.audit import AuditRecord
from taumem.report.audit_notes import cautions, distances_of_tokens, intervals
from taumem.report.audit_sections import SECTIONS
from taumem.report.figures import night
from taumem.report.redacted import redacted
from taumem.report.rendering import render

__all__ = ["audit_page_of", "write_audit_page"]

NO_VERDICT = "No verdict: this audit cannot tell whether there are copies."


def write_audit_page(
    path: Path | str,
    record: AuditRecord,
    *,
    redact: bool = False,
    reproduce: str | None = None,
    verify: str = "taumem audit --verify FOLDER",
) -> Path:
    """Write the page of an audit.

    Args:
        path: the HTML file to write.
        record: what the audit found; its pairs hold the pictures and texts that the page shows.
        redact: leave out images, texts and the names of files: items are called by their numbers.
        reproduce: the command that makes the audit again; left out of a redacted page, since it names files.
        verify: the command that recomputes it.

    Returns:
        The path.
    """
    path = Path(path)
    write_atomically(path, audit_page_of(record, redact=redact, reproduce=reproduce, verify=verify))
    return path


def audit_page_of(
    record: AuditRecord,
    *,
    redact: bool = False,
    reproduce: str | None = None,
    verify: str = "taumem audit --verify FOLDER",
) -> str:
    """The page of an audit, as HTML; the arguments are those of :func:`write_audit_page`."""
    if redact:
        record, reproduce, verify = redacted(record), None, "taumem audit --verify FOLDER"
    return render(
        "audit.html.j2",
        folder="audit_sections",
        record=record,
        redacted=redact,
        title=_title(record),
        verdict=NO_VERDICT if record.verdict.state == "withheld" else record.verdict.sentence,
        subtitle=_subtitle(record),
        cautions=[*map(sentence, record.verdict.withheld), *cautions(record)],
        sections=[section for sections_of in SECTIONS for section in sections_of(record)],
        reproduce=reproduce,
        verify=verify,
        intervals=" ".join([intervals(record), *distances_of_tokens(record)]),
        night=Markup(json.dumps(night([]))),
        plotly=Markup(get_plotlyjs()),
    )


def _title(record: AuditRecord) -> str:
    sources = [record.inputs[role].source for role in ("generated", "train") if role in record.inputs]
    ends = [re.split(r"[/\\]", source.rstrip("/\\"))[-1] or source for source in sources]
    return f"Audit of {' against '.join(map(plain_name, ends))}" if sources else "Audit"


def _subtitle(record: AuditRecord) -> str:
    kind = record.inputs["generated"].kind if "generated" in record.inputs else ""
    ways = ("orbit", "features") if kind == "images" else ()
    parts = [
        kind,
        plural(record.n_generated, "sample"),
        plural(record.n_train, "training item"),
        plural(record.n_heldout, "held-out item") if record.n_heldout else "no held-out items",
        *(f"{key}: {record.settings[key]}" for key in ways if record.settings.get(key)),
    ]
    return " · ".join(part for part in parts if part)
