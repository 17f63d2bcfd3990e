"""Samples that are strings of tokens before, at and after the onset: which are copies, and which obey the grammar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.record import RunRecord
from taumem.report.gallery import moments_to_show, typical_step, words_of
from taumem.report.study import Study, run_of
from taumem.report.wording import number

__all__ = [
    "Sample",
    "StringExhibit",
    "StringMoment",
    "exhibited",
    "keeps_strings",
    "moments_around_the_onset",
    "string_gallery",
]

N_STRINGS = 12
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Sample:
    """One string.

    Attributes:
        text: its symbols, as letters where there are at most 26, else as numbers.
        copied: whether it is a training string.
        level: up to which level of the grammar it is valid; None where it was not kept.
        depth: the number of levels; 0 where the data have none.
    """

    text: str
    copied: bool
    level: int | None
    depth: int

    @property
    def is_novel_and_valid(self) -> bool:
        """Whether it is in the language and no training string."""
        return not self.copied and self.level is not None and self.level == self.depth

    @property
    def verdict(self) -> str:
        """What it is, in a word or two; empty where nothing is known but that it is no copy.

        >>> Sample("abba", copied=False, level=3, depth=3).verdict, Sample("abba", False, 1, 3).verdict
        ('novel and valid', 'level 1')
        """
        if self.copied:
            return "copy"
        if self.level is None:
            return ""
        return "novel and valid" if self.is_novel_and_valid else f"level {self.level}" if self.level else "no level"


@dataclass(frozen=True)
class StringMoment:
    """A step at which strings were kept."""

    name: str
    step: int
    words: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class StringExhibit:
    """The moments of one run."""

    title: str
    moments: tuple[StringMoment, ...]


def string_gallery(study: Study) -> list[StringExhibit]:
    """Show strings of the run on the fewest training examples, and of the one on the most.

    The first 12 samples are shown, whatever they say: the same noise at each moment.

    Args:
        study: whose samples to show; runs whose samples are not strings of tokens are passed over.

    Returns:
        At most two exhibits; none where no run kept strings.
    """
    records = [record for record in study.records if keeps_strings(record) and not record.header.data.alphabet]
    return [_exhibit(record, study) for record in exhibited(records)]


def exhibited(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Choose a run on the fewest training examples, and one on the most."""
    by_size = {record.header.data.n_train: record for record in reversed(records)}
    return [by_size[n_train] for n_train in sorted({min(by_size), max(by_size)})] if by_size else []


def moments_around_the_onset(
    record: RunRecord, study: Study
) -> tuple[str, list[tuple[str, int, Mapping[str, NDArray[Any]]]]]:
    """Give what an exhibit of a run is called, and the moments to show: name, step, and the arrays kept there."""
    n_train = record.header.data.n_train
    # Copies are what the samples show: the clock that counts them says when to look.
    clock = study.phase.clock if study.phase else study.headline.clock if study.headline else ""
    own = [o for o in study.onsets if o.clock == clock and run_of(o, study.records) is record]
    tau = typical_step(own, n_train)
    # An onset between two looks shows at the later one.
    seen = typical_step([replace(o, step=o.high) if o.censored == "interval" else o for o in own], n_train)
    shown = [(name, step, record.arrays(step)) for name, step in moments_to_show(record.array_steps(), seen)]
    late = f" · {clock} = {number(tau)} steps" if tau else ""
    return f"P = {n_train:,}{' (held back)' if n_train in study.held_back else ''}{late}", [*shown]


def keeps_strings(record: RunRecord) -> bool:
    """Whether the run kept strings of tokens, [k, d] of integers from 0, and which of them are copies."""
    steps = record.array_steps()
    arrays = record.arrays(steps[-1]) if steps else {}
    samples = arrays.get("samples")
    if samples is None or "copied" not in arrays or samples.ndim != 2 or not np.issubdtype(samples.dtype, np.integer):
        return False
    return samples.size > 0 and int(samples.min()) >= 0


def _exhibit(record: RunRecord, study: Study) -> StringExhibit:
    depth = len(record.header.data.sample_complexities)
    title, shown = moments_around_the_onset(record, study)
    symbols = 1 + max((int(arrays["samples"].max(initial=0)) for _, _, arrays in shown), default=0)
    moments = tuple(
        StringMoment(name, step, words_of(record, step), tuple(_samples(arrays, symbols, depth)))
        for name, step, arrays in shown
    )
    return StringExhibit(title, moments)


def _samples(arrays: Mapping[str, NDArray[Any]], symbols: int, depth: int) -> list[Sample]:
    strings, copied = arrays["samples"][:N_STRINGS], arrays["copied"]
    reached = arrays["level"].tolist() if "level" in arrays else [None] * len(copied)
    return [Sample(_text(string, symbols), bool(copied[k]), reached[k], depth) for k, string in enumerate(strings)]


def _text(string: NDArray[Any], symbols: int) -> str:
    if symbols <= len(LETTERS):
        return "".join(LETTERS[symbol] for symbol in string)
    return " ".join(str(symbol) for symbol in string)
