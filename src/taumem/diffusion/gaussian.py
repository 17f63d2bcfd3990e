"""Gaussian diffusion in continuous time: the process of DDPM, of flow matching and of exploding variance."""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.schedules import Cosine, Schedule
from taumem.errors import ConfigError
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = ["GaussianDiffusion", "Weighting", "per_item"]

Weighting = Literal["eps", "v", "x0"]


@dataclass(frozen=True)
class GaussianDiffusion:
    """xt = alpha_t x0 + sigma_t eps, with eps standard normal.

    The loss is the squared error of the predicted x0, averaged over the coordinates of an item and weighted by time:

        eps:  (alpha_t / sigma_t)^2 |x0 - x0_hat|^2 = |eps - eps_hat|^2
        v:    (1 / sigma_t)^2       |x0 - x0_hat|^2 = |v - v_hat|^2,   v = alpha_t eps - sigma_t x0
        x0:                         |x0 - x0_hat|^2

    This v is that of variance-preserving schedules, alpha_t^2 + sigma_t^2 = 1. Flow matching is the schedule
    :class:`Flow`, whose v = eps - x0 has the same weight, and whose deterministic step is Euler's along the line; under
    :class:`Exploding` v and its weight, 1 / c_out^2, are those of Karras et al.

    Args:
        schedule: alpha_t and sigma_t, and what a velocity is.
        weighting: which of the three losses.
        eta: randomness of the reverse step, from 0 (DDIM, deterministic) to 1 (ancestral, the DDPM posterior).
        t_min: the smallest diffusion time; smaller ones are raised to it, since sigma_t = 0 has no noise to remove.
        t_max: the largest diffusion time, likewise, since alpha_t = 0 has no signal left; that of ``t_min``, and
            every loss is the one at that time.

    Reference: Ho et al. 2020, arXiv 2006.11239; Salimans & Ho 2022, arXiv 2202.00512 (v);
    Song et al. 2021, arXiv 2010.02502, eq. 12 (eta); Lipman et al. 2023, arXiv 2210.02747 (flow matching);
    Karras et al. 2022, arXiv 2206.00364 (exploding variance).
    """

    schedule: Schedule = field(default_factory=Cosine)
    weighting: Weighting = "v"
    eta: float = 0.0
    t_min: float = 1e-3
    t_max: float = 1 - 1e-3

    def __post_init__(self) -> None:
        if self.weighting not in ("eps", "v", "x0"):
            raise ConfigError(f"weighting must be 'eps', 'v' or 'x0'; got {self.weighting!r}.")
        if not 0 <= self.eta <= 1:
            raise ConfigError(f"eta must lie in [0, 1] (0: deterministic, 1: ancestral); got {self.eta}.")
        if not 0 < self.t_min <= self.t_max <= 1:
            raise ConfigError(f"diffusion times need 0 < t_min <= t_max <= 1; got {self.t_min} and {self.t_max}.")

    @property
    def is_of_one_time(self) -> bool:
        """Whether all its times are one: then there is no step from one to another."""
        return self.t_min == self.t_max

    def scales(self, t: Times) -> tuple[Times, Times]:
        """Give alpha_t and sigma_t, with t kept inside [t_min, t_max]."""
        return self.schedule(t.clamp(self.t_min, self.t_max))

    def velocity(self, t: Times) -> tuple[Times, Times]:
        """Give skip and out of x0 = skip xt - out v, likewise."""
        return self.schedule.velocity(t.clamp(self.t_min, self.t_max))

    def input_scale(self, t: Times) -> Times:
        """Give by what xt is multiplied before a network reads it, likewise."""
        return self.schedule.input_scale(t.clamp(self.t_min, self.t_max))

    def noise(self, x0: Batch, generator: Generator) -> Batch:
        """Draw eps, a standard normal for each coordinate."""
        return torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)

    def corrupt(self, x0: Batch, t: Times, noise: Batch) -> Batch:
        """Give xt = alpha_t x0 + sigma_t eps."""
        alpha_t, sigma_t = self.scales(t)
        return per_item(alpha_t, x0) * x0 + per_item(sigma_t, x0) * noise

    def prior(self, n: int, item_shape: tuple[int, ...], generator: Generator) -> Batch:
        """Draw n normal items of the scale that data of variance 1 have at t = 1."""
        scale = math.hypot(*map(float, self.scales(torch.ones(1, dtype=torch.float64))))
        return scale * torch.randn((n, *item_shape), generator=generator, device=generator.device)

    def loss(self, denoiser: Denoiser, x0: Batch, t: Times, noise: Batch) -> PerItem:
        """Give the weighted squared error of each item, averaged over its coordinates."""
        x0_hat = denoiser(self.corrupt(x0, t, noise), t)
        return self._weight(t) * (x0 - x0_hat).square().flatten(1).mean(dim=1)

    def reverse(self, denoiser: Denoiser, xt: Batch, t: float, s: float, generator: Generator) -> Batch:
        """Step from t to an earlier s: DDIM at eta = 0 (draws nothing), the DDPM posterior at eta = 1.

        A step to s = 0 returns the predicted x0 itself.
        """
        times = torch.full((len(xt),), t, device=xt.device, dtype=xt.dtype)
        x0_hat = denoiser(xt, times)
        if s <= 0:
            return x0_hat
        (alpha_t, sigma_t), (alpha_s, sigma_s) = (
            self.scales(times[:1]),
            self.scales(torch.full_like(times[:1], s)),
        )
        eps_hat = (xt - alpha_t * x0_hat) / sigma_t
        # The posterior's own noise: what eta = 1 puts back.
        beta = sigma_t.square() - (alpha_t / alpha_s * sigma_s).square()
        fresh = self.eta * (sigma_s / sigma_t) * beta.clamp(min=0).sqrt()
        xs = alpha_s * x0_hat + (sigma_s.square() - fresh.square()).clamp(min=0).sqrt() * eps_hat
        return xs + fresh * self.noise(xt, generator) if self.eta > 0 else xs

    def log_prob(self, xt: Batch, x0: Items, t: Times) -> Float[Tensor, "batch n"]:
        """Give -|xt - alpha_t x0|^2 / (2 sigma_t^2) for each candidate x0: log q(xt | x0) but for a constant."""
        alpha_t, sigma_t = (scale.double()[:, None] for scale in self.scales(t))
        # In double precision: the square is expanded, and 1 / sigma_t^2 makes whole nats of what it cancels.
        flat, candidates = xt.flatten(1).double(), x0.flatten(1).double()
        squares = flat.square().sum(dim=1, keepdim=True) + alpha_t.square() * candidates.square().sum(dim=1)
        return ((alpha_t * (flat @ candidates.T) - 0.5 * squares) / sigma_t.square()).to(xt.dtype)

    def average(self, weights: Float[Tensor, "batch n"], x0: Items) -> Batch:
        """Give the weighted mean of the candidates."""
        return (weights @ x0.flatten(1)).reshape(len(weights), *x0.shape[1:])

    def _weight(self, t: Times) -> Times:
        if self.weighting == "eps":
            alpha_t, sigma_t = self.scales(t)
            return (alpha_t / sigma_t).square()
        if self.weighting == "v":
            return self.velocity(t)[1].square().reciprocal()
        return torch.ones_like(t)


def per_item(values: Times, like: Batch) -> Tensor:
    """Reshape one value an item so that it broadcasts over the item's axes."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))
