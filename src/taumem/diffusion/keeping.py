"""Noise schedules of token diffusion: the probability that a symbol is still the one of the data at time t."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float64
from torch import Tensor

from taumem.errors import ConfigError
from taumem.shapes import Times

__all__ = ["CosineKeeping", "KeepSchedule", "LinearBetas", "Polynomial", "time_when"]

HALVINGS = 60
"""Of the interval of times, in a bisection: what is left is below the precision of doubles."""


class KeepSchedule(Protocol):
    """Gives alpha_t, the probability that a symbol is kept: 1 at t = 0, falling to 0 (or almost) at t = 1."""

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and 1 - alpha_t at diffusion times t in [0, 1], each without cancellation."""
        ...

    def rate(self, t: Times) -> Times:
        """Give -d alpha_t / dt, at least 0: the share of the symbols that is lost per unit of time."""
        ...


@dataclass(frozen=True)
class Polynomial:
    """alpha_t = 1 - t^exponent; linear where the exponent is 1, the default.

    Raises:
        ConfigError: an exponent that is not positive.

    Reference: Shi et al. 2024, arXiv 2406.04329 (their "linear" and "polynomial").
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.exponent < math.inf:
            raise ConfigError(f"the exponent of 1 - t^exponent must be positive; got {self.exponent}.")

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and 1 - alpha_t."""
        lost = t**self.exponent
        return 1 - lost, lost

    def rate(self, t: Times) -> Times:
        """Give exponent t^(exponent - 1)."""
        return self.exponent * t ** (self.exponent - 1)


@dataclass(frozen=True)
class CosineKeeping:
    """alpha_t = 1 - sin(pi t / 2) = 1 - cos(pi (1 - t) / 2): the first reverse steps decide few symbols each.

    Reference: Shi et al. 2024, arXiv 2406.04329 (their "cosine").
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and 1 - alpha_t."""
        # 1 - cos x = 2 sin^2(x / 2), which does not cancel near t = 1.
        return 2 * torch.sin((1 - t) * (math.pi / 4)).square(), torch.sin(t * (math.pi / 2))

    def rate(self, t: Times) -> Times:
        """Give (pi / 2) cos(pi t / 2)."""
        # As a sine, since the cosine of the rounded pi / 2 may be negative.
        return (math.pi / 2) * torch.sin((1 - t) * (math.pi / 2))


@dataclass(frozen=True)
class LinearBetas:
    """alpha_t = prod_(i <= k) (1 - beta_i) at t = k / steps, beta_i = beta_min + (beta_max - beta_min) i / steps.

    The discrete schedule of the grammar experiments. Between the steps log alpha_t is linear in t. (Their code also
    multiplies by 1 - beta_0, so that its data at step 0 are kept with 1 - beta_min only; here alpha_0 = 1.)

    Args:
        steps: number of noising steps.
        beta_min: share of symbols that is redrawn before the first step, in [0, 1).
        beta_max: share of symbols that is redrawn in the last step, in (0, 1).

    Raises:
        ConfigError: no step, or shares outside [0, 1).

    Reference: Favero et al. 2025, arXiv 2502.12089, and their code minimal_diffusion_rhm (the values).
    """

    steps: int = 200
    beta_min: float = 1e-3
    beta_max: float = 0.1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"a discrete schedule needs at least 1 step; got {self.steps}.")
        if not (0 <= self.beta_min < 1 and 0 < self.beta_max < 1):
            raise ConfigError(
                "beta is the share of symbols redrawn in one step: 0 <= beta_min < 1 and 0 < beta_max < 1 are needed; "
                f"got {self.beta_min} and {self.beta_max}."
            )

    def __call__(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and 1 - alpha_t."""
        log_alpha, _ = self._log_alpha(t)
        return torch.exp(log_alpha), -torch.expm1(log_alpha)

    def rate(self, t: Times) -> Times:
        """Give -d alpha_t / dt; at a step itself, its value just after (at t = 1, just before)."""
        log_alpha, slope = self._log_alpha(t)
        return -slope * torch.exp(log_alpha)

    def _log_alpha(self, t: Times) -> tuple[Times, Times]:
        """Give log alpha_t, interpolated between the steps, and its slope."""
        i = torch.arange(1, self.steps + 1, dtype=torch.float64, device=t.device)
        falls = torch.log1p(-(self.beta_min + (self.beta_max - self.beta_min) * i / self.steps))
        before = falls.cumsum(0) - falls
        place = t.double() * self.steps
        k = place.long().clamp(0, self.steps - 1)
        log_alpha = before[k] + (place - k) * falls[k]
        return log_alpha.to(t.dtype), (self.steps * falls[k]).to(t.dtype)


def time_when(lost: Float64[Tensor, "n"], schedule: KeepSchedule) -> Float64[Tensor, "n"]:
    """Give the times t at which 1 - alpha_t reaches each value, by bisection; 1 where it does not."""
    low, high = torch.zeros_like(lost), torch.ones_like(lost)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        reached = schedule(middle)[1] >= lost
        low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
    return high
