"""Local quadratic regression over the logarithm of the step."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["quadratic_smoother", "smoothed_and_residual"]

HALF_WIDTH = math.log(2.0)
"""Half-width of the window: a factor of 2 in steps to either side, wider where looks are sparse."""
NEIGHBORS = 5
"""Looks that a window holds at least."""

Floats = NDArray[np.float64]


def quadratic_smoother(x: Floats, at: Floats) -> Floats:
    """The linear map from values at looks to smoothed values.

    Args:
        x: log steps of the looks, ascending, at least 5.
        at: log steps at which smoothed values are wanted.

    Returns:
        [at, looks]; multiply values by it. It reproduces every quadratic exactly.

    Reference: Cleveland (1979), J. Am. Stat. Assoc. 74, 829: tricube weights.
    """
    distance = x[None, :] - at[:, None]
    fifth = np.sort(np.abs(distance), axis=1)[:, NEIGHBORS - 1]
    width = np.maximum(HALF_WIDTH, 1.2 * fifth)[:, None]
    u = distance / width
    weight = np.clip(1 - np.abs(u) ** 3, 0, None) ** 3
    basis = np.stack([np.ones_like(u), u, u * u], axis=2)  # [at, looks, 3]
    weighted = basis * weight[..., None]
    gram = np.einsum("gci,gcj->gij", weighted, basis)
    return np.asarray(np.linalg.solve(gram, np.swapaxes(weighted, 1, 2))[:, 0, :])


def smoothed_and_residual(x: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The smoothed curve at its own looks, and how far each look lies from it.

    Args:
        x: log steps of the looks, ascending, at least 5.
        values: of the curve, [looks], or of several curves [looks, curves].

    Returns:
        Both of that shape. The residuals are divided by sqrt(1 - leverage), which undoes that the curve follows
        its own noise (leverage is capped at 0.9, where a look at an end almost determines the curve).
    """
    smoother = quadratic_smoother(x, x)
    smoothed = smoother @ values
    leverage = np.clip(np.diagonal(smoother), 0, 0.9)
    return smoothed, ((values - smoothed).T / np.sqrt(1 - leverage)).T
