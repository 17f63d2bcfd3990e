"""How many samples are copies, over training."""

from collections.abc import Iterator

from taumem.analysis import Study, has_levels
from taumem.report import figures
from taumem.report.sections.section import Section, over_training

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where copies were counted."""
    chance = (
        "The dotted lines are the chance level: the share of training strings in the language, times the share of "
        "samples in the language."
        if has_levels(study.records)
        else "The dashed line is the chance level: held-out data, which copy nothing, under the same rule."
    )
    text = f"The share of samples that are copies of training items, with exact 95 % intervals. {chance}"
    yield from over_training(study, "copies", "Copies among samples", text, figures.copies)
