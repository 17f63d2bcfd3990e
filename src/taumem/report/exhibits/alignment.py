"""Two texts of any lengths, one over the other: symbols that agree stand in one column."""

from typing import Literal

import numpy as np
from rapidfuzz.distance import Levenshtein

from taumem.report.exhibits.texts import SIGNS, UNKNOWN, VERBATIM, Stretch, chunks_of, longest

__all__ = ["GAP", "aligned"]

GAP = "·"
"""Stands where the other text has a symbol and this one has none."""
MOST_SYMBOLS = 1000
"""Longer texts are cut."""
CUT = " …"


def aligned(
    sample: str, nearest: str, *, mark: Literal["differs", "same"] = "differs"
) -> tuple[tuple[Stretch, ...], ...]:
    """Align two texts with the fewest edits, and mark where they differ, or agree, and the longest passage that agrees.

    Args:
        sample: a text.
        nearest: the one to set below it.
        mark: whether differences are marked, or what is the same.

    Returns:
        Both, in pieces that stay in one line, each in stretches.
    """
    above, below, same = [""], [""], [np.zeros(0, dtype=bool)]
    sample, nearest = _cut(sample), _cut(nearest)
    for edit in Levenshtein.opcodes(sample, nearest):
        ours, theirs = sample[edit.src_start : edit.src_end], nearest[edit.dest_start : edit.dest_end]
        width = max(len(ours), len(theirs))
        above.append(_signs(ours).ljust(width, GAP))
        below.append(_signs(theirs).ljust(width, GAP))
        same.append(np.full(width, edit.tag == "equal"))
    agrees = np.concatenate(same)
    marks = np.where(agrees == (mark == "same"), mark, "").astype(object)
    first, last = longest(agrees)
    if last - first >= VERBATIM:
        marks[first:last] = "verbatim"
    return chunks_of("".join(above), "".join(below), marks)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SYMBOLS else text[: MOST_SYMBOLS - len(CUT)] + CUT


def _signs(text: str) -> str:
    return "".join(SIGNS.get(symbol, symbol if symbol.isprintable() else UNKNOWN) for symbol in text)
