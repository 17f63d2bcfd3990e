"""What looks like a copy by accident: the scores of items that copy nothing, in two halves.

One half calibrates (p-values are ranks among its scores), the other evaluates (how often a rule takes such items for
copies, and whether an audit of them comes out clean). Where there are no held-out items, training items stand in, each
against the others: they tell how alike fresh items of the same source are, but not whether a model's samples differ
from those in other ways.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.errors import DataError
from taumem.neighbors.matches import Matches
from taumem.randomness import generator_for

__all__ = ["FEWEST", "Null", "halves", "one_of_each"]

FEWEST = 4
"""Items that a null needs: two in each half."""


@dataclass(frozen=True, eq=False)
class Null:
    """Matches of items that copy nothing.

    Attributes:
        calibration: of the half that p-values are made from.
        evaluation: of the other half.
        source: ``heldout``, or ``left_out`` where training items stand in.
        calibrated: the places of the calibration half among the held-out (or training) items, ascending.
        evaluated: those of the evaluation half.
    """

    calibration: Matches
    evaluation: Matches
    source: Literal["heldout", "left_out"]
    calibrated: NDArray[np.int64]
    evaluated: NDArray[np.int64]


def halves(matches: Matches, places: NDArray[np.int64], source: Literal["heldout", "left_out"], seed: int) -> Null:
    """Split matches of items that copy nothing into two halves, by a shuffle.

    Raises:
        DataError: there are too few.
    """
    n = len(matches)
    if n < FEWEST:
        what = f"{'held-out' if source == 'heldout' else 'training'} items that are apart (groups of them)"
        raise DataError(f"an audit needs at least {FEWEST} {what} to tell copies from accidents; got {n}.")
    order = torch.randperm(n, generator=generator_for(seed, "audit halves")).numpy()
    first, second = np.sort(order[: (n + 1) // 2]), np.sort(order[(n + 1) // 2 :])
    return Null(matches[first], matches[second], source, places[first], places[second])


def one_of_each(groups: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Draw one item of each group, from at most so many groups, ascending.

    What is exchangeable are groups (patients, scenes), not the items of one.
    """
    order = torch.randperm(len(groups), generator=generator_for(seed, "audit null")).numpy()
    _, first = np.unique(groups[order], return_index=True)
    return np.sort(order[np.sort(first)[:most]])
