"""The spectrum of training around a network as it stands: how fast each mode of its predictions is learned.

To first order in a step of gradient descent, what a network predicts of n m corrupted items moves by the Gram matrix
of the gradients of its predictions. Its eigenvalues are rates of learning. A network that may memorize has three
groups of them: what items have in common, what tells one item from another (at most n modes, absent where each item
has a single draw of noise, m = 1), and what tells the m draws of an item apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from taumem.diffusion import Diffusion, GaussianDiffusion
from taumem.errors import ConfigError
from taumem.probes.isolation import undisturbed
from taumem.probes.probe import check_times, items_for
from taumem.randomness import generator_for
from taumem.shapes import Batch, Items, Times

__all__ = ["GradientSpectrum", "gradient_spectrum"]

MOST_ROWS = 8192
"""Corrupted items: their Gram matrix is diagonalized."""
AT_ONCE = 64
"""Gradients that are computed together."""


@dataclass(frozen=True, eq=False)
class GradientSpectrum:
    """The modes of training around a network, from the fastest.

    Attributes:
        rates: per unit of learning rate * steps of gradient descent, descending [n m].
        same_for_draws: the share of each mode that is the same for all m draws of an item, in [0, 1]: near 1 for what
            items have in common and for what tells items apart, near 0 for what tells draws apart; 1 / m by chance.
        n_items: n.
        draws: m.
    """

    rates: Float[Tensor, "modes"]
    same_for_draws: Float[Tensor, "modes"]
    n_items: int
    draws: int


def gradient_spectrum(
    denoiser: nn.Module,
    diffusion: Diffusion,
    items: Items,
    t: float,
    *,
    draws: int = 4,
    seed: int = 0,
    directions: int | None = None,
) -> GradientSpectrum:
    """Diagonalize the Gram matrix of the gradients of what a denoiser predicts of some items at one time.

        K_ij = 2 w_t / (n m d) * mean over coordinates c of  grad x0_hat_c(xt_i) . grad x0_hat_c(xt_j)

    with w_t the weight of the loss, so that 1 / rate is a time in units of learning rate * steps. Exact for networks
    whose coordinates share no trained weight, such as :class:`taumem.models.SineFeatures`; for others it is the mean
    over coordinates of what each would do alone. Memory: n m gradients at a time.

    Args:
        denoiser: a network with trained parameters; it stays as it is.
        diffusion: Gaussian; corrupts, and weighs the loss.
        items: n training items, at least 2.
        t: the diffusion time, in (0, 1).
        draws: m, of noise for each item, at least 1.
        seed: of the noise.
        directions: take so many random directions (orthonormal) in the place of all d coordinates; None for all.

    Raises:
        ConfigError: a denoiser without parameters, noise that is not Gaussian, no draws, more corrupted items than can
            be diagonalized, or more directions than coordinates.
        DataError: items that are not finite.

    Reference: Urfin, Bonnaire, Biroli & Mezard 2026, First Learn, Then Memorize.
    """
    check_times([t])
    items = items_for(diffusion, items, "items")
    parameters = _trained(denoiser)
    if not isinstance(diffusion, GaussianDiffusion):
        raise ConfigError(f"the spectrum is that of Gaussian noise; got {type(diffusion).__name__}.")
    n, d = len(items), items[0].numel() if len(items) else 0
    if n < 2 or draws < 1 or n * draws > MOST_ROWS or not 1 <= (directions or d) <= d:
        raise ConfigError(
            f"the spectrum takes 2 items or more, 1 draw or more of each (at most {MOST_ROWS:,} in all), at most {d} "
            f"directions; got {n} items, {draws} draws and {directions} directions."
        )
    x0 = items.repeat_interleave(draws, dim=0)
    times = torch.full((len(x0),), t, device=x0.device)
    noise = diffusion.noise(x0, generator_for(seed, "spectrum", device=x0.device))
    along = torch.eye(d, device=x0.device, dtype=x0.dtype)
    if directions is not None:
        mixed = torch.randn(d, d, generator=generator_for(seed, "directions"), dtype=x0.dtype).to(x0.device)
        along = torch.linalg.qr(mixed).Q.T[:directions]
    with undisturbed(denoiser):
        gram = _gram(denoiser, parameters, diffusion.corrupt(x0, times, noise), times, along)
    # The weight of the loss at t, from the loss itself: of an error of 1 in each coordinate.
    weight = float(diffusion.loss(lambda xt, t: x0[:1] - 1, x0[:1], times[:1], noise[:1]))
    values, modes = torch.linalg.eigh(gram * (2 * weight / (len(x0) * d)))
    by_item = modes.flip(1).reshape(n, draws, -1).mean(dim=1).square().sum(dim=0) * draws
    return GradientSpectrum(values.flip(0).clamp(min=0), by_item, n, draws)


def _trained(denoiser: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by name."""
    named = dict(denoiser.named_parameters()) if isinstance(denoiser, nn.Module) else {}
    trained = {name: parameter.detach() for name, parameter in named.items() if parameter.requires_grad}
    if not trained:
        raise ConfigError(
            f"the spectrum is that of trained parameters, of which {type(denoiser).__name__} has none; give a network."
        )
    return trained


def _gram(
    denoiser: nn.Module, parameters: dict[str, Tensor], xt: Batch, times: Times, along: Float[Tensor, "k d"]
) -> Float[Tensor, "rows rows"]:
    """The mean over directions of the products of gradients, in double precision."""

    def predicted(weights: dict[str, Tensor], x: Tensor, t: Tensor, direction: Tensor) -> Tensor:
        prediction: Tensor = functional_call(denoiser, weights, (x[None], t[None]))
        return prediction.flatten() @ direction

    gradients: Callable[..., dict[str, Tensor]] = vmap(grad(predicted), in_dims=(None, 0, 0, None))
    gram = torch.zeros(len(xt), len(xt), dtype=torch.float64, device=xt.device)
    for direction in along:
        parts = [
            torch.cat([g.flatten(1) for g in gradients(parameters, x, t, direction).values()], dim=1)
            for x, t in zip(torch.split(xt, AT_ONCE), torch.split(times, AT_ONCE), strict=True)
        ]
        rows = torch.cat(parts)
        gram += (rows @ rows.T).double() / len(along)
    return gram
