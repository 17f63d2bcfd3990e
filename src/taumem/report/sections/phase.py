"""What was learned and what was memorized, and of a grammar what stopping in time costs."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where there is a phase diagram."""
    phase = study.phase
    diagram = Panel("phase", "The phase diagram", figures.phase_diagram(study))
    if phase is not None and not phase.depth:
        yield Section("phase", "The phase diagram", panels=(diagram,), template="regions")
    elif phase is not None:
        panels = (
            diagram,
            Panel("price", "What a model can do when copies set in, against P / P*", figures.price(study)),
            Panel("levels-step", "against the step", figures.levels(study)),
            Panel("levels-example", "against the step per training example", figures.levels(study, per_example=True)),
        )
        title = "The phase diagram, and the price of stopping early"
        yield Section("phase", title, panels=panels, template="phase")
