"""Alphabets: which symbols a text is made of, and what their numbers are."""

import re
import string
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from taumem.errors import ConfigError, DataError, nearest_name

__all__ = ["ALPHABETS", "MASK_SIGN", "Alphabet", "AlphabetName", "code_points", "letters_dropped", "normalize_text8"]

AlphabetName: TypeAlias = Literal["text8", "characters", "bytes"]

ALPHABETS = ("text8", "characters", "bytes")
TEXT8_SYMBOLS = " " + string.ascii_lowercase
MASK_SIGN = "░"
"""How the mask of masked diffusion is shown."""

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TO_SPACE = bytes(byte if chr(byte) in TEXT8_SYMBOLS else ord(" ") for byte in range(256))


def normalize_text8(text: str) -> str:
    """Reduce a text to 27 symbols, a-z and space, as the script that made text8 ends.

    Capital letters of ASCII become small; digits are spelled out, each as a word; every run of anything else becomes
    one space. Like text8 itself the result starts with a space, and it does not end with one.

    Reference: M. Mahoney, "About the test data" (appendix A), the data page of the Large Text Compression Benchmark.

    >>> normalize_text8("Born in 1984?  Yes, naïve!")
    ' born in one nine eight four yes na ve'
    """
    # As bytes, where lower() knows ASCII only, and whose other characters are many bytes that all become spaces.
    content = f" {text} ".encode("utf-8", "replace").lower()
    for digit, word in enumerate(_DIGITS):
        content = content.replace(str(digit).encode(), f" {word} ".encode())
    return re.sub(b"  +", b" ", content.translate(_TO_SPACE))[:-1].decode("ascii")


def letters_dropped(texts: Collection[str]) -> tuple[float, list[str]]:
    """Say which share of the letters (and digits) of texts text8 has no sign for, and which, the most frequent first.

    >>> letters_dropped(["naïve café", "Köln"])
    (0.23076923076923078, ['é', 'ï', 'ö'])
    """
    counts = np.zeros(sys.maxunicode + 1, np.int64)
    for text in () if all(text.isascii() for text in texts) else texts:
        np.add.at(counts, code_points(text), 1)
    letters = {chr(code): int(counts[code]) for code in np.flatnonzero(counts) if chr(code).isalnum()}
    dropped = sorted((symbol for symbol in letters if not symbol.isascii()), key=lambda symbol: -letters[symbol])
    return sum(letters[symbol] for symbol in dropped) / max(1, sum(letters.values())), dropped


@dataclass(frozen=True)
class Alphabet:
    """The symbols that texts are made of, numbered from 0.

    Make one with :meth:`of`.

    Attributes:
        name: ``text8`` (space and a-z; texts are normalized to them), ``characters`` (the given ones), or ``bytes``
            (the 256 values, of the text in UTF-8).
        symbols: the characters in the order of their numbers; of ``bytes``, none.
    """

    name: AlphabetName
    symbols: str = ""

    @classmethod
    def of(cls, name: AlphabetName, texts: Iterable[str] = (), *, vocabulary: int | None = None) -> "Alphabet":
        """Give an alphabet by its name; ``characters`` are those that occur in the texts, sorted.

        Args:
            name: ``text8``, ``characters`` or ``bytes``.
            texts: where to find the characters.
            vocabulary: how many symbols there may be; None for any number.

        Raises:
            ConfigError: no such alphabet.
            DataError: more symbols than that, or no character at all.
        """
        if name not in ALPHABETS:
            raise ConfigError(f"there is no alphabet {name!r}; {nearest_name(str(name), ALPHABETS)}")
        counts: Counter[str] = Counter()
        if name == "characters":
            for text in texts:
                counts.update(text)
            if not counts:
                raise DataError("the texts have no characters to make an alphabet of; they are empty.")
        alphabet = cls(name, TEXT8_SYMBOLS if name == "text8" else "".join(sorted(counts)))
        if vocabulary is not None and alphabet.vocabulary > vocabulary:
            rarest = "".join(symbol for symbol, _ in counts.most_common()[: -1 - min(8, len(counts)) : -1])
            seen = f" (the rarest: {rarest!r})" if rarest else ""
            others = ", clean the text, or take the alphabet 'text8' (27) or 'bytes' (256)" if rarest else ""
            raise DataError(
                f"the alphabet {name!r} has {alphabet.vocabulary} symbols here{seen}, more than the declared "
                f"vocabulary of {vocabulary}; declare more{others}."
            )
        return alphabet

    @property
    def vocabulary(self) -> int:
        """The number of symbols, without a mask."""
        return 256 if self.name == "bytes" else len(self.symbols)

    def encode(self, text: str) -> Int64[Tensor, "positions"]:
        """Give the numbers of a text's symbols; under ``text8`` it is normalized first.

        Raises:
            DataError: a character that is none of the alphabet's.
        """
        return torch.from_numpy(self.numbers(text).astype(np.int64))

    def decode(self, tokens: Int64[Tensor, "... positions"]) -> list[str]:
        """Give the text of each row of tokens (of one row, a list of one text).

        The mask, whose number is the vocabulary's size, is shown as ░. Bytes that are not valid UTF-8, as where a
        window cuts a character in two, become the replacement character.

        Raises:
            DataError: numbers outside [0, vocabulary].
        """
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) <= self.vocabulary:
            raise DataError(
                f"symbols are numbered from 0 to {self.vocabulary - 1}, and {self.vocabulary} is the mask; got numbers "
                f"from {int(tokens.min())} to {int(tokens.max())}."
            )
        rows = tokens.reshape(tokens.shape[:-1].numel(), tokens.shape[-1]).tolist()
        if self.name == "bytes":
            signs = [bytes([value]) for value in range(256)] + [MASK_SIGN.encode()]
            return [b"".join(signs[token] for token in row).decode("utf-8", "replace") for row in rows]
        return ["".join((self.symbols + MASK_SIGN)[token] for token in row) for row in rows]

    def numbers(self, text: str) -> NDArray[Any]:
        """As :meth:`encode`, in the smallest type of integers that holds the vocabulary.

        Raises:
            DataError: a character that is none of the alphabet's, or half a surrogate pair where bytes are wanted.
        """
        if self.name == "bytes":
            # Bytes that are no UTF-8 are carried through a str as Python's surrogates.
            try:
                return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{text[error.start]!r}, at place {error.start} of the text, is half of a surrogate pair and has "
                    "no bytes in UTF-8; join or remove such halves."
                ) from error
        text = normalize_text8(text) if self.name == "text8" else text
        codes, known = code_points(text), code_points(self.symbols)
        number_of = np.full(max(codes.max(initial=0), known.max(initial=0)) + 1, self.vocabulary, np.int32)
        number_of[known] = np.arange(len(known))
        numbers: NDArray[Any] = number_of[codes].astype(np.min_scalar_type(self.vocabulary))
        if (unknown := numbers == self.vocabulary).any():
            place = int(unknown.argmax())
            raise DataError(
                f"{text[place]!r}, the character at place {place} of the text, is not in this alphabet of "
                f"{self.vocabulary} characters: {self.symbols!r}."
            )
        return numbers


def code_points(text: str) -> NDArray[Any]:
    """Give the code point of each character, halves of surrogate pairs among them, in 8 bits if the text is ASCII."""
    if text.isascii():  # a quarter of the memory
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
