"""In which order the clocks go off."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section, has_points

__all__ = ["section"]

TEXT = (
    "By which factor each clock goes off before or after tau_val, the minimum of the held-out loss, in the same run: "
    "what a training set and a seed do to all clocks cancels. Bars are intervals of the mean over runs; triangles are "
    "bounds, of clocks that no run saw."
)


def section(study: Study) -> Iterator[Section]:
    """Show it where two clocks can be compared."""
    figure = figures.order(study)
    if has_points(figure):
        title, rows = "The order of the clocks", len(figure.layout.yaxis.ticktext)
        yield Section("order", title, TEXT, (Panel("order", title, figure),), template="order", shown={"rows": rows})
