"""Gaussian diffusion whose reverse steps have the variance that a network predicts, as in improved DDPM."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, cast

import torch
from torch import Generator, Tensor

from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.gaussian import GaussianDiffusion, per_item
from taumem.errors import ConfigError
from taumem.shapes import Batch, PerItem, Times

__all__ = ["LearnedVariance", "VarianceDenoiser"]


class VarianceDenoiser(Protocol):
    """A denoiser that can be asked for more: where the variance of a reverse step lies, v between -1 and 1."""

    def __call__(self, xt: Batch, t: Times, *, with_variance: Literal[True]) -> tuple[Batch, Batch]:
        """Predict x0 and v, of the same shape, from xt at diffusion times t."""
        ...


class _Posterior(NamedTuple):
    """q(xs | xt, x0), a Gaussian: its mean is ``of_x0`` x0 plus a share of xt, its variance ``beta_tilde``."""

    of_x0: Tensor
    of_xt: Tensor
    log_beta: Tensor
    log_beta_tilde: Tensor


@dataclass(frozen=True)
class LearnedVariance(GaussianDiffusion):
    """Gaussian diffusion with ancestral steps of the variance exp(f log beta + (1 - f) log beta~), f = (v + 1) / 2.

    A step from t to s has beta = 1 - (alpha_t / alpha_s)^2, the variance of the data's own noise, above the best one,
    and beta~ = beta sigma_s^2 / sigma_t^2, that of the posterior given x0, below it. In few steps the two differ much.

    The loss is L_simple + vlb_weight L_vlb. L_simple is the loss of :class:`GaussianDiffusion`. L_vlb is the bound, in
    bits for each coordinate, of the process in ``n_steps`` equal steps: n_steps KL(q(xs | xt, x0) | p(xs | xt)) at
    s = t - 1 / n_steps for a random t, the mean of p taken without its gradient, so that L_vlb trains v alone. Time is
    continuous all the same: v stands for a place between beta and beta~, which any step has, and a sampler of few steps
    uses it too. The step that ends at the smallest time is left out, in the bound and in sampling: it returns the
    prediction itself.

    With ``vlb_weight = 0`` the loss is L_simple alone. That is the one to compare: exact optima and other models have
    no v, and what they memorize shows in the prediction of x0.

    Args:
        n_steps: T of the bound. 4,000, as in the paper: the more, the nearer beta~ is to beta but for the last steps.
        vlb_weight: lambda of L_hybrid, 0.001 in the paper; 0 for L_simple.

    Reference: Nichol & Dhariwal 2021, arXiv 2102.09672, eqs. 15 and 16, and section 4 (few steps).
    """

    eta: float = 1.0
    n_steps: int = 4000
    vlb_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eta != 1:
            raise ConfigError(f"learned variances are those of ancestral sampling, eta = 1; got eta = {self.eta:g}.")
        if self.n_steps < 2 or not 0 <= self.vlb_weight < math.inf:
            raise ConfigError(
                f"a bound has at least 2 steps and a weight of at least 0; got {self.n_steps} and {self.vlb_weight}."
            )

    def loss(self, denoiser: Denoiser, x0: Batch, t: Times, noise: Batch) -> PerItem:
        """Give L_simple of each item, with its share of the bound."""
        if not self.vlb_weight:
            return super().loss(denoiser, x0, t, noise)
        xt = self.corrupt(x0, t, noise)
        x0_hat, v = cast(VarianceDenoiser, denoiser)(xt, t, with_variance=True)
        simple = self._weight(t) * (x0 - x0_hat).square().flatten(1).mean(dim=1)
        return simple + self.vlb_weight * self._bound(x0, x0_hat.detach(), v, t)

    def reverse(self, denoiser: Denoiser, xt: Batch, t: float, s: float, generator: Generator) -> Batch:
        """Draw xs from the Gaussian with the predicted mean and variance; a step to s = 0 returns the predicted x0."""
        times = torch.full((len(xt),), t, device=xt.device, dtype=xt.dtype)
        if s <= 0:
            return denoiser(xt, times)
        x0_hat, v = cast(VarianceDenoiser, denoiser)(xt, times, with_variance=True)
        step = self._posterior(times, torch.full_like(times, s), xt)
        return step.of_xt * xt + step.of_x0 * x0_hat + (0.5 * _log_variance(step, v)).exp() * self.noise(xt, generator)

    def _bound(self, x0: Batch, x0_hat: Batch, v: Batch, t: Times) -> PerItem:
        """n_steps times the divergence of one step, in bits for each coordinate."""
        end = self.t_min + 1 / self.n_steps  # before it there is no step but the last one
        later = t.clamp(end, self.t_max)
        step = self._posterior(later, later - 1 / self.n_steps, x0)
        log_ratio = _log_variance(step, v) - step.log_beta_tilde
        squares = (step.of_x0 * (x0 - x0_hat)).square() * (-step.log_beta_tilde).exp()
        nats = 0.5 * (log_ratio - 1 + (1 + squares) * (-log_ratio).exp())
        return torch.where(t < end, 0.0, self.n_steps / math.log(2) * nats.flatten(1).mean(dim=1))

    def _posterior(self, t: Times, s: Times, like: Batch) -> _Posterior:
        """Of steps from t to an earlier s, of which s is larger than t_min or sigma_s is that of t_min."""
        # In double precision: beta is the difference of two numbers that are almost equal.
        (alpha_t, sigma_t), (alpha_s, sigma_s) = self.scales(t.double()), self.scales(s.double())
        kept = alpha_t / alpha_s
        beta = (sigma_t.square() - (kept * sigma_s).square()).clamp(min=1e-20)
        ratio = (sigma_s / sigma_t).square()
        numbers = (alpha_s * beta / sigma_t.square(), kept * ratio, beta.log(), beta.log() + ratio.log())
        return _Posterior(*(per_item(number, like).to(like.dtype) for number in numbers))


def _log_variance(step: _Posterior, v: Batch) -> Batch:
    share = (v + 1) / 2
    return share * step.log_beta + (1 - share) * step.log_beta_tilde
