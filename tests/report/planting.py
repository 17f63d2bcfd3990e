"""What the planted studies share: exact shares, means over items, and their place in training time."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from taumem.record import Estimate, Measurement, RunHeader

Floats = NDArray[np.float64]


def at_step(run: RunHeader, step: float, estimates: Iterable[Estimate]) -> list[Measurement]:
    step = int(step)
    return [Measurement.of(e, step=step, examples=step * run.batch_size, seconds=step / 30) for e in estimates]


def share(quantity: str, hits: int, count: int) -> Estimate:
    """A share with its exact 95 % interval (Clopper and Pearson)."""
    low = float(betaincinv(hits, count - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 0.975)) if hits < count else 1.0
    return Estimate(quantity=quantity, value=hits / count, low=low, high=high, count=count)


def mean(quantity: str, items: Floats, *, keep: bool = True) -> Estimate:
    """A mean with its standard error, and the items that it is taken over."""
    se = float(items.std(ddof=1) / np.sqrt(len(items)))
    kept = tuple(items.tolist()) if keep else None
    return Estimate(quantity=quantity, value=float(items.mean()), se=se, count=len(items), items=kept)
