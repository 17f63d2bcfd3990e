"""How much sampled images are like the data, as wholes, over training."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section, has_points

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where samples were compared with images as wholes."""
    panels = (
        Panel("frechet-heldout", "Fréchet distance from held-out images", figures.frechet(study)),
        Panel("frechet-train", "Fréchet distance from the training set", figures.frechet(study, "train")),
        Panel("among-heldout", "Precision and recall against held-out images", figures.precision_and_recall(study)),
        Panel("among-train", "and against the training set", figures.precision_and_recall(study, "train")),
    )
    if drawn := tuple(panel for panel in panels if has_points(panel.figure)):
        text = (
            "Distances are over those of as many held-out images: 1 is what new images of the data give. By copying, "
            "samples come no nearer than that to held-out images, but to the training set they do: below 1 they are "
            "nearer to it than new images are, and whoever chooses a checkpoint there chooses one that copies. "
            "Circles mark tau_val, diamonds tau_quality; bands are two standard errors of drawing the samples. The "
            "features are random convolutions, which need no file: these numbers are no FID."
        )
        yield Section("quality", "How much the samples are like the data", text, drawn)
