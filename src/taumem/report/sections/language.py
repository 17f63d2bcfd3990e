"""How much samples of text read like the language, over training."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section, has_points

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where samples were read as texts."""
    words = "Words of samples that are in the dictionary (the words of the text itself)"
    panels = (
        Panel("words", words, figures.dictionary_words(study)),
        Panel("divergence", "3-grams of samples against those of held-out texts", figures.ngram_divergence(study)),
        Panel("entropy", "How unsure the model is of a hidden symbol", figures.entropy(study)),
    )
    if drawn := tuple(panel for panel in panels if has_points(panel.figure)):
        title = "How much the samples read like the language"
        yield Section("language", title, "Dashed: what held-out texts would give.", drawn)
