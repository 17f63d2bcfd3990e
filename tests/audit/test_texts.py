"""Texts against training texts: edit distances by a loop of one's own, the search by brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textbook import edit_distance

import taumem.audit.texts as texts_module
from taumem.audit.texts import GROUPS, WAYS, TextComparison
from taumem.data import load_english
from taumem.errors import DataError


def share(a: str, b: str) -> float:
    return edit_distance(a, b) / max(1, len(a), len(b))


def brute_force(query: str, train: list[str], groups: list[int], own: int | None) -> tuple[int, list[float]]:
    """The first nearest text of another group than one's own, and the distances to all such groups."""
    distance = [np.inf if group == own else share(query, text) for text, group in zip(train, groups, strict=True)]
    of_groups = [min(d for d, g in zip(distance, groups, strict=True) if g == group) for group in set(groups) - {own}]
    return int(np.argmin(distance)), sorted(of_groups)


def random_texts(n: int, length: int, seed: int = 0) -> list[str]:
    table = np.random.default_rng(seed).integers(ord("a"), ord("z") + 1, size=(n, length))
    return ["".join(map(chr, row)) for row in table]


def english(n: int, window: int, seed: int = 0) -> list[str]:
    text = " ".join(load_english().values())
    starts = np.random.default_rng(seed).permutation(len(text) // window - 1)[:n] * window
    return [text[start : start + window] for start in starts]


def changed(text: str, n: int, seed: int) -> str:
    rng, symbols = np.random.default_rng(seed), list(text)
    for k in rng.permutation(len(text))[:n]:
        symbols[k] = chr(ord("a") + (ord(symbols[k]) + 1 + rng.integers(24)) % 26)
    return "".join(symbols)


@pytest.fixture(params=["all", "shortlist"])
def search(request, monkeypatch) -> str:
    monkeypatch.setattr(texts_module, "EXHAUSTIVE", 10**9 if request.param == "all" else 0)
    return str(request.param)


words = st.text("ab€😀\udc80\x00", max_size=9)


@given(queries=st.lists(words, max_size=4), train=st.lists(words, min_size=1, max_size=12), data=st.data())
def test_what_is_found_is_what_brute_force_finds(queries, train, data):
    groups = data.draw(st.lists(st.integers(0, 3), min_size=len(train), max_size=len(train)))
    own = data.draw(st.lists(st.integers(0, 4), min_size=len(queries), max_size=len(queries)) | st.none())
    if own is not None and any({k} == set(groups) for k in own):
        return
    found = TextComparison(train, groups=np.array(groups)).compare(queries, own if own is None else np.array(own))
    for k, query in enumerate(queries):
        nearest, distances = brute_force(query, train, groups, None if own is None else own[k])
        assert (found.nearest[k], found.distance[k]) == (nearest, distances[0])
        assert found.plain[k].tolist() == (distances + [np.inf] * GROUPS)[:GROUPS]
        if len(distances) == 1:
            assert np.isnan(found.ratio[k])
            assert found.score[k] == distances[0]
        else:
            others = np.mean(distances[1:GROUPS])
            assert found.ratio[k] == (distances[0] / distances[1] if distances[1] else 0)
            assert found.score[k] == pytest.approx(distances[0] / others if others else 0)


@given(queries=st.lists(words, max_size=4), train=st.lists(words, min_size=1, max_size=12), data=st.data())
def test_a_short_list_holds_every_equal_text_and_says_the_true_distance_to_what_it_holds(queries, train, data):
    groups = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(train), max_size=len(train))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts_module, "EXHAUSTIVE", 0)
        comparison = TextComparison(train, groups=groups)
    found = comparison.compare(queries)
    for k, query in enumerate(queries):
        assert found.distance[k] == share(query, train[found.nearest[k]])
        assert (found.distance[k] == 0) == (query in train)
        assert np.isnan(found.ratio[k]) == (len(set(groups)) == 1)


def test_each_kind_of_difference_has_its_name(search):
    train = english(300, 48)
    replaced = changed(train[7], 5, 0)
    cut = train[8][3:]
    queries = [train[5], replaced, cut]
    found = TextComparison(train).compare(queries)
    assert found.nearest.tolist() == [5, 7, 8]
    assert [found.ways[k] for k in found.way] == list(WAYS)
    assert found.distance.tolist() == [0, 5 / 48, 3 / 48]
    assert (found.ratio < 1 / 3).all()
    assert (np.diff(found.score) > 0)[0]


def test_planted_copies_are_found_in_a_long_list_as_in_all_of_it(search):
    train = english(3000, 64)
    rng = np.random.default_rng(1)
    planted = rng.permutation(len(train))[:60]
    queries = [
        [train[k], changed(train[k], 3, k), changed(train[k], 10, k), train[k][6:] + train[0][:6], train[k][8:-8]][
            k % 5
        ]
        for k in planted
    ]
    found = TextComparison(train).compare(queries)
    assert (found.nearest == planted).all()
    assert (found.distance <= 16 / 64).all()


def test_a_monotonous_text_is_near_many_others_and_therefore_not_suspicious(search):
    lines = ["-" * k + "+" + "-" * (39 - k) for k in range(30)]
    train = random_texts(300, 40) + lines
    found = TextComparison(train).compare(["-" * 20 + "|" + "-" * 19, changed(train[0], 8, 0)])
    assert found.distance[0] < found.distance[1]
    assert found.score[0] > 2 * found.score[1]


def test_a_near_duplicate_that_nobody_grouped_does_not_hide_a_copy(search):
    train = random_texts(300, 40)
    train += [changed(text, 3, 0) for text in train[:20]]
    copies = [changed(text, 2, 1) for text in train[:20]]
    comparison = TextComparison(train)
    found, null = comparison.compare(copies), comparison.compare(random_texts(100, 40, seed=1))
    assert found.score.max() < null.score.min() / 3
    assert found.ratio.max() > 1 / 3


def test_equal_and_grouped_texts_count_as_one_in_the_ratio(search):
    train = english(200, 40)
    train += [train[3], changed(train[4], 2, 0)]
    queries = [changed(train[3], 3, 1), changed(train[4], 3, 2)]
    alone, grouped = np.arange(202), np.arange(202)
    grouped[[200, 201]] = 3, 4
    equal_only = TextComparison(train).compare(queries).ratio
    assert equal_only[0] < 1 / 3 < equal_only[1]
    assert TextComparison(train, groups=alone).compare(queries).ratio[0] == 1
    assert (TextComparison(train, groups=grouped).compare(queries).ratio < 1 / 3).all()


def test_a_training_text_that_is_left_out_is_compared_with_the_others(search):
    train = random_texts(150, 40)
    train += [train[0], changed(train[1], 4, 0)]
    comparison = TextComparison(train)
    found = comparison.compare(train, own=comparison.groups)
    assert (found.distance[2:150] > 0.3).all()
    assert found.distance[0] > 0.3  # its copy is of its group
    assert (found.nearest[[1, 151]] == [151, 1]).all()
    assert found.distance[1] == 4 / 40


def test_scores_are_a_function_of_query_and_training_set_alone(search):
    train, queries = english(400, 32), english(60, 32, seed=5)
    comparison = TextComparison(train)
    whole = comparison.compare(queries)
    single = [comparison.compare([query]).score[0] for query in queries]
    assert whole.score.tolist() == single
    assert comparison.compare(queries[::-1]).score.tolist() == single[::-1]


def test_blocks_of_queries_change_nothing(monkeypatch, search):
    train, queries = english(100, 32), english(40, 32, seed=5)
    whole = TextComparison(train).compare(queries)
    monkeypatch.setattr(texts_module, "MEMORY", 16 * 100 * 7)
    monkeypatch.setattr("taumem.audit.shortlist.AT_ONCE", 7)
    again = TextComparison(train).compare(queries)
    assert again.nearest.tolist() == whole.nearest.tolist()
    assert again.score.tolist() == whole.score.tolist()


def test_a_single_training_text_has_no_second(search):
    found = TextComparison(["abc"]).compare(["abd"])
    assert found.distance.tolist() == [1 / 3]
    assert np.isnan(found.ratio).all()


def test_no_queries_have_no_matches(search):
    assert len(TextComparison(["abc"]).compare([])) == 0


def test_what_cannot_be_compared_is_refused(search):
    with pytest.raises(DataError, match="training texts; got none"):
        TextComparison([])
    with pytest.raises(DataError, match="one str each; got str"):
        TextComparison("abc")
    with pytest.raises(DataError, match="one str each"):
        TextComparison([b"abc"])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"each of the 2 training texts; got \(3,\)"):
        TextComparison(["a", "b"], groups=np.arange(3))
    with pytest.raises(DataError, match="there must be two groups"):
        TextComparison(["a", "a"]).compare(["a"], own=np.array([0]))
