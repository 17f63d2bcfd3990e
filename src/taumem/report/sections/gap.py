"""The gap between the loss on training items and on others, over training."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Section, over_training

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where a gap was measured."""
    two_models = " of two models on disjoint sets" if study.twins else " between training and held-out items"
    text = (
        f"The relative gap{two_models}. If the onset grows in proportion to the number of training examples P, "
        "curves that lie apart against the step fall on one another against the step per training example."
    )
    yield from over_training(study, "gap", "The gap, and its collapse", text, figures.gap)
