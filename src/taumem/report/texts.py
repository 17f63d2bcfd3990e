"""Samples that are text before, at and after the onset, each over its nearest training text: where do they agree?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.record import RunRecord
from taumem.report.gallery import words_of
from taumem.report.strings import exhibited, keeps_strings, moments_around_the_onset
from taumem.report.study import Study
from taumem.report.wording import percent

__all__ = ["VERBATIM", "Stretch", "TextExhibit", "TextMoment", "TextSample", "text_gallery"]

N_TEXTS = 6
CHUNK = 8
"""Symbols that stay in one line, so that a sample stays over its nearest text however narrow the page is."""
VERBATIM = 8
"""Symbols from which on the longest passage that agrees is shown as a verbatim one."""
_SIGNS = {"\n": "↵", "\r": "↵", "\t": "⇥", "\x00": "␀"}
_MASK, _UNKNOWN = "░", "�"


@dataclass(frozen=True)
class Stretch:
    """Neighboring symbols of a sample, over those of its nearest training text.

    Attributes:
        sample: what the sample says.
        nearest: what the training text says at the same place.
        mark: ``same`` where the two agree, ``verbatim`` within the longest passage in which they do, else empty.
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
        differing: share of positions at which the two differ.
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


@dataclass(frozen=True)
class TextMoment:
    """A step at which texts were kept."""

    name: str
    step: int
    words: str
    samples: tuple[TextSample, ...]


@dataclass(frozen=True)
class TextExhibit:
    """The moments of one run."""

    title: str
    moments: tuple[TextMoment, ...]


def text_gallery(study: Study) -> list[TextExhibit]:
    """Show texts of the run on the fewest training examples, and of the one on the most.

    The first 6 samples are shown, whatever they say: the same noise at each moment.

    Args:
        study: whose samples to show; runs without an alphabet, or without the nearest training texts, are passed over.

    Returns:
        At most two exhibits; none where no run kept texts.
    """
    return [_exhibit(record, study) for record in exhibited([r for r in study.records if _keeps_texts(r)])]


def _exhibit(record: RunRecord, study: Study) -> TextExhibit:
    title, shown = moments_around_the_onset(record, study)
    signs = _signs(record.header.data.alphabet)
    return TextExhibit(
        title,
        tuple(
            TextMoment(name, step, words_of(record, step), tuple(_samples(arrays, signs)))
            for name, step, arrays in shown
        ),
    )


def _keeps_texts(record: RunRecord) -> bool:
    if not record.header.data.alphabet or not keeps_strings(record):
        return False
    arrays = record.arrays(record.array_steps()[-1])
    return "nearest" in arrays and arrays["nearest"].shape == arrays["samples"].shape


def _signs(alphabet: str) -> NDArray[np.str_]:
    """How each symbol is shown, the mask and all beyond it too: one character each, so that columns stay in line."""
    shown = [_SIGNS.get(symbol, symbol if symbol.isprintable() else _UNKNOWN) for symbol in alphabet]
    return np.array([*shown, _MASK, _UNKNOWN])


def _samples(arrays: Mapping[str, NDArray[Any]], signs: NDArray[np.str_]) -> Iterator[TextSample]:
    for k, (tokens, near) in enumerate(zip(arrays["samples"][:N_TEXTS], arrays["nearest"], strict=False)):
        same = tokens == near
        sample, nearest = ("".join(signs[np.clip(row, 0, len(signs) - 1)]) for row in (tokens, near))
        yield TextSample(
            sample, nearest, bool(arrays["copied"][k]), float(1 - same.mean()), _chunks(sample, nearest, same)
        )


def _chunks(sample: str, nearest: str, same: NDArray[np.bool_]) -> tuple[tuple[Stretch, ...], ...]:
    """Cut both texts where a line may break, and where their agreement changes."""
    begin, end = _longest(same)
    marks = np.where(same, "same", "").astype(object)
    if end - begin >= VERBATIM:
        marks[begin:end] = "verbatim"
    return tuple(
        tuple(_stretches(sample, nearest, marks, start, min(start + CHUNK, len(sample))))
        for start in range(0, len(sample), CHUNK)
    )


def _stretches(sample: str, nearest: str, marks: NDArray[np.object_], start: int, stop: int) -> Iterator[Stretch]:
    cuts = [start, *(k for k in range(start + 1, stop) if marks[k] != marks[k - 1]), stop]
    for k, end in pairwise(cuts):
        yield Stretch(sample[k:end], nearest[k:end], str(marks[k]))


def _longest(same: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the longest passage that agrees begins and ends; the first one of several."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(int)))
    if not len(edges):
        return 0, 0
    begins, ends = edges[::2], edges[1::2]
    k = int(np.argmax(ends - begins))
    return int(begins[k]), int(ends[k])
