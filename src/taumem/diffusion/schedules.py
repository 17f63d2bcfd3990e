"""Noise schedules of variance-preserving Gaussian diffusion: how much signal is left at time t."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch

from taumem.shapes import Times

__all__ = ["Cosine", "Linear", "Schedule"]


class Schedule(Protocol):
    """Gives alpha_t (the signal's scale) and sigma_t (the noise's), with alpha_t^2 + sigma_t^2 = 1."""

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t at diffusion times t in [0, 1]."""
        ...


@dataclass(frozen=True)
class Cosine:
    """alpha_t = cos(pi t / 2), sigma_t = sin(pi t / 2).

    Reference: Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17, in continuous time and with offset 0.
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t."""
        angle = t * (math.pi / 2)
        return torch.cos(angle), torch.sin(angle)


@dataclass(frozen=True)
class Linear:
    """alpha_t = exp(-(beta_max - beta_min) t^2 / 4 - beta_min t / 2): a rate of noise that grows linearly.

    The continuous-time limit of DDPM's 1,000 steps with beta from 1e-4 to 0.02.

    Reference: Song et al. 2021, arXiv 2011.13456, eq. 33.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t."""
        log_alpha = -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min
        # sigma^2 = 1 - alpha^2, computed without cancellation near t = 0.
        return torch.exp(log_alpha), torch.sqrt(-torch.expm1(2 * log_alpha))
