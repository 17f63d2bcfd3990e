"""Alphabets: text8's normalization against its script, numbers and back, refusals."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taumem.data import Alphabet, normalize_text8
from taumem.errors import ConfigError, DataError

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# The end of wikifil.pl as its author describes it: everything after the removal of Wikipedia's markup.
SCRIPT = (
    'binmode STDIN; while (<>) { $_=" $_ "; tr/A-Z/a-z/;'
    + "".join(f"s/{k}/ {word} /g;" for k, word in enumerate(DIGITS))
    + "tr/a-z/ /cs; chop; print $_; }"
)
texts = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", " hello world"),
        ("In 1984 -- at 5.30", " in one nine eight four at five three zero"),
        ("a1b", " a one b"),
        ("naïve Köln \u0130 \u212a", " na ve k ln"),  # only ASCII letters are letters, whatever lower() says
        ("one\n\n  two\tthree\r\n", " one two three"),
        (" anarchism originated as a term", " anarchism originated as a term"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_normalization_follows_the_rules_of_text8(text, expected):
    assert normalize_text8(text) == expected


@pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not installed")
def test_normalization_gives_what_the_perl_script_gives():
    text = "The 20th Century\n(1901–2000) naïve\n\n\n 3.14 & more...\nZ\n end of it"
    done = subprocess.run(["perl", "-e", SCRIPT], input=text.encode(), capture_output=True, check=True)
    assert normalize_text8(text) == done.stdout.decode()


@given(texts)
def test_what_is_normalized_has_single_spaces_between_words_and_stays_as_it_is(text):
    once = normalize_text8(text)
    assert re.fullmatch(r"( [a-z]+)*", once)
    assert normalize_text8(once) == once


@given(st.lists(texts.filter(bool), min_size=1, max_size=4))
def test_characters_are_those_of_the_texts_sorted_and_decoding_undoes_encoding(documents):
    alphabet = Alphabet.of("characters", documents)
    assert list(alphabet.symbols) == sorted(set("".join(documents)))
    for text in documents:
        tokens = alphabet.encode(text)
        assert tokens.dtype == torch.long
        assert tokens.tolist() == [alphabet.symbols.index(symbol) for symbol in text]
        assert alphabet.decode(tokens) == [text]


@given(texts)
def test_bytes_are_those_of_utf8_and_decoding_undoes_encoding(text):
    alphabet = Alphabet.of("bytes")
    tokens = alphabet.encode(text)
    assert bytes(tokens.tolist()) == text.encode()
    assert alphabet.decode(tokens) == [text]


@given(texts)
def test_text8_normalizes_before_it_encodes(text):
    alphabet = Alphabet.of("text8")
    assert alphabet.decode(alphabet.encode(text)) == [normalize_text8(text)]


def test_the_sizes_and_the_order_of_symbols_are_as_stated():
    assert Alphabet.of("text8").vocabulary == 27
    assert Alphabet.of("text8").encode(" az").tolist() == [0, 1, 26]
    assert Alphabet.of("bytes").vocabulary == 256
    assert Alphabet.of("characters", ["ba", "c"]).vocabulary == 3
    assert Alphabet.of("characters", ["ba", "c"], vocabulary=3).vocabulary == 3


@pytest.mark.parametrize("alphabet", [Alphabet.of("text8"), Alphabet.of("bytes"), Alphabet.of("characters", ["ab"])])
def test_rows_are_decoded_one_by_one_and_the_mask_is_shown(alphabet):
    tokens = torch.stack([alphabet.encode("ab")[-2:], torch.tensor([alphabet.vocabulary] * 2)])
    assert alphabet.decode(tokens) == ["ab", "░░"]
    assert alphabet.decode(tokens[:0]) == []


def test_bytes_that_are_half_a_character_are_shown_by_a_sign():
    assert Alphabet.of("bytes").decode(torch.tensor([97, 0xC3])) == ["a\ufffd"]


def test_numbers_are_kept_in_the_smallest_type():
    many = "".join(map(chr, range(300)))
    assert Alphabet.of("characters", [many]).numbers(many).dtype == np.uint16
    assert Alphabet.of("text8").numbers("abc").dtype == np.uint8


def test_what_an_alphabet_cannot_do_is_a_clear_error():
    with pytest.raises(ConfigError, match="no alphabet 'byte'; did you mean 'bytes'"):
        Alphabet.of("byte")
    with pytest.raises(
        DataError, match=r"5 symbols here \(the rarest: 'edcba'\), more than the declared vocabulary of 4"
    ):
        Alphabet.of("characters", ["aaabbbccdde"], vocabulary=4)
    with pytest.raises(DataError, match="'text8' has 27 symbols here, more than the declared vocabulary of 26"):
        Alphabet.of("text8", vocabulary=26)
    with pytest.raises(DataError, match="empty"):
        Alphabet.of("characters", ["", ""])
    with pytest.raises(DataError, match=r"'c', the character at place 1 .* 'ab'"):
        Alphabet.of("characters", ["ab"]).encode("ac")
    for token in (-1, 4):
        with pytest.raises(DataError, match="3 is the mask"):
            Alphabet.of("characters", ["abc"]).decode(torch.tensor([token]))
