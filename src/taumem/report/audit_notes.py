"""What a reader of an audit must know, wherever it is shown: on the page, on the screen, in a model card."""

from taumem.analysis.wording import percent
from taumem.record.audit import AuditRecord

__all__ = ["intervals"]


def intervals(record: AuditRecord) -> str:
    """Which of the numbers that hold with some probability are which, in one sentence."""
    each = percent(record.copies.confidence)
    return f"Intervals are two-sided, {each} each (of counts exact, Clopper and Pearson); exclusions one-sided, 95 %."
