"""The sifting of windows against a plain loop over sets of shingles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import taumem.data.near_duplicates as near_duplicates
from taumem.data.near_duplicates import NEAR, sift, text_groups
from taumem.data.shingles import shingles, shingles_of


def resemblance(a: np.ndarray, b: np.ndarray) -> float:
    one, two = ({tuple(row[k : k + 8]) for k in range(max(1, len(row) - 7))} for row in (a.tolist(), b.tolist()))
    return len(one & two) / len(one | two)


def of_strings(a: str, b: str) -> float:
    one, two = ({text[k : k + 8] for k in range(max(1, len(text) - 7))} for text in (a, b))
    return len(one & two) / len(one | two)


@given(
    strings=st.lists(st.text("ab", min_size=1, max_size=14), min_size=1, max_size=14),
    near=st.sampled_from([0.2, 0.5, 1.0]),
)
def test_padding_behind_shorter_texts_is_no_part_of_what_they_share(strings, near):
    padded = np.array([[ord(sign) for sign in text.ljust(14, "\n")] for text in strings], np.uint8)
    kept: list[int] = []
    for k, text in enumerate(strings):
        if not any(of_strings(text, strings[other]) >= near for other in kept):
            kept.append(k)
    assert sift(padded, resemblance=near, padding=ord("\n")).kept.tolist() == kept


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


# --- texts of any lengths, in groups ------------------------------------------------------------------------------


def linked_by_hand(texts: list[str], least: float) -> list[int]:
    """The first text of each one's component, by plain sets and repeated joining."""
    sets = [{text[k : k + 8] for k in range(max(1, len(text) - 7))} for text in texts]
    group = list(range(len(texts)))
    for i, one in enumerate(sets):
        for j, two in enumerate(sets[:i]):
            if len(one & two) >= least * len(one | two):
                old, new = max(group[i], group[j]), min(group[i], group[j])
                group = [new if g == old else g for g in group]
    return group


passages = st.sampled_from(["in the beginning", "and then it was", "€uro 😀 smile", "\udc80\x00bytes", "short"])


@given(st.lists(st.lists(passages, max_size=4).map("".join), max_size=14))
def test_groups_of_texts_are_the_components_of_those_that_are_near(texts):
    assert text_groups(texts).tolist() == linked_by_hand(texts, NEAR)


def test_near_duplicates_of_any_kind_are_grouped_and_others_are_not():
    rng = np.random.default_rng(0)
    texts = ["".join(map(chr, row)) for row in rng.integers(97, 123, size=(500, 64))]
    changed = texts[3][:20] + "?" + texts[3][21:50] + "!" + texts[3][51:]
    texts += [changed, texts[4][10:], "and " + texts[5], texts[6]]
    groups = text_groups(texts)
    assert groups[500:].tolist() == [3, 4, 5, 6]
    assert groups[:500].tolist() == list(range(500))


def test_windows_of_one_document_are_no_group_but_many_copies_of_one_text_are():
    rng = np.random.default_rng(0)
    document = "".join(map(chr, rng.integers(97, 123, size=32 * 400)))
    overlapping = [document[start : start + 64] for start in range(0, len(document) - 32, 32)]
    assert text_groups(overlapping[:50]).tolist() == [0] * 50
    copies = [overlapping[7][:k] + "#" + overlapping[7][k + 1 :] for k in range(2, 64)] * 3
    groups = text_groups(overlapping + copies)
    assert groups[: len(overlapping)].tolist() == list(range(len(overlapping)))
    assert set(groups[len(overlapping) :]) == {7}


def test_shingles_of_texts_are_equal_where_the_passages_are():
    texts = ["abcdefgh", "xabcdefghx", "abc", "abc\x00", "abc", ""]
    numbers, owners = shingles_of(texts)
    assert owners.tolist() == [0, 1, 1, 1, 2, 3, 4, 5]
    assert numbers[0] == numbers[2]
    assert numbers[4] == numbers[6]
    assert len(np.unique(numbers)) == 6
