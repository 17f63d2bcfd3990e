"""A quantity of a run at one look, and by how much it differs from that of another run."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from taumem.record import Curve, RunRecord

__all__ = ["PAIRED", "Looked", "difference_of", "looked_up"]

PAIRED = "heldout_loss"
"""The quantity whose items are the same in runs of one data set, under the same noise."""


@dataclass(frozen=True)
class Looked:
    """A quantity of a run at one look.

    Attributes:
        value: of the look.
        se: its standard error; infinite where nothing says it.
        items: of the held-out items, in their order; None where they were not kept.
    """

    value: float
    se: float
    items: NDArray[np.float64] | None = None


def looked_up(record: RunRecord, quantity: str, step: int) -> Looked | None:
    """A quantity at its last look up to a step; None where there is none past step 0.

    Args:
        record: the run.
        quantity: its name.
        step: in optimizer steps.
    """
    curve = record.curve_or_none(quantity)
    k = -1 if curve is None else int(np.searchsorted(curve.steps, step, side="right")) - 1
    if curve is None or k < 0 or curve.steps[k] == 0:
        return None
    # Items of a sampled quantity are what its error is computed of, and pair with nothing in another run.
    items = curve.items[k] if curve.items is not None and quantity == PAIRED else None
    return Looked(float(curve.values[k]), _error(curve, k), items)


def _error(curve: Curve, k: int) -> float:
    """The standard error of a look: its own, or what its interval says; infinite where neither is there."""
    if math.isfinite(curve.se[k]):
        return float(curve.se[k])
    known = curve.confidence is not None and math.isfinite(curve.confidence[k])
    if not known or curve.confidence is None:
        return math.inf
    return float((curve.high[k] - curve.low[k]) / 2 / ndtri((1 + curve.confidence[k]) / 2))


def difference_of(mine: Looked | None, other: Looked | None) -> Looked | None:
    """The first less the second: paired by item where both have as many of them; None where one is missing."""
    if mine is None or other is None:
        return None
    se = math.hypot(mine.se, other.se)
    if mine.items is not None and other.items is not None and len(mine.items) == len(other.items) > 1:
        difference = mine.items - other.items
        se = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    return Looked(mine.value - other.value, se)
