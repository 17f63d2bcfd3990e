"""What a clock asks of a curve, and what it refuses."""

import numpy as np
from numpy.typing import NDArray

from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["SIGNIFICANT", "check_threshold", "log_steps_and_items"]

SIGNIFICANT = 2.0
"""Standard errors that count as significant (one-sided 2.3 %)."""

Floats = NDArray[np.float64]


def log_steps_and_items(curve: Curve, fewest: int) -> tuple[Floats, Floats]:
    """The log steps [looks] of a curve past step 0, and its values of each item there [looks, items].

    Raises:
        ConfigError: the items were not kept, there are fewer than 2, or fewer looks than asked for.
    """
    if curve.items is None or curve.items.shape[1] < 2:
        raise ConfigError(f"'{curve.quantity}' was recorded without the values of its items; a clock needs them.")
    past = curve.steps > 0
    if past.sum() < fewest:
        raise ConfigError(f"'{curve.quantity}': {past.sum()} look(s) past step 0; this clock needs {fewest}.")
    return np.log(curve.steps[past].astype(float)), curve.items[past]


def check_threshold(threshold: float) -> None:
    """Refuse what is no share to pass.

    Raises:
        ConfigError: it is not in (0, 1).
    """
    if not 0 < threshold < 1:
        raise ConfigError(f"a threshold is a share between 0 and 1, such as 0.2; got {threshold}.")
