"""Training of a linear readout, solved: its loss is a quadratic, so every step of gradient descent is known at once."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.errors import ConfigError

__all__ = ["GradientFlow", "Moments"]

ROUNDING = 1e-16
"""Of eigenvalues, relative to the largest and for each feature: a mode with less is none of the training data."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The loss of a readout A of p features on some data, as the quadratic that it is.

        loss(A) = E |target - A phi|^2 / d = (tr A U A' - 2 tr A V' + c) / d

    Attributes:
        features: U = E phi phi'.
        targets: V = E target phi'.
        power: c = E |target|^2.
    """

    features: Float[Tensor, "p p"]
    targets: Float[Tensor, "d p"]
    power: float

    def loss(self, readout: Float[Tensor, "d p"]) -> float:
        """Give the loss of a readout."""
        quadratic = ((readout @ self.features) * readout).sum() - 2 * (readout * self.targets).sum()
        return (self.power + float(quadratic)) / len(self.targets)

    def gradient(self, readout: Float[Tensor, "d p"]) -> Float[Tensor, "d p"]:
        """Give the derivative of the loss by the readout."""
        return 2 * (readout @ self.features - self.targets) / len(self.targets)

    def scaled(self, by: Float[Tensor, "p"]) -> "Moments":
        """Give the same loss with each feature multiplied by a number: the readout of it is divided by that.

        Gradient descent on it is descent on the loss itself with the preconditioner ``by`` squared, which is how an
        optimizer with a fixed diagonal acts.
        """
        return Moments(by[:, None] * self.features * by, self.targets * by, self.power)


class GradientFlow:
    """A readout that starts from 0 and follows the gradient of its training loss.

    Along mode k of U, with eigenvalue lambda_k, the readout has learned the share

        1 - exp(-r_k tau),   r_k = 2 lambda_k / d,   tau = learning rate * steps

    of where it goes in the end; gradient descent with its steps as they are has 1 - (1 - rate r_k)^steps.

    Args:
        train: the loss that is followed.

    Reference: Bonnaire et al. 2025, arXiv 2505.17638, section 3.
    """

    def __init__(self, train: Moments) -> None:
        self.train = train
        values, modes = torch.linalg.eigh(train.features)
        self.eigenvalues: Tensor = values.flip(0).clamp(min=0)
        """Of U, descending [p]."""
        self.modes: Tensor = modes.flip(1)
        """Of U, one in each column [p, p]."""

    @property
    def rates(self) -> Float[Tensor, "modes"]:
        """r_k: how fast each mode is learned, per unit of tau, descending."""
        return 2 * self.eigenvalues / len(self.train.targets)

    @property
    def highest_rate(self) -> float:
        """The learning rate above which gradient descent diverges."""
        return 2 / float(self.rates[0])

    def losses(
        self, of: Moments, times: Float[Tensor, "k"], *, learning_rate: float | None = None
    ) -> Float[Tensor, "k"]:
        """Give a loss over training: that on the training items, or on any others.

        Args:
            of: the loss to follow.
            times: tau = learning rate * steps, at least 0; infinity is the end.
            learning_rate: of gradient descent; None for the flow, the limit of small ones.

        Raises:
            ConfigError: the learning rate makes gradient descent diverge.
        """
        if learning_rate is not None and not 0 < learning_rate < self.highest_rate:
            raise ConfigError(
                f"gradient descent on this loss converges at learning rates between 0 and {self.highest_rate:.4g}; got "
                f"{learning_rate!r}."
            )
        learned = torch.stack([self._learned(tau, learning_rate) for tau in times.tolist()])
        quadratic = (self._start.T @ self._start) * (self.modes.T @ of.features @ self.modes)
        linear = (self._start * (of.targets @ self.modes)).sum(dim=0)
        return (of.power + ((learned @ quadratic) * learned).sum(dim=1) - 2 * learned @ linear) / len(of.targets)

    def readout(self, tau: float, *, learning_rate: float | None = None) -> Float[Tensor, "d p"]:
        """Give the readout at a time."""
        return (self._start * self._learned(tau, learning_rate)) @ self.modes.T

    @cached_property
    def _start(self) -> Float[Tensor, "d modes"]:
        """Half the first gradient, along each mode."""
        return self.train.targets @ self.modes

    def _learned(self, tau: float, learning_rate: float | None) -> Float[Tensor, "modes"]:
        """The share of each mode that is learned, over its eigenvalue."""
        if learning_rate is None:
            share = -torch.expm1(-self.rates * tau)
        else:
            share = 1 - (1 - learning_rate * self.rates) ** round(tau / learning_rate)
        there = self.eigenvalues > ROUNDING * len(self.eigenvalues) * self.eigenvalues[0]
        return torch.where(there, share / self.eigenvalues, 0)
