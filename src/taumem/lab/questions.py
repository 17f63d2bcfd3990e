"""Which probes an experiment asks: of images their distances, of strings their grammar, of text what it repeats."""

from functools import lru_cache

import numpy as np
import torch

from taumem.data import Split
from taumem.diffusion import GaussianDiffusion
from taumem.diffusion.keeping import time_when
from taumem.lab.catalog import AnyDiffusion, make_exact, make_grammar, make_text
from taumem.lab.experiment import Experiment, GrammarConfig, TextConfig
from taumem.models import EmpiricalDenoiser, fit_ngram
from taumem.probes import (
    BitsPerSymbol,
    Copies,
    EmpiricalGap,
    GrammarLevels,
    Infilling,
    LossGap,
    PredictiveEntropy,
    Probe,
    SampleProbe,
    TextCopies,
    TextQuality,
)
from taumem.shapes import Items

__all__ = ["probes_of", "sample_probes_of"]

HALFWAY = 0.5
"""Share of lost symbols at which a prediction's certainty is measured: one only, since it costs as much as a loss."""
N_TIMES = 2
"""Diffusion times of each text in the bound on its likelihood."""
AT_ONCE = 2
"""Hidden symbols of a text that are filled in at once, besides those of which the model is sure."""
LONG_ENOUGH = 2_000_000
"""Symbols of a document in which to look for its words."""


def probes_of(
    experiment: Experiment, diffusion: AnyDiffusion, split: Split, sets: dict[str, Items], seed: int
) -> list[Probe]:
    """Give the questions to a model.

    Args:
        experiment: whose.
        diffusion: its process.
        split: the training set and the held-out data, on the model's device.
        sets: the items whose losses are measured, by the name of their set: some of the training items, of the
            held-out ones, and of the twin's training items where there is one.
        seed: of the probes' noise.
    """
    data = experiment.data
    exact = make_exact(data, diffusion)
    empirical = EmpiricalDenoiser(diffusion, split.train) if exact else None
    losses = LossGap(diffusion, sets, times=experiment.monitor.levels, seed=seed, exact=exact, empirical=empirical)
    if isinstance(diffusion, GaussianDiffusion):
        return [losses, EmpiricalGap(diffusion, split.train, sets["heldout"], seed=seed)]
    if not isinstance(data, TextConfig):
        return [losses]
    known = {name: items for name, items in sets.items() if name != "twin"}
    halfway = time_when(torch.tensor([HALFWAY], dtype=torch.float64), diffusion.schedule).tolist()
    asked: list[Probe] = [losses, PredictiveEntropy(diffusion, known, times=halfway, seed=seed)]
    if diffusion.mask is not None:
        # Asked under masks only: hidden symbols need a mask, and the bound under uniform noise needs steps.
        ngram = fit_ngram(split.train.cpu(), diffusion.vocabulary).bits_by_window(sets["heldout"].cpu())
        asked.append(
            BitsPerSymbol(diffusion, known, n_times=N_TIMES, seed=seed, baselines={"ngram": torch.from_numpy(ngram)})
        )
        n_items = experiment.monitor.n_items
        asked.append(
            Infilling(diffusion, split.train, split.heldout, n_items=n_items, positions_per_step=AT_ONCE, seed=seed)
        )
    return asked


def sample_probes_of(experiment: Experiment, split: Split) -> list[SampleProbe]:
    """Give the questions to samples of a model; the arguments are those of :func:`probes_of`."""
    match experiment.data:
        case GrammarConfig() as data:
            return [GrammarLevels(make_grammar(data), split.train)]
        case TextConfig() as data:
            alphabet = make_text(data).alphabet
            orders = range(1, min(3, split.item_shape[0]) + 1)
            return [
                TextCopies(split.train, split.heldout),
                TextQuality(split.heldout, alphabet.decode, _words(data), orders=orders),
            ]
        case _:
            return [Copies(split.train, split.heldout)]


@lru_cache(maxsize=1)
def _words(data: TextConfig) -> frozenset[str]:
    """The words of the text: its dictionary. Of very long documents, those of their beginning."""
    text = make_text(data)
    beginnings = (torch.from_numpy(document[:LONG_ENOUGH].astype(np.int64)) for document in text.documents)
    return frozenset(word for tokens in beginnings for part in text.alphabet.decode(tokens) for word in part.split())
