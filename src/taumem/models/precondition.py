"""From a network that predicts noise, velocity or data to a denoiser, which predicts data."""

from typing import Literal, overload

import torch
from torch import nn

from taumem.diffusion.gaussian import GaussianDiffusion, Weighting, per_item
from taumem.errors import ConfigError
from taumem.shapes import Batch, Times

__all__ = ["Preconditioned"]


class Preconditioned(nn.Module):
    """A denoiser made of a network and of what the network's output stands for.

        eps:  x0_hat = (xt - sigma_t output) / alpha_t
        v:    x0_hat = alpha_t xt - sigma_t output,   under flow matching xt - t output: skip and out of the schedule
        x0:   x0_hat = output

    Under a schedule whose xt outgrows the data, the network reads xt scaled down.

    A network that was built to predict variances has as many outputs again; they come with the prediction where they
    are asked for, and are passed over elsewhere, so that it is a denoiser like any other.

    Args:
        network: maps (xt, t) to a tensor of xt's shape, or of two of them along the first axis of an item.
        diffusion: gives alpha_t and sigma_t, and what a velocity is.
        predicts: what the output stands for; with ``diffusion.weighting`` of the same name the training loss is the
            plain squared error of the network's output.

    Reference: Salimans & Ho 2022, arXiv 2202.00512, appendix D; Karras et al. 2022, arXiv 2206.00364
    (exploding variance).
    """

    def __init__(self, network: nn.Module, diffusion: GaussianDiffusion, predicts: Weighting = "v") -> None:
        super().__init__()
        if predicts not in ("eps", "v", "x0"):
            raise ConfigError(f"a network predicts 'eps', 'v' or 'x0'; got {predicts!r}.")
        self.network = network
        self.diffusion = diffusion
        self.predicts = predicts

    @overload
    def forward(self, xt: Batch, t: Times) -> Batch: ...
    @overload
    def forward(self, xt: Batch, t: Times, *, with_variance: Literal[True]) -> tuple[Batch, Batch]: ...
    def forward(self, xt: Batch, t: Times, *, with_variance: bool = False) -> Batch | tuple[Batch, Batch]:
        """Predict x0 from xt at times t; if asked for, with the network's word on the variance of a reverse step.

        Raises:
            ConfigError: the variance of a network that predicts none.
        """
        output: torch.Tensor = self.network(per_item(self.diffusion.input_scale(t), xt) * xt, t)
        output, *variance = torch.split(output, xt.shape[1], dim=1)
        if with_variance and not variance:
            raise ConfigError("this network predicts no variances; build it with as many outputs again (outputs=2).")
        x0 = self._x0(output, xt, t)
        return (x0, variance[0]) if with_variance else x0

    def _x0(self, output: torch.Tensor, xt: Batch, t: Times) -> Batch:
        if self.predicts == "eps":
            alpha_t, sigma_t = (per_item(scale, xt) for scale in self.diffusion.scales(t))
            return (xt - sigma_t * output) / alpha_t
        if self.predicts == "v":
            skip, out = (per_item(scale, xt) for scale in self.diffusion.velocity(t))
            return skip * xt - out * output
        return output
