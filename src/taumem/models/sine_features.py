"""Random features: a network whose hidden layer stays as it was drawn, so that all about its training can be derived.

The readout A alone is trained, the loss is a quadratic in A, and gradient descent on a quadratic is solved by an
eigendecomposition (:mod:`taumem.models.gradient_flow`). With sines as features the averages over the noise, and over a
Gaussian mixture, are closed forms too: E cos(u . z) = cos(u . mean) exp(-variance |u|^2 / 2) for a Gaussian z.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from taumem.data import GaussianMixture
from taumem.diffusion.gaussian import GaussianDiffusion
from taumem.errors import ConfigError
from taumem.models.gradient_flow import Moments
from taumem.shapes import Batch, Items, Times

__all__ = ["SineFeatures", "moments_of_draws", "moments_of_items", "moments_of_mixture"]

Vectors = Float[Tensor, "n d"]


class SineFeatures(nn.Module):
    """A linear readout of p frozen random features, which knows no diffusion time: for one time alone.

        output = A phi(xt),   phi_j(x) = sqrt(2 / p) sin(u_j . x),   u_j ~ N(0, gain^2 / d),   A = 0 at first

    Odd like the hyperbolic tangent, with a linear part (what the items have in common can be read off it) and a
    nonlinear one (by which a wide layer tells one item from another). In the limit of many features it is the kernel
    exp(-gain^2 |x - y|^2 / 2d) of odd functions.

    Args:
        item_shape: the shape of one item of d numbers; it is flattened inside.
        width: number p of features.
        gain: scale of the hidden weights, above 0: the larger, the sooner the features tell near items apart.
        generator: of the hidden weights; None takes a fixed one.

    Raises:
        ConfigError: no features, or a gain that is not positive.

    Reference: Rahimi & Recht 2007 (random features); Bonnaire et al. 2025, arXiv 2505.17638, section 3 (of diffusion).
    """

    frequencies: Float[Tensor, "p d"]

    def __init__(
        self, item_shape: Sequence[int], *, width: int = 1024, gain: float = 1.0, generator: Generator | None = None
    ) -> None:
        super().__init__()
        if width < 1 or not 0 < gain < math.inf:
            raise ConfigError(f"random features: at least one, with a gain above 0; got width {width}, gain {gain}.")
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        d = math.prod(item_shape)
        self.register_buffer("frequencies", gain / math.sqrt(d) * torch.randn(width, d, generator=generator))
        self.readout = nn.Parameter(torch.zeros(d, width))

    def features(self, xt: Batch) -> Float[Tensor, "batch p"]:
        """Give phi(xt)."""
        frequencies = self.frequencies.to(xt.dtype)
        return math.sqrt(2 / len(frequencies)) * torch.sin(xt.flatten(1) @ frequencies.T)

    def forward(self, xt: Batch, t: Times) -> Tensor:
        """Map items [batch, ...] to a tensor of their shape, whatever the time."""
        return (self.features(xt) @ self.readout.to(xt.dtype).T).reshape(xt.shape)


def moments_of_items(network: SineFeatures, diffusion: GaussianDiffusion, items: Items, t: float) -> Moments:
    """Derive the loss on some items at time t, averaged over all noise: the limit of ever more draws of each item.

    Args:
        network: whose readout is trained.
        diffusion: gives alpha_t, sigma_t and the loss, which is that of what the network predicts.
        items: [n, ...], at least one.
        t: the diffusion time.

    Raises:
        ConfigError: no items.
    """
    if len(items) == 0:
        raise ConfigError("a loss on no items; give one at least.")
    centers = items.flatten(1).double().cpu()
    weights = torch.full((len(centers),), 1 / len(centers), dtype=torch.float64)
    return _moments(network, diffusion, t, [(weights, centers, 0.0)])


def moments_of_mixture(
    network: SineFeatures, diffusion: GaussianDiffusion, mixture: GaussianMixture, t: float
) -> Moments:
    """Derive the loss on all that a mixture can give, at time t and averaged over all noise: the population's."""
    weights, means, variances = (part.double().cpu() for part in (mixture.weights, mixture.means, mixture.variances))
    alike = [(variances == v, v) for v in sorted(set(variances.tolist()))]
    return _moments(network, diffusion, t, [(weights[here], means[here], v) for here, v in alike])


def moments_of_draws(
    network: SineFeatures, diffusion: GaussianDiffusion, items: Items, t: float, noise: Float[Tensor, "m n *item"]
) -> Moments:
    """Give the loss on some items at time t under m draws of noise of each that stay the same over training.

    Args:
        network: whose readout is trained.
        diffusion: gives alpha_t, sigma_t and the loss.
        items: [n, ...].
        t: the diffusion time.
        noise: m draws for each item.

    Reference: George, Veiga & Macris 2025, arXiv 2502.00336 (m as a parameter).
    """
    x0, eps = (rows.flatten(1).double().cpu() for rows in (items.expand_as(noise).flatten(0, 1), noise.flatten(0, 1)))
    alpha, sigma, of_data, of_noise = _scales(diffusion, t)
    features = network.features(alpha * x0 + sigma * eps)
    targets = of_data * x0 + of_noise * eps
    n = len(x0)
    return Moments(features.T @ features / n, targets.T @ features / n, float(targets.square().sum() / n))


Component = tuple[Float[Tensor, "k"], Vectors, float]
"""Weights and means of Gaussians of one variance: the data, or a part of them."""


def _moments(network: SineFeatures, diffusion: GaussianDiffusion, t: float, data: Sequence[Component]) -> Moments:
    """Average over components and noise: sines of xt = alpha x0 + sigma eps, with x0 and eps Gaussian."""
    u = network.frequencies.double().cpu()
    (p, d), (alpha, sigma, of_data, of_noise) = u.shape, _scales(diffusion, t)
    square, product = u.square().sum(dim=1), u @ u.T
    of_sum, of_difference = (square[:, None] + square + 2 * sign * product for sign in (1, -1))
    features, targets = torch.zeros(p, p, dtype=u.dtype), torch.zeros(d, p, dtype=u.dtype)
    power = of_noise**2 * d
    for weights, centers, variance in data:
        angles, w = alpha * centers @ u.T, weights[:, None]
        sin, cos = angles.sin(), angles.cos()
        sines, cosines = sin.T @ (w * sin), cos.T @ (w * cos)
        spread = (alpha**2 * variance + sigma**2) / 2
        # 2 sin a sin b = cos(a - b) - cos(a + b), and each cosine is damped by the square of its own frequency.
        features += torch.exp(-spread * of_difference) * (cosines + sines)
        features -= torch.exp(-spread * of_sum) * (cosines - sines)
        # E eps f(xt) = sigma E f'(xt), and likewise for what of x0 is not the mean (Stein).
        slope = u.T * (weights @ cos)
        pulled = of_data * (centers.T @ (w * sin) + alpha * variance * slope) + of_noise * sigma * slope
        targets += math.sqrt(2 / p) * torch.exp(-spread * square) * pulled
        power += of_data**2 * float(weights @ (centers.square().sum(dim=1) + variance * d))
    return Moments(features / p, targets, power)


def _scales(diffusion: GaussianDiffusion, t: float) -> tuple[float, float, float, float]:
    """By how much x0 and eps enter what a network reads, and what it predicts."""
    time = torch.tensor([t], dtype=torch.float64)
    alpha, sigma, skip, out = (float(each) for each in (*diffusion.scales(time), *diffusion.velocity(time)))
    read = float(diffusion.input_scale(time))
    velocity = ((skip * alpha - 1) / out, skip * sigma / out)
    of_data, of_noise = {"eps": (0.0, 1.0), "v": velocity, "x0": (1.0, 0.0)}[diffusion.weighting]
    return read * alpha, read * sigma, of_data, of_noise
