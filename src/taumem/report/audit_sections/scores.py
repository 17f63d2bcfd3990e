"""How the scores of samples lie against those of items that copy nothing, and the scores that others report."""

from collections.abc import Iterator

from taumem.record.audit import AuditRecord
from taumem.report.figures.audit import scores as figure_of_scores
from taumem.report.sections.section import Panel, Section

__all__ = ["histogram", "scores"]


def histogram(record: AuditRecord) -> Iterator[Section]:
    """Show it where there is something to count."""
    if any(record.histogram.generated):
        text = (
            "The score of each sample, small for a copy, against that of items that copy nothing (the null). Copies "
            "stand out on the left, where the null has next to none. The dashed line is the threshold chosen above."
        )
        panel = Panel("scores", "Scores of samples and of the null", figure_of_scores(record))
        yield Section("histogram", "How suspicious the samples are", text, (panel,))


def scores(record: AuditRecord) -> Iterator[Section]:
    """Show it where any was reckoned."""
    if record.scores or record.membership:
        text = "So that this audit can be compared with others. The signs and conventions differ from tool to tool."
        tables = [table for table in (tuple(record.scores.values()), record.membership) if table]
        yield Section("scores", "Scores that others report", text, template="scores", shown={"tables": tables})
