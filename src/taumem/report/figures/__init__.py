"""One function a figure: each draws a :class:`~taumem.analysis.Study` and returns a plotly figure."""

from taumem.report.figures.clock_order import order
from taumem.report.figures.items import onsets_of_items
from taumem.report.figures.learning import levels, price
from taumem.report.figures.onsets import law
from taumem.report.figures.parts import motif_use, part_copies, part_onsets
from taumem.report.figures.phase import phase_diagram
from taumem.report.figures.quality import frechet, precision_and_recall
from taumem.report.figures.sampling import agreement, chance_of_copies, copies, membership
from taumem.report.figures.stopping import stopping_price
from taumem.report.figures.style import night
from taumem.report.figures.text import bits, dictionary_words, entropy, infilling, ngram_divergence, novelty
from taumem.report.figures.training import gap, losses

__all__ = [
    "agreement",
    "bits",
    "chance_of_copies",
    "copies",
    "dictionary_words",
    "entropy",
    "frechet",
    "gap",
    "infilling",
    "law",
    "levels",
    "losses",
    "membership",
    "motif_use",
    "ngram_divergence",
    "night",
    "novelty",
    "onsets_of_items",
    "order",
    "part_copies",
    "part_onsets",
    "phase_diagram",
    "precision_and_recall",
    "price",
    "stopping_price",
]
