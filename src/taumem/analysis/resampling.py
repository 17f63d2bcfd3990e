"""The bootstrap over items: how far a clock would have moved had the probe drawn other items."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_RESAMPLES", "SEED", "paired_shares", "resampled_means", "shares"]

N_RESAMPLES = 400
SEED = 20_240_806
"""One seed for every bootstrap: the same record always gives the same interval."""

Floats = NDArray[np.float64]


def shares(n_items: int, rng: np.random.Generator) -> Floats:
    """Draw resamples of items, with replacement.

    Returns:
        The share of each item in each resample, [resamples, items]; each row adds up to 1.
    """
    counts = rng.multinomial(n_items, np.full(n_items, 1 / n_items), size=N_RESAMPLES)
    return counts / n_items


def paired_shares(n_one: int, n_other: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw resamples of two sets of items at once: the same places in both where the sets are of one size.

    Sets of one size meet the same noise, place by place. What the noise does to both then stays paired, and cancels in
    their difference as it does in the measurement.
    """
    one = shares(n_one, rng)
    return one, one if n_one == n_other else shares(n_other, rng)


def resampled_means(items: Floats, share: Floats) -> Floats:
    """Means over resampled items, [resamples, checks], of values [checks, items].

    The same resample is used at every check: what the items share over training stays paired.
    """
    return np.asarray(share @ items.T)
