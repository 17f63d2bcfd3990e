"""Columns on their way to the compressor and back: not a bit is lost, unless rounding was asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from taumem.record.items import numbers_of, values_of
from taumem.record.packing import pack, unpack

ANY = arrays.arrays(
    dtype=st.one_of(
        arrays.integer_dtypes(endianness="?"),
        arrays.unsigned_integer_dtypes(endianness="?"),
        arrays.floating_dtypes(endianness="?"),
        arrays.boolean_dtypes(),
        arrays.unicode_string_dtypes(max_len=3),
    ),
    shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)


@given(ANY)
def test_any_array_comes_back_bit_for_bit(array):
    again = unpack(*pack(array))
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_columns_that_hardly_change_take_little_space():
    steps = np.arange(10_000) * 3 + 10**12
    assert pack(steps)[0].form == "differences"
    noise = np.random.default_rng(0).standard_normal(1000).astype(np.float16)
    assert pack(noise)[0].form == "planes"
    assert pack(np.array(["a", "b"]))[0].form == "plain"


def test_pictures_in_shades_look_the_same_on_a_screen():
    pictures = np.random.default_rng(0).uniform(-1.5, 1.5, (3, 4, 1, 8, 8)).astype(np.float16)
    pictures[0, 0, 0, 0, :2] = np.nan, np.inf
    again = unpack(*pack(pictures, shades=256))
    assert (again.dtype, again.shape) == (pictures.dtype, pictures.shape)

    def on_screen(x):
        return np.round((np.clip(np.nan_to_num(x.astype(float)), -1, 1) + 1) * 127.5)

    np.testing.assert_array_equal(on_screen(again), on_screen(pictures))


# --- the values of items --------------------------------------------------------------------------------------------

losses = arrays.arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.floats(1e-6, 1e3))


@given(losses.map(lambda x: np.vectorize(lambda v: float(f"{v:.7g}"))(x)))
def test_numbers_of_seven_digits_are_kept_in_single_precision_exactly(items):
    coding, numbers = numbers_of(items, items.mean(1), None)
    assert coding == "single"
    assert values_of(coding, numbers, items.mean(1), None).tobytes() == items.tobytes()


@given(arrays.arrays(float, st.tuples(st.integers(1, 4), st.integers(0, 5)), elements=st.floats(allow_nan=False)))
def test_any_numbers_are_kept_exactly(items):
    means = np.zeros(len(items))
    coding, numbers = numbers_of(items, means, None)
    assert values_of(coding, numbers, means, None).tobytes() == items.tobytes()


@given(losses, st.integers(2, 7))
def test_rounded_items_keep_their_mean_and_are_near_what_they_were(items, digits):
    means = items.mean(1)
    coding, numbers = numbers_of(items, means, digits)
    assert coding == "rounded"
    assert not numbers.sum(1).any()
    rounded = values_of(coding, numbers, means, digits)
    np.testing.assert_allclose(rounded.mean(1), means, rtol=1e-13)
    assert (abs(rounded - items) <= 1.001 * 10.0 ** (1 - digits) * means[:, None]).all()
    again = numbers_of(rounded, means, digits)
    assert again[0] == "rounded"
    np.testing.assert_array_equal(again[1], numbers)


@pytest.mark.parametrize("means", [[0.5, 2.1], [0.0, 2.0], [-1.0, 2.0]])
def test_items_of_which_the_value_is_no_mean_above_0_are_not_rounded(means):
    items = np.array([[0.0, 1.0], [1.0, 3.0]]) if means[1] != 2.0 else np.array([[-0.5, 0.5], [1.0, 3.0]])
    coding, numbers = numbers_of(items, np.array(means), 4)
    assert coding == "single"
    assert values_of(coding, numbers, np.array(means), 4).tobytes() == items.tobytes()
