"""Text in windows: what is cut, held out and passed over; of one document, several, text8 and the built-in text."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import taumem.data.text as text_module
from taumem.data import Text, Windows, load_text
from taumem.data.near_duplicates import NEAR
from taumem.errors import ConfigError, DataError

WORDS = ["time", "year", "people", "way", "day", "man", "woman", "life", "child", "world", "school", "state", "family"]


def prose(n_characters: int, seed: int) -> str:
    """Random words: long passages do not repeat by chance."""
    rng = np.random.default_rng(seed)
    words = [w + "".join(chr(97 + k) for k in rng.integers(26, size=3)) for w in rng.choice(WORDS, n_characters // 4)]
    return " ".join(words)[:n_characters]


def several(*lengths: int) -> Text:
    return Text.of("letters", {str(k): prose(n, seed=k) for k, n in enumerate(lengths)}, "characters")


def resemblance(a: str, b: str) -> float:
    one, two = ({row[k : k + 8] for k in range(max(1, len(row) - 7))} for row in (a, b))
    return len(one & two) / len(one | two)


def sources(text: Text, tokens: torch.Tensor, window: int) -> list[tuple[int, int]]:
    """The document and the place in it that each window is from, by a search over all documents."""
    places = {}
    for k, document in enumerate(text.documents):
        for place in range(0, len(document) - window + 1, window):
            places.setdefault(tuple(document[place : place + window].tolist()), (k, place))
    return [places[tuple(row)] for row in tokens.tolist()]


def decoded(windows: Windows) -> tuple[list[str], list[str]]:
    return windows.alphabet.decode(windows.split.train), windows.alphabet.decode(windows.split.heldout)


@given(
    lengths=st.lists(st.integers(0, 700), min_size=2, max_size=8),
    window=st.integers(28, 70),
    n_heldout=st.integers(0, 8),
    seed=st.integers(0, 100),
)
def test_windows_are_whole_pieces_of_documents_and_no_document_gives_both_kinds(lengths, window, n_heldout, seed):
    try:
        text = several(*lengths)
        windows = text.windows(None, n_heldout, window, seed)
    except DataError:
        return  # too little text
    split = windows.split
    assert split.train.dtype == split.heldout.dtype == torch.long
    assert split.vocabulary == text.alphabet.vocabulary
    assert split.heldout.shape == (n_heldout, window)
    assert windows.n_characters == len(split) * window
    train, heldout = (sources(text, part, window) for part in (split.train, split.heldout))
    in_both = {k for k, _ in train} & {k for k, _ in heldout}
    assert not in_both or in_both == {k for k, _ in train}  # only the last document may be cut
    assert all(max(train) < place for place in heldout if place[0] in in_both)
    assert len(set(train)) == len(train)  # so windows do not overlap
    used = len(train) + windows.duplicates[0] + windows.near_duplicates[0]
    held = {k for k, _ in heldout} - in_both
    assert used <= sum(n // window for k, n in enumerate(lengths) if k not in held)


def test_without_duplicates_the_windows_of_a_document_put_it_together_again():
    text = several(640, 999, 320)
    windows = text.windows(None, 0, 64, seed=3)
    pieces = dict(zip(sources(text, windows.split.train, 64), decoded(windows)[0], strict=True))
    for k, n in enumerate((640, 999, 320)):
        whole = "".join(pieces[k, place] for place in range(0, n - 63, 64))
        assert whole == prose(n, seed=k)[: n // 64 * 64]
    assert windows.n_documents == (3, 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_single_document_is_held_out_from_its_end_and_touches_the_training_text_once(seed):
    text = several(64 * 100 + 5)
    windows = text.windows(None, 20, seed=seed)
    parts = (windows.split.train, windows.split.heldout)
    train, heldout = (sorted(place // 64 for _, place in sources(text, part, 64)) for part in parts)
    assert train == list(range(80))
    assert heldout == list(range(80, 100))
    assert windows.n_documents == (1, 1)


def test_of_a_small_and_a_large_document_the_large_one_is_held_out_from_its_end():
    windows = several(64 * 100, 64 * 7).windows(None, 20)
    train, heldout = (
        sources(several(64 * 100, 64 * 7), part, 64) for part in (windows.split.train, windows.split.heldout)
    )
    assert sorted(train) == [(0, 64 * k) for k in range(87)]
    assert sorted(heldout) == [(0, 64 * k) for k in range(87, 100)] + [(1, 64 * k) for k in range(7)]


def test_a_pipe_which_can_be_read_only_once_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        load_text(tmp_path / "pipe")


def test_half_a_surrogate_pair_has_no_bytes():
    with pytest.raises(DataError, match=r"'\\ud800', at place 2 of the text, is half of a surrogate pair"):
        Text.of("broken", {"": "ab\ud800"}, "bytes")


def test_a_single_document_with_repetitions_at_its_end_is_held_out_from_further_in_front():
    text = Text.of("echo", {"": prose(64 * 50, 0) + prose(64 * 5, 1) * 4}, "characters")
    windows = text.windows(None, 10)
    assert sorted(place // 64 for _, place in sources(text, windows.split.heldout, 64))[:5] == list(range(45, 50))
    assert 0 < windows.duplicates[1] <= 15
    assert len(windows.split) == 45


def test_documents_are_held_out_as_far_as_they_fit_and_then_the_smallest():
    text = several(64 * 50, 64 * 4, 64 * 5, 64 * 6, 64 * 40)
    assert {k for k, _ in sources(text, text.windows(None, 15).split.heldout, 64)} == {1, 2, 3}
    assert {k for k, _ in sources(text, text.windows(None, 3).split.heldout, 64)} == {1}
    windows = text.windows(None, 16)
    assert {k for k, _ in sources(text, windows.split.heldout, 64)} <= {1, 2, 3, 4}
    assert len(windows.split) == 50


def test_training_sets_are_nested_and_the_heldout_windows_do_not_depend_on_them():
    text = load_text()
    small, large, whole = (text.windows(n, 64, seed=1) for n in (10, 300, None))
    assert torch.equal(small.split.train, large.split.train[:10])
    assert torch.equal(large.split.train, whole.split.train[:300])
    assert torch.equal(small.split.heldout, whole.split.heldout)
    assert torch.equal(whole.split.first(300).train, large.split.train)


def test_equal_seeds_give_equal_windows_and_other_seeds_other_ones():
    one, again, other = (load_text().windows(100, 50, seed=seed).split for seed in (1, 1, 2))
    assert one.fingerprint == again.fingerprint
    assert not torch.equal(one.train, other.train)
    assert not torch.equal(one.heldout, other.heldout)


def test_no_window_is_near_another_one_in_training_text_or_held_out():
    passage = prose(64 * 20, seed=50)
    documents = {str(k): prose(64 * 12, seed=k) + passage[11 * k : 11 * k + 64 * 8] for k in range(8)}
    windows = Text.of("quotes", documents, "characters").windows(None, 30, seed=2)
    train, heldout = decoded(windows)
    everything = train + heldout
    assert max(resemblance(a, b) for k, a in enumerate(everything) for b in everything[:k]) < NEAR
    assert windows.near_duplicates[0] > 10
    # A passage in a held-out window stands in no training window, wherever it was cut.
    assert not any(piece[k : k + 40] in "|".join(train) for piece in heldout for k in range(25))


def test_equal_documents_are_counted_as_duplicates():
    text = Text.of("twice", {"a": prose(640, 0), "b": prose(640, 0), "c": prose(320, 1)}, "characters")
    windows = text.windows(None, 5)
    assert (len(windows.split), windows.duplicates[0], windows.near_duplicates[0]) == (10, 10, 0)


def test_the_built_in_text_gives_enough_windows_for_a_sweep():
    windows = load_text().windows(None, 512)
    assert len(windows.split) >= 3000
    assert windows.split.name == "english"
    assert windows.split.vocabulary == 27
    assert all(set(row) <= set(" abcdefghijklmnopqrstuvwxyz") for row in decoded(windows)[0])
    looked_at = len(windows.split) + windows.duplicates[0] + windows.near_duplicates[0]
    assert looked_at > 5000
    assert sum(windows.n_documents) == 79 or windows.n_documents[0] > 40


def test_text8_has_its_official_parts_and_a_shorter_file_is_an_ordinary_one(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "TEXT8_PARTS", (6400, 1280, 640))
    file = tmp_path / "text8"
    content = " " + prose(6399, 0) + prose(1280, 1) + prose(640, 2)
    file.write_text(content)
    for alphabet in ("text8", "characters", "bytes"):
        windows = load_text(file, alphabet=alphabet).windows(None, 20)
        train, heldout = decoded(windows)
        assert set(train) == {content[k : k + 64] for k in range(0, 6400, 64)}
        assert set(heldout) == {content[k : k + 64] for k in range(6400, 7680, 64)}
    file.write_text(content[:-1])
    assert load_text(file).heldout is None
    file.write_text(content[:-1] + "!")
    assert load_text(file).heldout is None


def test_a_folder_holds_a_document_in_each_file_and_hidden_ones_do_not_count(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "one.txt").write_text("Ünter", encoding="utf-8")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfalso")
    (tmp_path / ".git" / "index").write_bytes(b"\xff")
    text = load_text(tmp_path, alphabet="characters")
    assert text.name == tmp_path.name
    assert [text.alphabet.decode(torch.from_numpy(d.astype(int))) for d in text.documents] == [["also"], ["Ünter"]]
    assert text.n_characters == 9


@given(content=st.binary(max_size=60))
def test_bytes_are_taken_as_they_are(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("bytes") / "any"
    file.write_bytes(content)
    assert load_text(file, alphabet="bytes").documents[0].tobytes() == content


def test_bad_text_is_a_clear_error(tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9 au lait")
    with pytest.raises(DataError, match=r"latin\.txt: not valid UTF-8: byte 3 \(0xe9\).*data\.alphabet = 'bytes'"):
        load_text(file)
    file.write_text("abcdef")
    with pytest.raises(DataError, match=r"latin\.txt: the alphabet 'characters' has 6 symbols"):
        load_text(file, alphabet="characters", vocabulary=5)
    with pytest.raises(DataError, match="no such file"):
        load_text(tmp_path / "nothing")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="no files in this folder"):
        load_text(tmp_path / "folder")
    with pytest.raises(ConfigError, match="did you mean 'characters'"):
        load_text(alphabet="character")


def test_a_text_that_is_too_short_is_a_clear_error_with_counts():
    message = (
        r"letters: P = 80 windows of 64 characters \+ 30 held out are needed; the text has 100 windows "
        r"\(6400 characters in 1 documents\), of which 30 can be held out and 70 are left"
    )
    with pytest.raises(DataError, match=message):
        several(6400).windows(80, 30)
    for lengths in ((), (10,), (10, 20), (64,)):
        with pytest.raises(DataError, match="are needed"):
            several(640, *lengths).windows(None, 30)
    with pytest.raises(DataError, match="are needed; the text has 0 windows"):
        several(20).windows(1, 0)
    for numbers in ((0, 1, 64), (1, -1, 64), (1, 1, 0)):
        with pytest.raises(ConfigError, match="P >= 1, n_heldout >= 0"):
            several(6400).windows(*numbers)


@pytest.mark.slow
@pytest.mark.parametrize("n_documents", [1, 20])
def test_a_text_that_does_nothing_but_repeat_itself_is_soon_refused(n_documents):
    documents = {
        str(k): "all work and no play makes jack a dull boy " * (4000 // n_documents) for k in range(n_documents)
    }
    with pytest.raises(DataError, match=r"of which \d can be held out"):
        Text.of("shining", documents).windows(16, 300)
