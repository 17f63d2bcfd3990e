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
            "Distances are over those that as many held-out images have: 1 is what new images of the data give, for "
            "each reference. From held-out images, samples come no nearer than 1 by copying; from the training set "
            "they do: below 1 they are nearer to it than new images are, and a checkpoint that is chosen there is one "
            "that copies. The features are random convolutions, made for seeing blur, noise and missing kinds of "
            "images without any file; they are no Inception features, and their numbers are no FID. Circles mark the "
            "minimum (tau_quality); bands are two standard errors of drawing the samples."
        )
        yield Section("quality", "How much the samples are like the data", text, drawn)
