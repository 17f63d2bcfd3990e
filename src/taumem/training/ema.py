"""An exponential moving average of the weights whose window grows with training."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import brentq
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from taumem.errors import ConfigError

__all__ = ["power_average"]


def power_average(model: nn.Module, window: float = 0.1) -> AveragedModel:
    """Average a model's weights over the last ``window`` share of training, whatever its length.

    After step k the average decays by (1 - 1/k)^(gamma + 1): its memory is a power law in k, of relative width
    ``window``. A fixed decay would shift every clock by the same number of steps and so bend the exponent of a law in
    P; a window proportional to the step shifts them all by the same factor.

    Args:
        model: whose weights to average; its buffers are copied.
        window: relative standard deviation of the averaging profile, in (0, 0.28).

    Returns:
        torch's own averaged model; call ``update_parameters(model)`` after each optimizer step.

    Reference: Karras et al. 2024, arXiv 2312.02696, section 3.1 and algorithm 2 (power function EMA).
    """
    return AveragedModel(model, multi_avg_fn=_PowerFunction(_gamma(window)))


@dataclass(frozen=True)
class _PowerFunction:
    """Takes averages one step further; two of the same exponent are equal."""

    gamma: float

    @torch.no_grad()
    def __call__(self, averages: Sequence[Tensor], weights: Sequence[Tensor], n_averaged: Tensor | int) -> None:
        beta = (1 - 1 / (float(n_averaged) + 1)) ** (self.gamma + 1)
        torch._foreach_lerp_(list(averages), list(weights), 1 - beta)


def _gamma(window: float) -> float:
    """Solve window^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) for gamma > 0 (Karras et al., eq. 126)."""
    if not 0 < window < 0.28:
        raise ConfigError(f"the EMA's window is a share of training in (0, 0.28); got {window}.")
    # The left-hand side minus the right falls from positive at 0 to negative at 1 / window.
    return float(brentq(lambda g: (g + 1) / ((g + 2) ** 2 * (g + 3)) - window**2, 0.0, 1 / window))
