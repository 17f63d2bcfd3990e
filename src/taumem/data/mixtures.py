"""Gaussian mixtures: data whose density, score and best denoiser are known exactly, at every noise level."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.errors import ConfigError
from taumem.shapes import PerItem

__all__ = ["GaussianMixture"]

Vectors = Float[Tensor, "batch dimensions"]


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """The density p(x0) = sum_k w_k N(x0; mu_k, v_k I).

    Corrupted to xt = alpha_t x0 + sigma_t eps with eps ~ N(0, I), it stays a mixture:
    p(xt) = sum_k w_k N(xt; alpha_t mu_k, (alpha_t^2 v_k + sigma_t^2) I). Every method takes alpha_t and
    sigma_t as one number for each item, or as one for all; alpha_t = 1 and sigma_t = 0, the default, are
    clean data.

    Attributes:
        weights: positive, summing to 1.
        means: mu_k.
        variances: v_k of each coordinate, positive.

    Raises:
        ConfigError: shapes or types that disagree, weights that do not sum to 1, or numbers that are not
            positive.
    """

    weights: Float[Tensor, "k"]
    means: Float[Tensor, "k dimensions"]
    variances: Float[Tensor, "k"]

    def __post_init__(self) -> None:
        if self.means.ndim != 2 or not self.weights.shape == self.variances.shape == self.means.shape[:1]:
            raise ConfigError(
                "a mixture of k Gaussians needs weights [k], means [k, d] and variances [k]; got shapes "
                f"{tuple(self.weights.shape)}, {tuple(self.means.shape)}, {tuple(self.variances.shape)}."
            )
        if not self.means.is_floating_point() or not (self.weights.dtype == self.means.dtype == self.variances.dtype):
            raise ConfigError(
                "weights, means and variances must be floats of one type; got "
                f"{self.weights.dtype}, {self.means.dtype}, {self.variances.dtype}."
            )
        if not torch.isfinite(self.means).all():
            raise ConfigError("the means hold NaN or infinite values.")
        for name, values in (("weights", self.weights), ("variances", self.variances)):
            if not (torch.isfinite(values) & (values > 0)).all():
                raise ConfigError(f"{name} must be positive and finite; got {values.tolist()}.")
        total = self.weights.sum().item()
        if abs(total - 1) > 1e-5:
            raise ConfigError(f"weights must sum to 1; they sum to {total:g}.")

    @classmethod
    def two_modes(
        cls, dimensions: int = 8, *, separation: float = 1.0, dtype: torch.dtype = torch.float32
    ) -> "GaussianMixture":
        """The reference problem 1/2 N(mu, I) + 1/2 N(-mu, I) with mu = separation (1, ..., 1); one Gaussian at 0.

        Reference: T. Bonnaire, R. Urfin, G. Biroli, M. Mézard, 2025, arXiv 2505.17638 (d = 8).
        """
        mean = torch.full((dimensions,), separation, dtype=dtype)
        half = torch.full((2,), 0.5, dtype=dtype)
        return cls(half, torch.stack([mean, -mean]), torch.ones(2, dtype=dtype))

    @property
    def dimensions(self) -> int:
        """The length of one vector."""
        return self.means.shape[1]

    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n dimensions"]:
        """Draw independent vectors.

        Args:
            n: how many, at least 0.
            generator: the source of all randomness, on the device of the mixture.
        """
        # By inversion, since torch.multinomial refuses n = 0.
        uniform = torch.rand(n, generator=generator, dtype=self.means.dtype, device=self.means.device)
        kind = torch.searchsorted(self.weights.cumsum(0), uniform, right=True)
        kind = kind.clamp(max=len(self.weights) - 1)  # the weights' sum may fall short of 1 by rounding
        eps = torch.randn(n, self.dimensions, generator=generator, dtype=self.means.dtype, device=self.means.device)
        return self.means[kind] + self.variances[kind].sqrt()[:, None] * eps

    def log_density(self, xt: Vectors, alpha_t: PerItem | float = 1.0, sigma_t: PerItem | float = 0.0) -> PerItem:
        """log p(xt), in nats.

        Args:
            xt: clean or corrupted vectors.
            alpha_t: signal scale, finite.
            sigma_t: noise scale, at least 0.
        """
        return self._joint(xt, alpha_t, sigma_t).logsumexp(dim=1)

    def score(self, xt: Vectors, alpha_t: PerItem | float = 1.0, sigma_t: PerItem | float = 0.0) -> Vectors:
        """The gradient of log p(xt): sum_k p(k | xt) (alpha_t mu_k - xt) / (alpha_t^2 v_k + sigma_t^2).

        Args:
            xt: clean or corrupted vectors.
            alpha_t: signal scale, finite.
            sigma_t: noise scale, at least 0.
        """
        alpha, variances = self._corrupted(xt, alpha_t, sigma_t)
        pull = (alpha[:, :, None] * self.means - xt[:, None]) / variances[:, :, None]
        return torch.einsum("bk,bkd->bd", self._joint(xt, alpha_t, sigma_t).softmax(dim=1), pull)

    def posterior_mean(self, xt: Vectors, alpha_t: PerItem | float = 1.0, sigma_t: PerItem | float = 0.0) -> Vectors:
        """E[x0 | xt], the denoiser of least squared error.

        Within component k it is mu_k + alpha_t v_k / (alpha_t^2 v_k + sigma_t^2) (xt - alpha_t mu_k), and
        these are averaged with p(k | xt). Unlike Tweedie's formula, (xt + sigma_t^2 score) / alpha_t, it
        stands at alpha_t = 0.

        Args:
            xt: clean or corrupted vectors.
            alpha_t: signal scale, finite.
            sigma_t: noise scale, at least 0 (positive where alpha_t = 0).
        """
        alpha, variances = self._corrupted(xt, alpha_t, sigma_t)
        gain = (alpha * self.variances / variances)[:, :, None]
        candidates = self.means + gain * (xt[:, None] - alpha[:, :, None] * self.means)
        return torch.einsum("bk,bkd->bd", self._joint(xt, alpha_t, sigma_t).softmax(dim=1), candidates)

    def _corrupted(
        self, xt: Vectors, alpha_t: PerItem | float, sigma_t: PerItem | float
    ) -> tuple[Float[Tensor, "batch 1"], Float[Tensor, "batch k"]]:
        """The signal scale and the components' variances, for each item."""
        alpha = _per_item(alpha_t, xt)
        return alpha, alpha**2 * self.variances + _per_item(sigma_t, xt) ** 2

    def _joint(self, xt: Vectors, alpha_t: PerItem | float, sigma_t: PerItem | float) -> Float[Tensor, "batch k"]:
        """log w_k + log N(xt; ...): the log-density of each component together with xt."""
        alpha, variances = self._corrupted(xt, alpha_t, sigma_t)
        squared = (xt[:, None] - alpha[:, :, None] * self.means).square().sum(dim=2)
        return self.weights.log() - 0.5 * squared / variances - 0.5 * self.dimensions * (2 * math.pi * variances).log()


def _per_item(scale: PerItem | float, xt: Tensor) -> Float[Tensor, "batch 1"]:
    return torch.as_tensor(scale, dtype=xt.dtype, device=xt.device).expand(len(xt))[:, None]
