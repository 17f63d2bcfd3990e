"""Whether the audit itself is sound, what is there more than once, and what was not looked at."""

from collections.abc import Iterator

from taumem.record.audit import AuditRecord
from taumem.report.sections.section import Section

__all__ = ["controls", "duplicates", "unchecked"]


def controls(record: AuditRecord) -> Iterator[Section]:
    """Show it always: an audit without controls says so."""
    text = (
        "The audit was made of things that are known, too. A negative control copies nothing, and must come out clean; "
        "a positive one was planted, and shows what this audit can find."
    )
    yield Section("controls", "Can this audit be believed?", text, template="controls")


def duplicates(record: AuditRecord) -> Iterator[Section]:
    """Show it always."""
    found = record.duplicates
    rows = [
        ("training items that equal an earlier one", found.train_identical),
        ("training items that are near-duplicates of an earlier one", found.train_near),
        ("held-out items that are training items (left out if the sets were mixed up)", found.heldout_identical),
        ("held-out items that are near-duplicates of training items (kept; they raise chance)", found.heldout_near),
        ("held-out items of a training item's group (left out)", found.heldout_grouped),
        ("samples that equal an earlier one", found.generated_identical),
        ("distinct samples: no near-duplicates of an earlier one", found.generated_distinct),
    ]
    yield Section("duplicates", "Items that are there more than once", template="duplicates", shown={"rows": rows})


def unchecked(record: AuditRecord) -> Iterator[Section]:
    """Show it always: something is always left unchecked."""
    yield Section("unchecked", "What was not looked at, and why", template="unchecked")
