"""The losses over training."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Section, over_training

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where a loss was measured."""
    text = (
        "Training and held-out loss part when the model starts to learn its training set rather than the "
        "distribution. Circles mark the minimum of the held-out loss (tau_val)."
    )
    yield from over_training(study, "losses", "Losses", text, figures.losses)
