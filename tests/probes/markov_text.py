"""A language of two symbols whose best denoiser is known: a chain that keeps its symbol with probability ``STAY``."""

import torch
from torch import Tensor

from taumem.diffusion import MaskedDiffusion, sample_in_any_order
from taumem.models import EmpiricalDenoiser

STAY, WINDOW = 0.9, 32
DIFFUSION = MaskedDiffusion(2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texts(n: int, seed: int) -> Tensor:
    """Texts of the chain, whose first symbol is either with probability 1/2."""
    flips = torch.rand(n, WINDOW, generator=generator(seed)) < torch.tensor([0.5] + [1 - STAY] * (WINDOW - 1))
    return flips.cumsum(dim=1) % 2


class MarkovDenoiser:
    """The posterior of each symbol given those that are not masked, by messages from both ends."""

    def __call__(self, xt: Tensor, t: Tensor) -> Tensor:
        step = torch.tensor([[STAY, 1 - STAY], [1 - STAY, STAY]], dtype=torch.float64)
        seen = torch.nn.functional.one_hot(xt, 3)[..., :2].double()
        seen[xt == 2] = 1.0
        forward, backward = torch.ones_like(seen), torch.ones_like(seen)
        for i in range(1, WINDOW):
            forward[:, i] = (forward[:, i - 1] * seen[:, i - 1]) @ step
            backward[:, -1 - i] = (backward[:, -i] * seen[:, -i]) @ step
        joint = forward * seen * backward
        return (joint / joint.sum(dim=-1, keepdim=True)).log().float()


def memorizer(train: Tensor) -> EmpiricalDenoiser:
    return EmpiricalDenoiser(DIFFUSION, train)


def drawn(denoiser, n: int = 400) -> Tensor:
    return sample_in_any_order(DIFFUSION, denoiser, n, (WINDOW,), generator(9))


def estimates(reading) -> dict:
    named = {(e.quantity, e.t): e for e in reading.estimates}
    assert len(named) == len(reading.estimates)
    return {quantity if t is None else (quantity, t): e for (quantity, t), e in named.items()}
