"""Generation: from noise at t = 1 to data at t = 0, one reverse step after another."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator

from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.diffusion import Diffusion
from taumem.errors import ConfigError
from taumem.shapes import Batch

__all__ = ["denoise", "sample"]


@torch.no_grad()
def sample(
    diffusion: Diffusion,
    denoiser: Denoiser,
    n: int,
    item_shape: tuple[int, ...],
    generator: Generator,
    *,
    steps: int = 15,
    times: Sequence[float] | None = None,
) -> Batch:
    """Generate n items on the generator's device.

    Tokens found in one step are drawn independently of each other, which few steps make inexact: with 15 steps the
    exact denoiser of a grammar gives 77 % valid strings under uniform noise, with 48 steps 94 %. For masked diffusion
    :func:`sample_in_any_order` has no such error; a :func:`cosine_grid` of times has less of it for long items, whose
    first symbols matter most, and may have more for short ones.

    The initial noise is the generator's first draw: two models given equal generators start from the same noise.

    Args:
        diffusion: the process to reverse.
        denoiser: the model.
        n: how many items.
        item_shape: the shape of one item.
        generator: of every random draw.
        steps: reverse steps, on a uniform grid from t = 1 to t = 0.
        times: another grid, instead of that one: falling from 1 to 0.

    Raises:
        ConfigError: fewer than one step, or times that do not fall from 1 to 0.
    """
    if times is None:
        if steps < 1:
            raise ConfigError(f"sampling needs at least 1 step; got {steps}.")
        times = [1 - k / steps for k in range(steps)] + [0.0]
    elif len(times) < 2 or times[0] != 1 or times[-1] != 0 or not all(s < t for t, s in pairwise(times)):
        raise ConfigError(f"times of sampling must fall from 1 to 0; got {len(times)}, {times[0]:g} to {times[-1]:g}.")
    x = diffusion.prior(n, item_shape, generator)
    for t, s in pairwise(times):
        x = diffusion.reverse(denoiser, x, t, s, generator)
    return x


@torch.no_grad()
def denoise(
    diffusion: Diffusion, denoiser: Denoiser, xt: Batch, t: float, generator: Generator, *, steps: int = 15
) -> Batch:
    """Bring corrupted items back to data: a reversal that starts in the middle.

    Args:
        diffusion: the process to reverse.
        denoiser: the model.
        xt: items at time t.
        t: diffusion time, in (0, 1].
        generator: of every random draw, on the items' device.
        steps: reverse steps, on a uniform grid from t to 0.

    Raises:
        ConfigError: a time outside (0, 1], or fewer than one step.
    """
    if not 0 < t <= 1 or steps < 1:
        raise ConfigError(f"items come back from a time in (0, 1] in at least 1 step; got t = {t} and {steps} steps.")
    grid = [t * (1 - k / steps) for k in range(steps)] + [0.0]
    for start, end in pairwise(grid):
        xt = diffusion.reverse(denoiser, xt, start, end, generator)
    return xt
