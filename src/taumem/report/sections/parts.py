"""Which parts of samples are copied, when, and whether samples use common motifs too often."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section, has_points

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where copied parts were counted."""
    panels = (
        Panel("part-copies", "Samples with a copied part, above chance", figures.part_copies(study)),
        Panel("part-onsets", "When parts are copied, by their size", figures.part_onsets(study)),
        Panel("motif-surprise", "How much the motifs of samples surprise", figures.motif_use(study)),
        Panel("motif-divergence", "How unlike the data's they are", figures.motif_use(study, "motif_divergence")),
    )
    if drawn := tuple(panel for panel in panels if has_points(panel.figure)):
        text = (
            "A part is a stretch of a text, a sub-tree of a string or a patch of an image; its size is a share of the "
            "item's length or side, and a whole copy counts for all sizes. Chance is what held-out items give under "
            "the same rule. Motifs are n-grams, sub-trees, kinds of patches; of those that the data have, samples that "
            "surprise less than new items do (below 0) use the common ones too often. "
            "Circles mark tau_val; bands are two standard errors."
        )
        yield Section("parts", "Which parts are copied, and whether samples are bland", text, drawn)
