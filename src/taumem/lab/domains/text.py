"""Windows of text: copies are verbatim or nearly so, and what a model has by heart it can fill in."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from taumem.data import Alphabet, Split, Text, load_text
from taumem.diffusion import TokenDiffusion
from taumem.diffusion.keeping import time_when
from taumem.lab.diffusions import AutoregressiveConfig, MaskedConfig, UniformConfig
from taumem.lab.domain import Asked, losses, n_heldout_unless_said
from taumem.lab.networks import MLPConfig, TransformerConfig
from taumem.lab.sections import DataConfig
from taumem.models import fit_ngram
from taumem.probes import (
    BitsPerSymbol,
    Infilling,
    MotifUse,
    PartCopies,
    PredictiveEntropy,
    Probe,
    SampleProbe,
    TextCopies,
    TextQuality,
)
from taumem.probes.motif_use import ngrams
from taumem.probes.part_copies import Stretches
from taumem.probes.quality import Decode
from taumem.record import DataFacts

__all__ = ["LONG_ENOUGH", "TextConfig", "facts_of", "parts", "quality", "questions"]

HALFWAY = 0.5
"""Share of lost symbols at which a prediction's certainty is measured: one only, since it costs as much as a loss."""
N_TIMES = 2
"""Diffusion times of each text in the bound on its likelihood."""
AT_ONCE = 2
"""Hidden symbols of a text that are filled in at once, besides those of which the model is sure."""
MOTIF_SIZES = (2, 4)
"""Symbols of the n-grams that are motifs: so many that their frequencies are known, and more."""
LONG_ENOUGH = 2_000_000
"""Symbols of a document, or of all lines, in which to look for words."""


class TextConfig(DataConfig):
    """Windows of text; see :func:`taumem.data.load_text`. P counts windows."""

    diffusions = (MaskedConfig, UniformConfig, AutoregressiveConfig)
    models = (TransformerConfig, MLPConfig)

    source: Literal["text"]
    path: str | None = None
    """text8, any file, or a folder of documents; None takes the built-in English."""
    alphabet: Literal["text8", "characters", "bytes"] = "text8"
    vocabulary: int | None = Field(default=None, ge=1)
    """How many symbols there may be; None for any number."""
    skip_unreadable: bool = False
    """Whether to pass over files in a folder that are no texts, with a note that names them."""
    window: int = Field(default=64, ge=1, le=65_536)
    """Symbols in a window."""
    n_heldout: int | None = Field(default=None, ge=2)
    """None holds out a fifth of the windows, at most 512."""

    def open(self) -> "TextDomain":
        """Read the text."""
        options = self.model_dump(include={"alphabet", "vocabulary", "skip_unreadable"})
        text = load_text(self.path, **options)
        n_heldout = self.n_heldout or n_heldout_unless_said(text.n_windows(self.window))
        return TextDomain(text, self.window, n_heldout)


@dataclass(frozen=True, eq=False)
class TextDomain:
    """A text in memory, and how it is cut."""

    text: Text
    window: int
    n_heldout: int

    def split(self, n_train: int, seed: int) -> Split:
        """Cut the text into windows, with some held out."""
        return self.text.windows(n_train, self.n_heldout, self.window, seed).split

    def facts(self, split: Split) -> DataFacts:
        """Say that they are texts, and in which symbols."""
        return facts_of(split, self.text.alphabet)

    def probes(self, asked: Asked) -> list[Probe]:
        """Ask for losses and how sure predictions are; under masks also for bits, and for what is known by heart."""
        return questions(asked)

    def sample_probes(self, split: Split) -> list[SampleProbe]:
        """Ask for copies, and how good the text is."""
        return [TextCopies(split.train, split.heldout), quality(split, self.text.alphabet.decode, self._words)]

    def part_probes(self, split: Split) -> list[SampleProbe]:
        """Ask which samples have a stretch of a training text, and which n-grams they use."""
        return parts(split)

    @cached_property
    def _words(self) -> frozenset[str]:
        """The words of the text: its dictionary. Of very long documents, those of their beginning."""
        decode = self.text.alphabet.decode
        beginnings = (torch.from_numpy(document[:LONG_ENOUGH].astype(np.int64)) for document in self.text.documents)
        return frozenset(word for tokens in beginnings for part in decode(tokens) for word in part.split())


def facts_of(split: Split, alphabet: Alphabet) -> DataFacts:
    """Say that items are texts, and in which symbols."""
    symbols = alphabet.symbols
    if not symbols:  # bytes, of which half are no characters by themselves
        symbols = "".join(chr(byte) if byte < 128 else "\ufffd" for byte in range(256))
    return split.facts.model_copy(update={"kind": "texts", "alphabet": symbols})


def questions(asked: Asked) -> list[Probe]:
    """What is asked of a model of texts."""
    diffusion, split, seed = asked.diffusion, asked.split, asked.seed
    assert isinstance(diffusion, TokenDiffusion)
    known = {name: items for name, items in asked.sets.items() if name != "twin"}
    halfway = time_when(torch.tensor([HALFWAY], dtype=torch.float64), diffusion.schedule).tolist()
    found: list[Probe] = [
        losses(asked),
        PredictiveEntropy(diffusion, known, times=halfway, seed=seed, block=asked.block),
    ]
    if diffusion.mask is not None:
        # Asked under masks only: hidden symbols need a mask, and the bound under uniform noise needs steps.
        ngram = fit_ngram(split.train.cpu(), diffusion.vocabulary).bits_by_window(known["heldout"].cpu())
        baselines = {"ngram": torch.from_numpy(ngram)}
        n_items = asked.n_items
        found += [
            BitsPerSymbol(diffusion, known, n_times=N_TIMES, seed=seed, block=asked.block, baselines=baselines),
            Infilling(diffusion, split.train, split.heldout, n_items=n_items, positions_per_step=AT_ONCE, seed=seed),
        ]
    return found


def quality(split: Split, decode: Decode, words: Collection[str]) -> TextQuality:
    """Ask how good samples of text are."""
    orders = range(1, min(3, *split.item_shape) + 1)
    return TextQuality(split.heldout, decode, words, orders=orders)


def parts(split: Split, line_end: int | None = None) -> list[SampleProbe]:
    """Ask which samples have a stretch of a training text, and which n-grams they use."""
    motifs = {str(n): ngrams(n) for n in MOTIF_SIZES if n <= split.item_shape[0]}
    return [PartCopies(Stretches(split.train, line_end=line_end), split.heldout), MotifUse(split.heldout, motifs)]
