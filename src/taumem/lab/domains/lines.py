"""Lines: strings of unequal length, one item each. Copies are found by edit distance."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from taumem.data import Lines, Split, load_lines
from taumem.data.lines import ALIKE
from taumem.data.smiles import canonical_smiles
from taumem.errors import ConfigError
from taumem.lab.diffusions import AutoregressiveConfig, MaskedConfig, UniformConfig
from taumem.lab.domain import Asked, n_heldout_unless_said
from taumem.lab.domains.text import LONG_ENOUGH, facts_of, parts, quality, questions
from taumem.lab.networks import MLPConfig, TransformerConfig
from taumem.lab.sections import DataConfig
from taumem.probes import CanonicalForm, Novelty, Probe, SampleProbe, TextCopies
from taumem.record import DataFacts

__all__ = ["LinesConfig"]

MANY = 8192
"""Of so many lines equal ones are counted, to say how many to hold out; those behind change it no more."""


class LinesConfig(DataConfig):
    """One item per line; see :func:`taumem.data.load_lines`. P counts lines."""

    diffusions = (MaskedConfig, UniformConfig, AutoregressiveConfig)
    models = (TransformerConfig, MLPConfig)
    counts_items = True
    holds_all = False

    source: Literal["lines"]
    path: str | None = None
    """A text, a table or a folder of these, or package:NAME/FILE. There is no default: only the user knows."""
    heldout: str | None = None
    """Those of the lines to hold out; None holds some of the others out."""
    column: str | None = None
    """Which column of a table (.csv, .tsv) the items are, by its name in the first line."""
    alphabet: Literal["characters", "bytes"] = "characters"
    symbols: str | None = None
    """The characters that there may be; None for all that occur."""
    max_length: int | None = Field(default=None, ge=1, le=65_536)
    """Symbols of the longest line; longer ones are left out. None takes the longest line's, up to 1,024."""
    resemblance: float = Field(default=ALIKE, gt=0, le=1)
    """Share of passages of 8 symbols in common from which on two lines are near-duplicates; 1 for all of them."""
    notation: Literal["smiles"] | None = None
    """What lines are written in, so that valid ones and different ways to write the same are known; None: nothing."""
    skip_unreadable: bool = False
    """Whether to pass over files in a folder that are no texts, with a note that names them."""
    n_heldout: int | None = Field(default=None, ge=2)
    """None holds out a fifth of the lines, equal ones counted once, at most 512."""

    def open(self) -> "LineDomain":
        """Read the lines."""
        if self.path is None:
            raise ConfigError("the key 'data.path' is missing: say where your lines are by --set data.path=FILE.")
        options = {"column", "alphabet", "symbols", "max_length", "skip_unreadable"}
        lines = load_lines(self.path, self.heldout, **self.model_dump(include=options))
        there = lines.items if lines.heldout is None else lines.heldout
        n_heldout = self.n_heldout or n_heldout_unless_said(len(np.unique(there[:MANY], axis=0)))
        canonical = canonical_smiles() if self.notation else None
        return LineDomain(lines, self.resemblance, n_heldout, canonical)


@dataclass(frozen=True, eq=False)
class LineDomain:
    """Lines in memory."""

    lines: Lines
    resemblance: float
    n_heldout: int
    canonical: CanonicalForm | None

    def split(self, n_train: int, seed: int) -> Split:
        """Shuffle the lines, with some held out."""
        return self.lines.split(n_train, self.n_heldout, seed, resemblance=self.resemblance)

    def facts(self, split: Split) -> DataFacts:
        """Say that they are texts, and in which symbols."""
        return facts_of(split, self.lines.alphabet)

    def probes(self, asked: Asked) -> list[Probe]:
        """Ask what is asked of a model of texts; line ends are symbols as all others."""
        return questions(asked)

    def sample_probes(self, split: Split) -> list[SampleProbe]:
        """Ask for copies, how good the lines are, and which are new."""
        return [
            TextCopies(split.train, split.heldout, line_end=self.lines.end),
            quality(split, self.lines.decode, self._words),
            Novelty(split.train, self.lines.decode, canonical=self.canonical),
        ]

    def part_probes(self, split: Split) -> list[SampleProbe]:
        """Ask which samples have a stretch of a training line, and which n-grams they use, line ends among them."""
        return parts(split, self.lines.end)

    @cached_property
    def _words(self) -> frozenset[str]:
        """The words of the lines: their dictionary. Of very many lines, those of the first ones."""
        some = self.lines.items[: LONG_ENOUGH // self.lines.items.shape[1]].astype(np.int64)
        return frozenset(word for line in self.lines.decode(torch.from_numpy(some)) for word in line.split())
