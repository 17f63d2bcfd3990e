"""How many samples are valid, new and distinct, over training."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Section, over_training

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where samples were read as items of a language."""
    text = (
        "Validity: the share of samples that are valid, where this is known. Of the valid ones, novelty: those that "
        "are no training items; uniqueness: what is left without repetitions. A model that copies is valid, not novel."
    )
    yield from over_training(study, "novelty", "Valid, new and distinct samples", text, figures.novelty)
