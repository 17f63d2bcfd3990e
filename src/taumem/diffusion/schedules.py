"""Noise schedules of Gaussian diffusion: how much signal and how much noise there is at time t."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch

from taumem.errors import ConfigError
from taumem.shapes import Times

__all__ = ["Cosine", "Exploding", "Flow", "Linear", "Schedule"]


class Schedule(Protocol):
    """Gives alpha_t (the signal's scale) and sigma_t (the noise's); a subclass must say no more than these.

    What is not said is that of variance-preserving schedules, alpha_t^2 + sigma_t^2 = 1.
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t at diffusion times t in [0, 1]."""
        ...

    def velocity(self, t: Times) -> tuple[Times, Times]:
        """Give what turns a velocity v into data: the two numbers of x0 = skip xt - out v.

        Here v = alpha_t eps - sigma_t x0, the change of xt along its circle.
        """
        return self(t)

    def input_scale(self, t: Times) -> Times:
        """Give by what xt is multiplied before a network reads it: 1 where xt has the scale of the data anyway."""
        return torch.ones_like(t)


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha_t = cos(pi t / 2), sigma_t = sin(pi t / 2).

    Reference: Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17, in continuous time and with offset 0.
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t."""
        angle = t * (math.pi / 2)
        return torch.cos(angle), torch.sin(angle)


@dataclass(frozen=True)
class Linear(Schedule):
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


@dataclass(frozen=True)
class Flow(Schedule):
    """alpha_t = 1 - t, sigma_t = t: the straight lines of flow matching (rectified flow).

    The velocity is v = eps - x0, the slope of the line, so that x0 = xt - t v.

    Reference: Liu et al. 2023, arXiv 2209.03003; Lipman et al. 2023, arXiv 2210.02747 (their time runs the other way).
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t."""
        return 1 - t, t

    def velocity(self, t: Times) -> tuple[Times, Times]:
        """Give 1 and t."""
        return torch.ones_like(t), t


@dataclass(frozen=True)
class Exploding(Schedule):
    """alpha_t = 1, sigma_t = sigma_min (sigma_max / sigma_min)^t: the noise grows over the data (variance exploding).

    The network reads xt / sqrt(data_scale^2 + sigma_t^2), and what a velocity is here has mean square 1 too:

        v = (data_scale eps - (sigma_t / data_scale) x0) / sqrt(data_scale^2 + sigma_t^2)

    so that x0 = c_skip xt - c_out v with the numbers of Karras et al., whose loss is that of ``weighting="v"``.

    Args:
        sigma_min: noise at t = 0, in units of the data.
        sigma_max: noise at t = 1, far above the distances between items.
        data_scale: standard deviation of the data, about.

    Raises:
        ConfigError: scales that are not positive, or a sigma_max that is not above sigma_min.

    Reference: Song et al. 2021, arXiv 2011.13456 (the process); Karras et al. 2022, arXiv 2206.00364, table 1 and
    appendix B.6 (scales, sigma_max, data_scale).
    """

    sigma_min: float = 0.01
    sigma_max: float = 80.0
    data_scale: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.sigma_min < self.sigma_max < math.inf and 0 < self.data_scale < math.inf):
            raise ConfigError(
                "a schedule of exploding variance needs 0 < sigma_min < sigma_max and a positive data_scale; got "
                f"{self.sigma_min}, {self.sigma_max} and {self.data_scale}."
            )

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t."""
        return torch.ones_like(t), self.sigma_min * torch.exp(math.log(self.sigma_max / self.sigma_min) * t)

    def velocity(self, t: Times) -> tuple[Times, Times]:
        """Give c_skip and c_out."""
        scale, (_, sigma_t) = self.input_scale(t), self(t)
        return (self.data_scale * scale).square(), self.data_scale * sigma_t * scale

    def input_scale(self, t: Times) -> Times:
        """Give c_in."""
        return (self.data_scale**2 + self(t)[1].square()).rsqrt()
