"""Two modes in eight dimensions: the one problem whose best denoiser and whose worst are both known exactly."""

import torch
from torch import Tensor

from taumem.data import GaussianMixture
from taumem.diffusion import Denoiser, GaussianDiffusion, sample
from taumem.models import EmpiricalDenoiser, MixtureDenoiser
from taumem.record import Estimate, Reading

MIXTURE = GaussianMixture.two_modes(8)
DIFFUSION = GaussianDiffusion()
EXACT = MixtureDenoiser(DIFFUSION, MIXTURE)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def items(n: int, seed: int) -> Tensor:
    return MIXTURE.sample(n, generator(seed))


def memorized(train: Tensor) -> EmpiricalDenoiser:
    return EmpiricalDenoiser(DIFFUSION, train)


def draw(denoiser: Denoiser, generator: torch.Generator, *, n: int = 256) -> Tensor:
    return sample(DIFFUSION, denoiser, n, (8,), generator, steps=40)


def by_name(reading: Reading) -> dict[tuple[str, float | None], Estimate]:
    named = {(e.quantity, e.t): e for e in reading.estimates}
    assert len(named) == len(reading.estimates)
    return named
