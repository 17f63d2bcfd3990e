"""What the items of a run are, and when a sample counts as a copy of one: also where its header does not say."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.record import CopyRule, DataFacts, ItemKind, RunHeader
from taumem.record.copy_rule import USUAL_RULES

__all__ = ["copies_among", "copy_rule_of", "kind_of"]


def kind_of(data: DataFacts) -> ItemKind:
    """What an item is; empty where neither the kind nor what only texts or strings have is known."""
    return data.kind or ("texts" if data.alphabet else "strings" if data.sample_complexities else "")


def copy_rule_of(run: RunHeader) -> CopyRule:
    """The rule that copies were counted by; where it was not written down, the usual one for such items."""
    return run.copy_rule or USUAL_RULES.get(kind_of(run.data), USUAL_RULES["images"])


def copies_among(run: RunHeader, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Which of the samples that a run kept at a look are copies, by its rule; none where what it takes was not kept."""
    if "copied" in arrays:
        return arrays["copied"].astype(bool)
    rule = copy_rule_of(run)
    measured = arrays.get(rule.measure)
    if measured is None or len(measured) < len(arrays["samples"]):
        return np.zeros(len(arrays["samples"]), dtype=bool)
    copies: NDArray[np.bool_] = measured < rule.threshold if rule.measure == "gap_ratio" else measured <= rule.threshold
    return copies
