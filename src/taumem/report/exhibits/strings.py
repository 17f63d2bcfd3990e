"""Samples that are strings of tokens: which are copies, and which obey the grammar."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.record import DataFacts, RunHeader
from taumem.report.exhibits.way import Arrays, Way
from taumem.report.items import copies_among

__all__ = ["STRINGS", "StringSample", "are_tokens"]

N_STRINGS = 12
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class StringSample:
    """One string.

    Attributes:
        text: its symbols, as letters where there are at most 26, else as numbers.
        copied: whether it is a training string.
        grammar_level: up to which level of the grammar it is valid; None where it was not kept.
        depth: the number of levels; 0 where the data have none.
    """

    text: str
    copied: bool
    grammar_level: int | None
    depth: int

    @property
    def is_novel_and_valid(self) -> bool:
        """Whether it is in the language and no training string."""
        return not self.copied and self.grammar_level is not None and self.grammar_level == self.depth

    @property
    def verdict(self) -> str:
        """What it is, in a word or two; empty where nothing is known but that it is no copy.

        >>> StringSample("abba", False, 3, depth=3).verdict, StringSample("abba", False, 1, depth=3).verdict
        ('novel and valid', 'level 1')
        """
        if self.copied:
            return "copy"
        if self.grammar_level is None:
            return ""
        return (
            "novel and valid"
            if self.is_novel_and_valid
            else f"level {self.grammar_level}"
            if self.grammar_level
            else "no level"
        )


def are_tokens(arrays: Arrays) -> bool:
    """Whether these are strings of tokens, [k, d] of integers from 0, and it is known which of them are copies."""
    samples = arrays["samples"]
    if "copied" not in arrays or samples.ndim != 2 or not np.issubdtype(samples.dtype, np.integer):
        return False
    return samples.size > 0 and int(samples.min()) >= 0


def _can_show(data: DataFacts, arrays: Arrays) -> bool:
    return are_tokens(arrays) and not data.alphabet


def _show(run: RunHeader, looks: Sequence[Arrays]) -> Iterator[tuple[StringSample, ...]]:
    depth = len(run.data.sample_complexities)
    symbols = 1 + max((int(arrays["samples"].max(initial=0)) for arrays in looks), default=0)
    for arrays in looks:
        reached = arrays["level"].tolist() if "level" in arrays else [None] * len(arrays["samples"])
        of_look = zip(arrays["samples"][:N_STRINGS], copies_among(run, arrays), reached, strict=False)
        yield tuple(
            StringSample(_text(string, symbols), bool(copied), level, depth) for string, copied, level in of_look
        )


def _text(string: NDArray[Any], symbols: int) -> str:
    if symbols <= len(LETTERS):
        return "".join(LETTERS[symbol] for symbol in string)
    return " ".join(str(symbol) for symbol in string)


STRINGS = Way("strings", _can_show, _show)
