"""Vectors from a mixture of Gaussians: the distribution, and so the exact optimum, is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor

from taumem.data import GaussianMixture, Split
from taumem.diffusion import GaussianDiffusion
from taumem.lab.diffusions import GaussianConfig
from taumem.lab.domain import Asked, losses, nearness
from taumem.lab.networks import MLPConfig, RandomFeaturesConfig, UNetConfig
from taumem.lab.sections import DataConfig
from taumem.models import MixtureDenoiser
from taumem.probes import Copies, Probe, SampleProbe, TrueMembership
from taumem.probes.true_membership import FEWEST
from taumem.randomness import generator_for
from taumem.record import DataFacts

__all__ = ["MixtureConfig"]


MOST_NUMBERS = 500_000_000
"""Of all vectors together: two gigabytes."""
N_FRESH = 2048
"""Vectors that no run trains on: with them the error of membership is that of the training items alone."""


class MixtureConfig(DataConfig):
    """Two Gaussians, 1/2 N(mu, I) + 1/2 N(-mu, I) with mu = separation (1, ..., 1): the distribution is known exactly.

    Reference: Bonnaire et al. 2025, arXiv 2505.17638.
    """

    diffusions = (GaussianConfig,)
    models = (UNetConfig, MLPConfig, RandomFeaturesConfig)
    counts_items = True

    source: Literal["mixture"]
    dimensions: int = Field(default=8, ge=1, le=65_536)
    separation: float = Field(default=1.0, ge=0, le=100)
    """Of the two means from 0, in each coordinate; at 0 the data are one Gaussian, N(0, I)."""
    n_items: int = Field(default=8192, ge=2, le=10_000_000)
    n_heldout: int = Field(default=1024, ge=1)

    @model_validator(mode="after")
    def _vectors_fit_into_memory(self) -> "MixtureConfig":
        if self.n_items * self.dimensions > MOST_NUMBERS:
            raise ValueError(
                f"n_items x dimensions = {self.n_items * self.dimensions:,} numbers; expected at most {MOST_NUMBERS:,}"
            )
        return self

    def open(self) -> "VectorDomain":
        """Draw the vectors, the same for all seeds, which shuffle them."""
        mixture = GaussianMixture.two_modes(self.dimensions, separation=self.separation)
        vectors = mixture.sample(self.n_items, generator_for(0, "mixture"))
        return VectorDomain(self.source, mixture, vectors, self.n_heldout)


@dataclass(frozen=True, eq=False)
class VectorDomain:
    """Vectors [n, dimensions], and the mixture that they were drawn from."""

    name: str
    mixture: GaussianMixture
    vectors: Tensor
    n_heldout: int

    def split(self, n_train: int, seed: int) -> Split:
        """Shuffle the vectors, with the first of them held out."""
        return Split.make(self.name, self.vectors, self.n_heldout, seed=seed)

    def facts(self, split: Split) -> DataFacts:
        """Say that they are vectors."""
        return split.facts.model_copy(update={"kind": "vectors"})

    def probes(self, asked: Asked) -> list[Probe]:
        """Ask for losses, also above the optima, how near total memorization is, and what membership truly is."""
        assert isinstance(asked.diffusion, GaussianDiffusion)
        exact = MixtureDenoiser(asked.diffusion, self.mixture)
        return [losses(asked, exact), nearness(asked), *self._true_membership(asked, exact)]

    def _true_membership(self, asked: Asked, exact: MixtureDenoiser) -> Iterator[Probe]:
        """Ask what membership is worth against fresh vectors, as many as tell it to a per cent."""
        train = asked.sets["train"]
        if asked.membership and len(train) >= FEWEST:
            fresh = self.mixture.sample(N_FRESH, generator_for(asked.seed, "fresh vectors")).to(train)
            yield TrueMembership(
                asked.diffusion, train, fresh, exact, times=asked.times, seed=asked.seed, block=asked.block
            )

    def sample_probes(self, split: Split) -> list[SampleProbe]:
        """Ask for copies."""
        return [Copies(split.train, split.heldout)]
