"""The diffusion time as a vector that a network can read."""

import math

import torch
from torch import Tensor

from taumem.shapes import Times

__all__ = ["sinusoids"]


def sinusoids(t: Times, width: int) -> Tensor:
    """Give cosines and sines of 1000 t at ``width / 2`` frequencies from 1 down to 1e-4: [batch, width].

    Args:
        t: diffusion times in [0, 1].
        width: an even number.

    Reference: Ho et al. 2020, arXiv 2006.11239 (their 1,000 steps are t in [0, 1] here).
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / half * torch.arange(half, device=t.device, dtype=t.dtype))
    angles = 1000 * t[:, None] * frequencies
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)
