"""The exact optimum on a Gaussian mixture: total generalization."""

from taumem.data import GaussianMixture
from taumem.diffusion import GaussianDiffusion
from taumem.shapes import Batch, Times

__all__ = ["MixtureDenoiser"]


class MixtureDenoiser:
    """The posterior mean of x0 given xt when x0 follows the mixture itself, not a finite sample of it.

    Args:
        diffusion: gives alpha_t and sigma_t.
        mixture: the distribution of x0.
    """

    def __init__(self, diffusion: GaussianDiffusion, mixture: GaussianMixture) -> None:
        self.diffusion = diffusion
        self.mixture = mixture

    def __call__(self, xt: Batch, t: Times) -> Batch:
        """Predict x0 from xt [batch, dimensions] at times t."""
        return self.mixture.posterior_mean(xt, *self.diffusion.scales(t))
