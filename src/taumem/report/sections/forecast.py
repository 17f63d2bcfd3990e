"""What was forecast, beside what was measured."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report.sections.section import Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where something was forecast."""
    if study.proof is not None:
        yield Section("forecast", "Forecast and measurement", template="forecast")
