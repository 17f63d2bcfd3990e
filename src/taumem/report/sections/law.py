"""When each clock went off, and the laws that follow."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where a clock could be read."""
    if not study.onsets:
        return
    fitted = [clock for clock in study.clocks if clock.drawn]
    text = "When each clock went off, against the number of training examples P. Choose which clocks to see. "
    if fitted:
        text += (
            "The line is the law, with a free exponent where the onsets determine one, and of the clock that was "
            "forecast the one that forecast it; the band is its prediction for a single run. "
        )
    yield Section(
        "law",
        "The law" if fitted else "Onsets, and no law yet",
        f"{text}Triangles are bounds: they point to where the onset lies.",
        (Panel("law", "The law", figures.law(study)),),
        template="law",
        shown={
            "fitted": fitted,
            "collapse_above_1": any((clock.linear.collapse or 0) > 1 for clock in fitted if clock.linear),
        },
    )
