"""The sifting of windows against a plain loop over sets of shingles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import taumem.data.near_duplicates as near_duplicates
from taumem.data.near_duplicates import NEAR, shingles, sift


def resemblance(a: np.ndarray, b: np.ndarray) -> float:
    one, two = ({tuple(row[k : k + 8]) for k in range(max(1, len(row) - 7))} for row in (a.tolist(), b.tolist()))
    return len(one & two) / len(one | two)


def one_by_one(windows: np.ndarray, wanted: int, against: np.ndarray) -> tuple[list[int], int, int]:
    kept, equal, near = [], 0, 0
    for i, window in enumerate(windows):
        if len(kept) == wanted:
            break
        rivals = [*against, *windows[kept]]
        if any((window == rival).all() for rival in rivals):
            equal += 1
        elif any(resemblance(window, rival) >= NEAR for rival in rivals):
            near += 1
        else:
            kept.append(i)
    return kept, equal, near


@given(
    source=npst.arrays(np.uint8, 80, elements=st.integers(0, 2)),
    starts=st.lists(st.integers(0, 60), min_size=1, max_size=20),
    n_against=st.integers(0, 4),
    wanted=st.integers(0, 25),
    at_once=st.sampled_from([1, 3, 100]),
)
def test_what_is_kept_is_what_a_plain_loop_keeps(source, starts, n_against, wanted, at_once):
    # Windows of one short text of few symbols: many overlap, and many are equal.
    windows = np.stack([source[start : start + 20] for start in starts])
    against, windows = windows[:n_against], windows[n_against:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "WINDOWS_AT_ONCE", at_once)
        patch.setattr(near_duplicates, "ROWS_AT_ONCE", 2)
        found = sift(windows, wanted, against=against)
    assert (found.kept.tolist(), found.duplicates, found.near_duplicates) == one_by_one(windows, wanted, against)


@pytest.mark.parametrize(("dtype", "n_symbols"), [(np.uint8, 256), (np.uint16, 300), (np.int32, 100_000)])
def test_equal_shingles_have_equal_numbers_and_different_ones_different_numbers(dtype, n_symbols):
    rng = np.random.default_rng(0)
    windows = rng.integers(n_symbols, size=(200, 40)).astype(dtype)
    windows[100:, 5:25] = windows[:100, 9:29]
    numbers = shingles(windows)
    assert numbers.shape == (200, 33)
    assert np.array_equal(numbers[100:, 5:18], numbers[:100, 9:22])
    rows = np.lib.stride_tricks.sliding_window_view(windows, 8, axis=1).reshape(-1, 8)
    assert len(np.unique(numbers)) == len(np.unique(rows, axis=0))


@given(shift=st.integers(0, 63), seed=st.integers(0, 1000))
def test_a_passage_that_occurs_twice_is_seen_wherever_it_is_cut(shift, seed):
    passage = np.random.default_rng(seed).integers(27, size=192).astype(np.uint8)
    first, second = passage.reshape(3, 64), passage[64 + shift - 32 :][:64][None]
    assert len(sift(first).kept) == 3
    assert not len(sift(second, against=first).kept)


def test_windows_that_share_only_a_few_words_are_no_near_duplicates():
    rng = np.random.default_rng(0)
    windows = rng.integers(27, size=(50, 64)).astype(np.uint8)
    windows[:, 10:24] = windows[0, 10:24]
    assert len(sift(windows).kept) == 50


def test_windows_shorter_than_a_shingle_are_near_only_if_they_are_equal():
    windows = np.array([[1, 2], [1, 3], [1, 2], [2, 1]], np.uint8)
    found = sift(windows)
    assert (found.kept.tolist(), found.duplicates, found.near_duplicates) == ([0, 1, 3], 1, 0)


def test_a_monotonous_window_is_not_near_every_window_that_holds_a_piece_of_it():
    line = np.full((1, 64), 5, np.uint8)
    mixed = np.random.default_rng(0).integers(27, size=(1, 64)).astype(np.uint8)
    mixed[0, :10] = 5
    assert len(sift(np.concatenate([line, mixed])).kept) == 2


def test_nothing_in_nothing_out():
    assert not len(sift(np.zeros((0, 64), np.uint8)).kept)
    assert not len(sift(np.zeros((3, 64), np.uint8), 0).kept)
