"""One function a figure: each draws a :class:`~taumem.report.study.Study` and returns a plotly figure."""

from taumem.report.figures.law import law
from taumem.report.figures.phase import levels, phase_diagram, price
from taumem.report.figures.sampling import agreement, chance_of_copies, copies, membership
from taumem.report.figures.style import night
from taumem.report.figures.training import gap, losses

__all__ = [
    "agreement",
    "chance_of_copies",
    "copies",
    "gap",
    "law",
    "levels",
    "losses",
    "membership",
    "night",
    "phase_diagram",
    "price",
]
