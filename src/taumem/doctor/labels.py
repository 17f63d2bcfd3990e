"""Groups that the names of files suggest: folders, or what stands before a number."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from taumem.data.readers.opening import shown

__all__ = ["suggested_groups"]

BEFORE_A_NUMBER = re.compile(r"(?P<label>.*\d.*?)[-_. ]+[A-Za-z]{0,6}\d+")
"""Such as ``patient7_slice003``: a label that holds a number itself, since ``img_003`` is no label."""


def suggested_groups(names: Sequence[str]) -> str | None:
    """Say which groups the names of items suggest; None where they suggest none.

    >>> suggested_groups(["p1_01.png", "p1_02.png", "p2_01.png", "p2_02.png"])[:53]
    'Names suggest 2 groups (the largest: p1, 2 of 4). If '
    >>> suggested_groups(["img_01.png", "img_02.png"])
    """
    for label_of in (_folder, _before_a_number):
        counts = Counter(map(label_of, names))
        if "" not in counts and 2 <= len(counts) <= len(names) / 2:
            label, n = counts.most_common(1)[0]
            return (
                f"Names suggest {len(counts):,} groups (the largest: {shown(label)}, {n:,} of {len(names):,}). If each "
                "is one patient, scene or clip, P counts these: say so by --groups FILE, a table of names and groups."
            )
    return None


def _folder(name: str) -> str:
    parts = PurePosixPath(name).parts
    return parts[0] if len(parts) > 1 else ""


def _before_a_number(name: str) -> str:
    found = BEFORE_A_NUMBER.fullmatch(PurePosixPath(name).stem)
    return found["label"] if found else ""
