"""What a symbol of a text costs, over training."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Section, over_training

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where the likelihood of texts was measured."""
    text = (
        "The bound on the bits that a symbol costs: on held-out texts, and dotted on training texts. Dashed: the "
        "bits that held-out texts cost under an n-gram model with Kneser-Ney smoothing, fitted to the same "
        "training texts. A model below it predicts unseen text better than counts of short passages do."
    )
    yield from over_training(study, "bits", "Bits per symbol", text, figures.bits)
