"""Small pictures that are all apart, and copies of them: the planted truth of the tests of audits."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["fresh", "noisy"]


def fresh(n: int, seed: int, side: int = 16, channels: int = 1) -> Tensor:
    """Smooth random pictures in [-1, 1], of one distribution whatever the seed."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(n, channels, 6, 6, generator=generator) * 2 - 1
    pictures = functional.interpolate(rough, (side, side), mode="bicubic").clamp(-1, 1)
    return ((pictures + 1) * 127.5).round() / 127.5 - 1  # in shades of 255, as pictures on disk


def noisy(pictures: Tensor, shades: float, seed: int = 99) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (pictures + shades / 127.5 * torch.randn(pictures.shape, generator=generator)).clamp(-1, 1)
