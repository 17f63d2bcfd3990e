"""Samples that are text, each over its nearest training text: where do they agree?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.wording import percent
from taumem.record import DataFacts, RunHeader
from taumem.report.exhibits.strings import are_tokens
from taumem.report.exhibits.way import Arrays, Way
from taumem.report.items import copies_among

__all__ = [
    "MASK",
    "N_TEXTS",
    "SIGNS",
    "TEXTS",
    "UNKNOWN",
    "VERBATIM",
    "Stretch",
    "TextSample",
    "Tokens",
    "chunks_of",
    "longest",
]

N_TEXTS = 6
CHUNK = 8
"""Symbols that stay in one line, so that a sample stays over its nearest text however narrow the page is."""
VERBATIM = 8
"""Symbols from which on the longest passage that agrees is shown as a verbatim one."""
SIGNS = {"\n": "↵", "\r": "↵", "\t": "⇥", "\x00": "␀"}
MASK, UNKNOWN = "░", "�"

Tokens = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Stretch:
    """Neighboring symbols of a sample, over those of its nearest training text.

    Attributes:
        sample: what the sample says.
        nearest: what the training text says at the same place.
        mark: ``same`` where the two agree, ``verbatim`` within the longest passage in which they do, else empty; where
            differences are what is marked, ``differs`` for them.
    """

    sample: str
    nearest: str
    mark: str


@dataclass(frozen=True)
class TextSample:
    """A sample over its nearest training text.

    Attributes:
        sample: the sample.
        nearest: the training text with the fewest different symbols.
        copied: whether the sample counts as a copy.
        differing: share of positions at which the two differ; of lines, of symbols that must be edited.
        chunks: both, in pieces that stay in one line, each in stretches.
    """

    sample: str
    nearest: str
    copied: bool
    differing: float
    chunks: tuple[tuple[Stretch, ...], ...]

    @property
    def verdict(self) -> str:
        """What it is, in a few words."""
        return f"{'copy · ' if self.copied else ''}{percent(self.differing)} of the symbols differ"

    @property
    def description(self) -> str:
        """What is shown, for those who do not see it."""
        return f"sample: {self.sample} – nearest training text: {self.nearest}"


def _can_show(data: DataFacts, arrays: Arrays) -> bool:
    if not data.alphabet or not are_tokens(arrays):
        return False
    return "nearest" in arrays and arrays["nearest"].shape == arrays["samples"].shape


def _show(run: RunHeader, looks: Sequence[Arrays]) -> Iterator[tuple[TextSample, ...]]:
    signs = _signs(run.data.alphabet)
    for arrays in looks:
        of_look = zip(arrays["samples"][:N_TEXTS], arrays["nearest"], copies_among(run, arrays), strict=False)
        yield tuple(_sample(tokens, near, bool(copied), signs) for tokens, near, copied in of_look)


def _sample(tokens: Tokens, near: Tokens, copied: bool, signs: NDArray[np.str_]) -> TextSample:
    same = tokens == near
    sample, nearest = ("".join(signs[np.clip(row, 0, len(signs) - 1)]) for row in (tokens, near))
    return TextSample(sample, nearest, copied, float(1 - same.mean()), chunks_of(sample, nearest, _marks(same)))


def _signs(alphabet: str) -> NDArray[np.str_]:
    """How each symbol is shown, the mask and all beyond it too: one character each, so that columns stay in line."""
    shown = [SIGNS.get(symbol, symbol if symbol.isprintable() else UNKNOWN) for symbol in alphabet]
    return np.array([*shown, MASK, UNKNOWN])


def _marks(same: NDArray[np.bool_]) -> NDArray[np.object_]:
    """How each symbol is marked: where the texts agree, and the longest passage in which they do."""
    begin, end = longest(same)
    marks = np.where(same, "same", "").astype(object)
    if end - begin >= VERBATIM:
        marks[begin:end] = "verbatim"
    return marks


def chunks_of(sample: str, nearest: str, marks: NDArray[np.object_]) -> tuple[tuple[Stretch, ...], ...]:
    """Cut two texts of one length where a line may break, and where their marks change."""
    return tuple(
        tuple(_stretches(sample, nearest, marks, start, min(start + CHUNK, len(sample))))
        for start in range(0, len(sample), CHUNK)
    )


def _stretches(sample: str, nearest: str, marks: NDArray[np.object_], start: int, stop: int) -> Iterator[Stretch]:
    cuts = [start, *(k for k in range(start + 1, stop) if marks[k] != marks[k - 1]), stop]
    for k, end in pairwise(cuts):
        yield Stretch(sample[k:end], nearest[k:end], str(marks[k]))


def longest(same: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest passage that agrees begins and ends; the first one of several."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(int)))
    if not len(edges):
        return 0, 0
    begins, ends = edges[::2], edges[1::2]
    k = int(np.argmax(ends - begins))
    return int(begins[k]), int(ends[k])


TEXTS = Way("texts", _can_show, _show)
