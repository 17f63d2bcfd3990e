"""What was not checked, and why."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.exhibits import way_of
from taumem.report.items import kind_of
from taumem.report.sections.section import Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it always: something is always left unchecked."""
    missing = list(study.missing())
    if not any(way_of(record) for record in study.records):
        missing.append("No run kept samples that can be shown beside the training items nearest to them.")
    if figures.chance_of_copies(study) is None:
        missing.append("Copies were not counted, so nothing here says how many samples are copies.")
    tokens = any(kind_of(record.header.data) in ("strings", "texts") for record in study.records)
    missing.append(
        f"A copy is found {'symbol by symbol' if tokens else 'by pixels'} and by this rule alone. That none was found "
        "does not mean that nothing of the training set can be got out of the model, and is no statement about privacy."
    )
    yield Section("checks", "What was not checked, and why", template="unchecked", shown={"missing": missing})
