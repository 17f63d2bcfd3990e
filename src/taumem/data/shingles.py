"""Shingles: the passages of one length that a text consists of, numbered, by which texts are compared."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.data.alphabets import code_points

__all__ = ["SHINGLE", "shingles", "shingles_of"]

SHINGLE = 8
"""How many symbols a shingle has: windows are compared by their sets of shingles, wherever these stand in them."""

SYMBOLS_AT_ONCE = 2**21
_HASH_BASE = 0x9E3779B97F4A7C15
_MIXING = ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53), (33, 1))
"""Shifts and factors after which each bit of a number depends on all; each step can be undone, and loses nothing."""


def shingles(windows: NDArray[Any]) -> NDArray[np.uint64]:
    """Number the shingles of each window, equal ones alike: [n, window - SHINGLE + 1].

    A shorter window is one shingle. Exact below 256; for larger symbols, two different shingles have the same number
    about as often as two random numbers of 64 bits.
    """
    base = np.uint64(256 if windows.dtype == np.uint8 else _HASH_BASE)
    size = min(SHINGLE, windows.shape[1])
    numbers = np.zeros((len(windows), windows.shape[1] - size + 1), np.uint64)
    for k in range(size):
        numbers = numbers * base + windows[:, k : k + numbers.shape[1]].astype(np.uint64)
    return numbers


def shingles_of(
    texts: Sequence[str], size: int = SHINGLE, most: int | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Number the shingles of texts of any lengths, equal ones alike, text after text.

    A text shorter than a shingle is one shingle. Two different shingles have the same number about as often as two
    random numbers of 64 bits.

    Args:
        texts: texts [n].
        size: symbols of a shingle.
        most: how many different shingles a text has at most; of a longer one those with the smallest numbers stand for
            all, which are alike in like texts. None for all in the order of their places, equal ones too.

    Returns:
        numbers: of all shingles.
        owners: the text that each is of, ascending.

    Reference: A. Broder, "On the resemblance and containment of documents", 1997 (the smallest as a sketch).
    """
    part = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts))) // SYMBOLS_AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1), len(texts)]
    found = [(_numbered(texts[a:b], size, most), a) for a, b in itertools.pairwise(cuts)]
    return np.concatenate([numbers for (numbers, _), _ in found]), np.concatenate(
        [owners + a for (_, owners), a in found]
    )


def _numbered(texts: Sequence[str], size: int, most: int | None) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The shingles of some texts at once."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    symbols = np.concatenate([code_points("".join(texts)), np.zeros(size, np.uint8)]).astype(np.uint64)
    counts = np.maximum(lengths - size + 1, 1)
    owners = np.repeat(np.arange(len(texts)), counts)
    starts = np.arange(len(owners)) + np.repeat(np.cumsum(lengths) - lengths - (np.cumsum(counts) - counts), counts)
    within = lengths[owners]
    numbers = np.zeros(len(owners), np.uint64)
    for k in range(size):
        # A symbol that is not there counts as 0, and a zero that is there as 1.
        numbers = numbers * np.uint64(_HASH_BASE) + np.where(k < within, symbols[starts + k] + np.uint64(1), 0)
    for shift, factor in _MIXING:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    if most is None:
        return numbers, owners
    order = np.lexsort((numbers, owners))
    numbers, owners = numbers[order], owners[order]
    is_new = np.append(True, (np.diff(numbers) != 0) | (np.diff(owners) != 0))[: len(numbers)]
    numbers, owners = numbers[is_new], owners[is_new]
    is_small = np.arange(len(owners)) - np.searchsorted(owners, np.arange(len(texts)))[owners] < most
    return numbers[is_small], owners[is_small]
