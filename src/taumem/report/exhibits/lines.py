"""Samples that are lines, of lengths of their own: each over its nearest training line, with as few edits as can be."""

from collections.abc import Iterator, Sequence

import numpy as np

from taumem.record import DataFacts, RunHeader
from taumem.report.exhibits.alignment import aligned
from taumem.report.exhibits.texts import MASK, N_TEXTS, TEXTS, TextSample, Tokens
from taumem.report.exhibits.way import Arrays, Way
from taumem.report.items import copies_among

__all__ = ["LINES"]

LINE_END = "\n"
"""The symbol behind a line: what a sample says ends there."""


def _can_show(data: DataFacts, arrays: Arrays) -> bool:
    return "edit_distance" in arrays and LINE_END in data.alphabet and TEXTS.can_show(data, arrays)


def _show(run: RunHeader, looks: Sequence[Arrays]) -> Iterator[tuple[TextSample, ...]]:
    symbols = np.array([*run.data.alphabet, MASK])
    for arrays in looks:
        kept = (arrays["samples"], arrays["nearest"], arrays["edit_distance"], copies_among(run, arrays))
        yield tuple(
            TextSample(
                sample := _line(tokens, symbols),
                nearest := _line(near, symbols),
                bool(copied),
                float(distance),
                aligned(sample, nearest, mark="same"),
            )
            for tokens, near, distance, copied in list(zip(*kept, strict=False))[:N_TEXTS]
        )


def _line(tokens: Tokens, symbols: np.ndarray) -> str:
    return "".join(symbols[np.clip(tokens, 0, len(symbols) - 1)]).partition(LINE_END)[0]


LINES = Way("texts", _can_show, _show)
