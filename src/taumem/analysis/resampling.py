"""The bootstrap over items: how far a clock would have moved had the probe drawn other items.

One seed for every bootstrap: the same record always gives the same interval. So the draws are the same for all runs
that measure equally many items, and are kept.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_RESAMPLES", "paired_shares", "resampled_means", "shares", "signs_and_shares"]

N_RESAMPLES = 400
SEED = 20_240_806

Floats = NDArray[np.float64]


@lru_cache(maxsize=64)
def shares(n_items: int) -> Floats:
    """Draw resamples of items, with replacement.

    Returns:
        The share of each item in each resample, [resamples, items]; each row adds up to 1.
    """
    return _shares(n_items, np.random.default_rng(SEED))


@lru_cache(maxsize=64)
def paired_shares(n_one: int, n_other: int) -> tuple[Floats, Floats]:
    """Draw resamples of two sets of items at once: the same places in both where the sets are of one size.

    Sets of one size meet the same noise, place by place. What the noise does to both then stays paired, and cancels in
    their difference as it does in the measurement.
    """
    rng = np.random.default_rng(SEED)
    one = _shares(n_one, rng)
    return one, one if n_one == n_other else _shares(n_other, rng)


@lru_cache(maxsize=64)
def signs_and_shares(n_looks: int, n_items: int) -> tuple[Floats, Floats]:
    """Draw the signs of a wild bootstrap over looks, [resamples, looks], and resamples of items as :func:`shares`."""
    rng = np.random.default_rng(SEED)
    signs = rng.standard_normal((N_RESAMPLES, n_looks))
    signs.flags.writeable = False
    return signs, _shares(n_items, rng)


def resampled_means(items: Floats, share: Floats) -> Floats:
    """Means over resampled items, [resamples, looks], of values [looks, items].

    The same resample is used at every look: what the items share over training stays paired.
    """
    return np.asarray(share @ items.T)


def _shares(n_items: int, rng: np.random.Generator) -> Floats:
    drawn = rng.multinomial(n_items, np.full(n_items, 1 / n_items), size=N_RESAMPLES) / n_items
    drawn.flags.writeable = False  # it is kept, and handed out again
    return np.asarray(drawn)
