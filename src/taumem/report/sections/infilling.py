"""How many training texts a model completes from memory, over training."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Section, over_training

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where texts were filled in."""
    text = (
        "Half of each text is hidden, and the model fills it in, where it is surest first: the share of training "
        "texts that come back verbatim but for a few symbols, with exact 95 % intervals. Dotted: the share of "
        "held-out texts under the same rule, the chance level."
    )
    yield from over_training(study, "infilling", "Texts filled in from memory", text, figures.infilling)
