"""Integers of any size: the start of a random order of them, and their digits in a base."""

from collections.abc import Sequence
from operator import index
from random import Random

import numpy as np
from numpy.typing import NDArray

__all__ = ["INT64_BITS", "from_digits", "start_of_a_shuffle", "to_digits"]

INT64_BITS = 63
"""A signed 64-bit integer holds the numbers below 2^63."""


def start_of_a_shuffle(n: int, below: int, *purpose: str | int) -> list[int]:
    """Give the first n numbers of a random order of 0, ..., below - 1, without making the rest of it.

    The first n are the same whatever n is. It is Fisher and Yates's shuffle, of which only the places that were touched
    are kept: ``below`` may have any number of digits.

    Args:
        n: how many numbers, at most ``below``.
        below: how many numbers there are.
        purpose: what the order is for, a seed among it; two purposes give independent orders.

    >>> start_of_a_shuffle(3, 10**30, 0) == start_of_a_shuffle(5, 10**30, 0)[:3]
    True
    """
    # The integers of numpy and torch are spelled differently, and count alike. Words seed by their hash.
    random = Random(repr(tuple(word if isinstance(word, str) else index(word) for word in purpose)))
    moved: dict[int, int] = {}
    chosen = []
    for place in range(n):
        other = random.randrange(place, below)
        chosen.append(moved.get(other, other))
        moved[other] = moved.pop(place, place)
    return chosen


def to_digits(numbers: Sequence[int], base: int, length: int) -> NDArray[np.int64]:
    """Write numbers of any size in a base, as [n, length] digits, the highest first.

    >>> to_digits([6, 2**64], 4, 33)[:, -3:].tolist()
    [[0, 1, 2], [0, 0, 0]]
    """
    digits = np.empty((len(numbers), length), dtype=np.int64)
    rest = list(numbers)
    for start, stop in reversed(_limbs(base, length)):
        size = base ** (stop - start)
        limb = np.array([number % size for number in rest], dtype=np.int64)
        rest = [number // size for number in rest]
        digits[:, start:stop] = limb[:, None] // _descending_powers(base, stop - start) % base
    return digits


def from_digits(digits: NDArray[np.int64], base: int) -> list[int]:
    """Read numbers of any size from their digits: the inverse of :func:`to_digits`."""
    numbers = [0] * len(digits)
    for start, stop in _limbs(base, digits.shape[1]):
        limb = digits[:, start:stop] @ _descending_powers(base, stop - start)
        size = base ** (stop - start)
        numbers = [number * size + low for number, low in zip(numbers, limb.tolist(), strict=True)]
    return numbers


def _limbs(base: int, length: int) -> list[tuple[int, int]]:
    """Cut digits into pieces that fit a 64-bit integer each, so that Python's slow long integers see few of them."""
    width = max(1, (INT64_BITS - 1) // base.bit_length())
    return [(start, min(start + width, length)) for start in range(0, length, width)]


def _descending_powers(base: int, count: int) -> NDArray[np.int64]:
    return np.array([base**place for place in reversed(range(count))], dtype=np.int64)
