"""Nearest neighbors of strings by edit distance: all pairs, in bounded memory."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

__all__ = ["nearest_by_edits"]

AT_ONCE = 2**24
"""Pairs whose distances are held together."""


def nearest_by_edits(queries: Sequence[str], strings: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Find for each query the string that the fewest edits make of it, the first one of several.

    Args:
        queries: strings [n].
        strings: those to look among [m], at least one.

    Returns:
        distance: symbols that must be replaced, put in or left out, as a share of the longer one's [n].
        place: of the nearest string [n].

    >>> distance, place = nearest_by_edits(["abcd", "xyz"], ["abd", "xyz"])
    >>> distance.tolist(), place.tolist()
    ([0.25, 0.0], [0, 1])
    """
    distance, place = np.full(len(queries), np.inf), np.zeros(len(queries), np.intp)
    at_once = max(1, AT_ONCE // max(1, len(queries)))
    for start in range(0, len(strings), at_once):
        block = strings[start : start + at_once]
        found = cdist(
            queries, block, scorer=Levenshtein.normalized_distance, dtype=np.float64, workers=torch.get_num_threads()
        )
        nearest = found.argmin(axis=1)
        nearer = (here := found[np.arange(len(queries)), nearest]) < distance
        distance, place = np.where(nearer, here, distance), np.where(nearer, start + nearest, place)
    return distance, place
