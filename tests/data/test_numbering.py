"""Numbers of any size: shuffles that are never written out, and digits, against Python's own."""

from collections import Counter
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from taumem.data.numbering import from_digits, start_of_a_shuffle, to_digits


@given(below=st.integers(1, 2**200), n=st.integers(0, 40), seed=st.integers())
def test_a_shuffle_repeats_no_number_and_a_longer_start_continues_a_shorter_one(below, n, seed):
    n = min(n, below)
    start = start_of_a_shuffle(n, below, seed)
    assert len(set(start)) == n
    assert all(0 <= number < below for number in start)
    assert start_of_a_shuffle(min(n + 5, below), below, seed)[:n] == start


@given(below=st.integers(1, 60), seed=st.integers())
def test_the_whole_of_a_shuffle_is_a_permutation(below, seed):
    assert sorted(start_of_a_shuffle(below, below, seed)) == list(range(below))


@pytest.mark.parametrize("n", [2, 4])
def test_every_order_is_equally_probable(n):
    seen = Counter(tuple(start_of_a_shuffle(n, 4, seed)) for seed in range(6000))
    assert len(seen) == factorial(4) // factorial(4 - n)
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


def test_another_purpose_gives_another_order_and_the_kind_of_integer_gives_none():
    assert start_of_a_shuffle(9, 10**9, 1, "rules") != start_of_a_shuffle(9, 10**9, 1, "strings")
    assert start_of_a_shuffle(9, 10**9, np.int64(1), "rules") == start_of_a_shuffle(9, 10**9, 1, "rules")


@given(st.data(), st.integers(1, 40), st.integers(1, 90))
def test_digits_are_those_of_repeated_division_and_read_back(data, base, length):
    numbers = data.draw(st.lists(st.integers(0, base**length - 1), max_size=4))
    digits = to_digits(numbers, base, length)
    assert digits.shape == (len(numbers), length)
    for number, row in zip(numbers, digits.tolist(), strict=True):
        for digit in reversed(row):
            assert digit == number % base
            number //= base
    assert from_digits(digits, base) == numbers
