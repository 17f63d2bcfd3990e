"""Strings of a random grammar, of which everything is known: the levels of its hierarchy, and the exact optimum."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Generator, nn

from taumem.data import RandomHierarchyModel, Split
from taumem.diffusion import Diffusion, MaskedDiffusion, UniformDiffusion
from taumem.errors import ConfigError
from taumem.lab.diffusions import MaskedConfig, UniformConfig
from taumem.lab.domain import Asked, Domain, losses
from taumem.lab.networks import MLPConfig, TransformerConfig, of_tokens
from taumem.lab.sections import DataConfig, ModelConfig, Shape
from taumem.models import BeliefDenoiser, Categorical, TreeUNet
from taumem.probes import GrammarLevels, MotifUse, PartCopies, Probe, SampleProbe
from taumem.probes.motif_use import blocks
from taumem.probes.part_copies import Blocks
from taumem.record import DataFacts

__all__ = ["GrammarConfig", "TreeConfig"]


Width = Annotated[int, Field(ge=1, le=65_536)]
LONGEST = 65_536
"""Tokens of a string, at most."""


class TreeConfig(ModelConfig):
    """The grammar's U-Net; see :class:`taumem.models.TreeUNet`."""

    kind: Literal["tree"]
    widths: Width | Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)] = 128
    """Of each level, from the symbols up; one number for all."""
    time_features: int = Field(default=0, ge=0, le=1024)
    """Functions of the diffusion time that every layer reads; masked diffusion needs none."""

    def build(self, domain: Domain, item_shape: Shape, diffusion: Diffusion, generator: Generator) -> nn.Module:
        """Make a denoiser whose layers are the grammar's levels."""
        if not isinstance(domain, GrammarDomain):
            raise ConfigError(f"model.kind '{self.kind}' needs the tree of a grammar; got {type(domain).__name__}.")
        tokens, grammar = of_tokens(self, diffusion), domain.grammar
        network = TreeUNet(
            grammar.s, grammar.L, tokens.vocabulary, symbols=tokens.symbols, **self.options, generator=generator
        )
        return Categorical(network, tokens)


class GrammarConfig(DataConfig):
    """Strings of the Random Hierarchy Model; see :class:`taumem.data.RandomHierarchyModel`."""

    diffusions = (MaskedConfig, UniformConfig)
    models = (TreeConfig, TransformerConfig, MLPConfig)

    source: Literal["grammar"]
    v: int = Field(ge=2, le=65_536)
    """Symbols per level."""
    m: int = Field(ge=1, le=65_536)
    """Rules per symbol."""
    s: int = Field(ge=2, le=256)
    """Symbols that a rule makes."""
    L: int = Field(ge=1, le=16)
    """Levels of rules; strings have s^L tokens."""
    rules_seed: int = 0
    """Of the rules, the same for all seeds of a study, which draw other strings."""
    n_classes: int | None = Field(default=None, ge=1)
    """Root symbols; None takes all v of them."""
    zipf: float | tuple[float, ...] = 0.0
    """How unequal the rules of a symbol are; 0 makes all strings equally probable. Otherwise the likely strings come
    first, into the held-out data rather than the training set, and ``gap_exact`` is the gap to look at."""
    n_heldout: int = Field(default=512, ge=1, le=10_000_000)

    @model_validator(mode="after")
    def _strings_are_not_too_long(self) -> "GrammarConfig":
        if self.s**self.L > LONGEST:
            raise ValueError(f"strings have s^L = {self.s**self.L:,} tokens; expected at most {LONGEST:,}")
        return self

    def open(self) -> "GrammarDomain":
        """Draw the rules."""
        options = self.model_dump(exclude={"source", "n_heldout", "rules_seed"})
        return GrammarDomain(RandomHierarchyModel(**options, seed=self.rules_seed), self.n_heldout)


@dataclass(frozen=True, eq=False)
class GrammarDomain:
    """A grammar, whose strings are drawn for each seed."""

    grammar: RandomHierarchyModel
    n_heldout: int

    def split(self, n_train: int, seed: int) -> Split:
        """Draw strings, the first of them to hold out."""
        return self.grammar.split(n_train, self.n_heldout, seed)

    def facts(self, split: Split) -> DataFacts:
        """Say that they are strings, and how many it takes to learn each level."""
        known = {"kind": "strings", "sample_complexities": self.grammar.sample_complexities}
        return split.facts.model_copy(update=known)

    def probes(self, asked: Asked) -> list[Probe]:
        """Ask for the losses, also those above the optima."""
        assert isinstance(asked.diffusion, MaskedDiffusion | UniformDiffusion)
        return [losses(asked, BeliefDenoiser(self.grammar, asked.diffusion))]

    def sample_probes(self, split: Split) -> list[SampleProbe]:
        """Ask which levels samples reach, and which of them are copies."""
        return [GrammarLevels(self.grammar, split.train)]

    def part_probes(self, split: Split) -> list[SampleProbe]:
        """Ask which samples have a sub-tree of a training string, and which sub-trees they use, level by level."""
        s, levels = self.grammar.s, range(1, max(2, self.grammar.L))  # few strings of a language occur twice
        motifs = {str(grammar_level): blocks(s**grammar_level) for grammar_level in levels}
        return [PartCopies(Blocks(split.train, s), split.heldout), MotifUse(split.heldout, motifs)]
