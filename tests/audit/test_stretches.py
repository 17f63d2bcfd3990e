"""Stretches of texts by difflib and by brute force; phrases against planted ones and against chance."""

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

import taumem.audit.stretches as stretches_module
from taumem.audit.stretches import longest_stretches, overused_motifs
from taumem.errors import ConfigError, DataError

words = st.text("ab€\udc80", max_size=12)


def random_texts(n: int, length: int, seed: int, symbols: str = "abcdefgh") -> list[str]:
    table = np.random.default_rng(seed).integers(len(symbols), size=(n, length))
    return ["".join(symbols[k] for k in row) for row in table]


@given(queries=st.lists(words, max_size=4), train=st.lists(words, min_size=1, max_size=6), data=st.data())
@pytest.mark.parametrize("at_once", [2**22, 10])
def test_the_longest_stretch_is_that_of_difflib_and_stands_where_it_says(at_once, queries, train, data):
    groups = data.draw(st.lists(st.integers(0, 2), min_size=len(train), max_size=len(train)) | st.none())
    own = data.draw(st.lists(st.integers(0, 3), min_size=len(queries), max_size=len(queries)) | st.none())
    own, groups = (None if given is None else np.array(given, int) for given in (own, groups))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches_module, "SYMBOLS_AT_ONCE", at_once)
        found = longest_stretches(queries, train, own=own, groups=groups)
    for k, query in enumerate(queries):
        group = range(len(train)) if groups is None else groups
        others = [text for text, g in zip(train, group, strict=True) if own is None or g != own[k]]
        shared = [SequenceMatcher(None, query, text, autojunk=False).find_longest_match().size for text in others]
        length, start, place = int(found.length[k]), int(found.start[k]), int(found.place[k])
        assert length == max(shared, default=0)
        assert found.share[k] == length / max(1, len(query))
        if length:
            text = train[found.nearest[k]]
            assert query[start : start + length] == text[place : place + length]
            assert own is None or group[found.nearest[k]] != own[k]
    assert found.score.tolist() == (-found.length).tolist()


def test_a_pasted_stretch_is_the_longest_whatever_stands_around_it():
    train = random_texts(400, 80, 0)
    queries = random_texts(30, 50, 1)
    for k in range(10):
        queries[k] = queries[k][:11] + train[7 * k][20:45] + queries[k][36:]
    found = longest_stretches(queries, train)
    assert (found.length[:10] >= 25).all()
    assert (found.length[10:] < 12).all()
    assert found.nearest[:10].tolist() == [7 * k for k in range(10)]
    assert (found.start[:10] <= 11).all()


def test_a_phrase_that_samples_share_is_found_whole_and_once():
    phrase = "the same old phrase, said once more"
    samples, heldout = random_texts(300, 90, 0), random_texts(300, 90, 1)
    for k in range(12):
        samples[k] = samples[k][: 5 + k] + phrase + samples[k][40:]
    heldout[0] = phrase
    train = [phrase + "!", "nothing"]
    (motif,) = overused_motifs(samples, heldout, train=train)
    assert (motif.text, motif.n_samples, motif.n_heldout, motif.n_train) == (phrase, 12, 1, 1)
    exact = fisher_exact([[12, 288], [1, 299]], alternative="greater").pvalue
    assert motif.p <= exact * (1 + 1e-9)
    assert motif.p <= motif.q <= 0.05


def test_a_longer_phrase_in_few_samples_does_not_hide_a_shorter_one_in_many():
    samples, heldout = random_texts(400, 60, 0), random_texts(400, 60, 1)
    for k in range(60):
        samples[k] = samples[k][: k % 20] + "a common phrase" + samples[k][40:]
    for k in range(12):
        samples[k] = samples[k][:3] + "not just a common phrase at all" + samples[k][40:]
    assert [(motif.text, motif.n_samples) for motif in overused_motifs(samples, heldout)] == [
        ("not just a common phrase at all", 12),
        ("a common phrase", 60),
    ]


def test_samples_that_are_shorter_than_a_phrase_are_phrases_themselves():
    (motif,) = overused_motifs(["hello"] * 20 + random_texts(100, 5, 0), random_texts(100, 5, 1))
    assert (motif.text, motif.n_samples) == ("hello", 20)


def test_phrases_that_all_texts_share_are_not_over_used():
    samples, heldout = random_texts(200, 60, 0), random_texts(200, 60, 1)
    common = [text[:20] + "in the beginning there was" + text[46:] for text in samples + heldout]
    assert overused_motifs(common[:200], common[200:]) == ()


def test_by_chance_alone_phrases_are_found_no_more_often_than_asked():
    # Of a small language, whose texts share many phrases.
    rng = np.random.default_rng(0)
    said = random_texts(40, 12, 3)
    found = 0
    for _ in range(40):
        texts = ["".join(said[k] for k in rng.zipf(1.5, size=4) % 40) for _ in range(160)]
        found += bool(overused_motifs(texts[:80], texts[80:], q=0.1))
    assert found <= 8  # 4 expected at most; more than 8 in 40 has probability .02


def test_what_cannot_be_looked_up_is_refused():
    with pytest.raises(DataError, match="training texts; got none"):
        longest_stretches(["a"], [])
    with pytest.raises(DataError, match="each of the 1 training texts; got 2"):
        longest_stretches(["a"], ["b"], groups=np.arange(2))
    with pytest.raises(DataError, match="got 1 and 0"):
        overused_motifs(["a"], [])
    with pytest.raises(ConfigError, match="between 0 and 1; got 1"):
        overused_motifs(["a"], ["b"], q=1)
