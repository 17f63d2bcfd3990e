"""In which order the clocks go off."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section, has_points

__all__ = ["section"]

TEXT = (
    "By which factor each clock goes off before or after tau_val, the minimum of the held-out loss, in the same run: "
    "what a training set and a seed do to all clocks cancels. Bars are intervals of the mean over runs; an open circle "
    "is the ratio of the only run that located both clocks; triangles are bounds, where none did."
)


def section(study: Study) -> Iterator[Section]:
    """Show it where two clocks can be compared."""
    figure = figures.order(study)
    if has_points(figure):
        title, rows = "The order of the clocks", len(figure.layout.yaxis.ticktext)
        untold = ", ".join(each.clock for each in study.order if not each.is_told)
        text = TEXT + (f" Not drawn, as the runs say too little of when they go off: {untold}." if untold else "")
        yield Section("order", title, text, (Panel("order", title, figure),), template="order", shown={"rows": rows})
