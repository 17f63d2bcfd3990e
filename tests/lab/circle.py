"""A domain of one's own, in one place: points on a circle, and a network for them."""

from dataclasses import dataclass, field
from math import tau
from typing import Literal

import torch
from torch import nn

from taumem.data import Split
from taumem.lab import Asked, DataConfig, ModelConfig, losses
from taumem.lab.diffusions import GaussianConfig
from taumem.lab.networks import MLPConfig
from taumem.models import Preconditioned
from taumem.probes import Copies
from taumem.randomness import generator_for


class LinearConfig(ModelConfig):
    kind: Literal["linear"] = "linear"
    bias: bool = True

    def build(self, domain, item_shape, diffusion, generator):
        return Preconditioned(Linear(item_shape[0], self.bias, generator), diffusion, predicts=diffusion.weighting)


class Linear(nn.Module):
    def __init__(self, n: int, bias: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, n, generator=generator))
        self.bias = nn.Parameter(torch.zeros(n)) if bias else 0.0

    def forward(self, xt, t):
        return xt @ self.weight + self.bias


class CircleConfig(DataConfig):
    diffusions = (GaussianConfig,)
    models = (LinearConfig, MLPConfig)

    source: Literal["circle"] = "circle"
    radius: float = 1.0

    def open(self):
        return CircleDomain(self.radius)


@dataclass(frozen=True)
class CircleDomain:
    radius: float
    asked_for: list[tuple[int, int]] = field(default_factory=list)
    """Each (n_train, seed) that was split off."""

    def split(self, n_train, seed):
        self.asked_for.append((n_train, seed))
        angles = tau * torch.rand(256, 1, generator=generator_for(0, "circle"))
        points = self.radius * torch.cat([angles.cos(), angles.sin()], dim=1)
        return Split.make("circle", points, 64, seed=seed)

    def facts(self, split):
        return split.facts.model_copy(update={"kind": "vectors", "alphabet": "a circle's"})

    def probes(self, asked: Asked):
        return [losses(asked)]

    def sample_probes(self, split):
        return [Copies(split.train, split.heldout)]
