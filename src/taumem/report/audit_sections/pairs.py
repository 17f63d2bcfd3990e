"""The most suspicious samples beside the training items that they resemble, and how far down the list to believe."""

import json
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from taumem.record.audit import AuditRecord, Bounds, Pair
from taumem.report.exhibits.alignment import GAP, aligned
from taumem.report.exhibits.texts import Stretch
from taumem.report.sections.section import Section

__all__ = ["MOST_PAIRS", "ShownPair", "section", "stops_of"]

MOST_PAIRS = 60
ALL_STOPS, MORE_STOPS = 60, 60
"""The slider stops at each of the first thresholds, and at so many of the others, ever further apart."""
ROWS = 12
"""Of the table that tells the same without the slider."""
BY_RULE, BY_FLAGS = "all copies by the rule", "all flagged samples"
"""What is found where the slider opens."""


@dataclass(frozen=True)
class ShownPair:
    """A pair as it is shown; texts are aligned, of others nothing is in ``chunks``."""

    pair: Pair
    chunks: tuple[tuple[Stretch, ...], ...] = ()


def section(record: AuditRecord) -> Iterator[Section]:
    """Show it where there are samples to show, or thresholds to choose."""
    pairs = sorted(record.pairs, key=lambda pair: (pair.score, pair.row))[:MOST_PAIRS]
    if not pairs and not record.bounds.thresholds:
        return
    opening, why = _opening(record)
    stops = stops_of(record.bounds, opening)
    start = next((k for k, stop in enumerate(stops) if stop["score"] >= opening), max(len(stops) - 1, 0))
    shown = {
        "pairs": [_shown(pair) for pair in pairs],
        "gap": GAP,
        "stops": Markup(json.dumps({key: [row[key] for row in stops] for key in ("score", "found", "false")})),
        "rows": [stops[k] for k in _spread(len(stops), ROWS)],
        "n_stops": len(stops),
        "start": start,
        "opening": stops[start] if stops else None,
        "why": why,
        "contents": any(pair.sample_image or pair.sample_text is not None for pair in pairs),
    }
    texts = any(pair.sample_text is not None for pair in pairs)
    yield Section("pairs", "The most suspicious samples", template="texts" if texts else "pairs", shown=shown)


def stops_of(bounds: Bounds, opening: float = 0.0) -> list[dict[str, Any]]:
    """Where the slider stops: at the lowest thresholds, others up to the last one, and where it opens."""
    n = len(bounds.thresholds)
    few = min(n, ALL_STOPS)
    more = np.geomspace(few, n, MORE_STOPS) - 1 if n > few else np.zeros(0)
    first = {min(int(np.searchsorted(bounds.thresholds, opening)), n - 1)} if n else set[int]()
    chosen = sorted({*range(few), *(round(float(k)) for k in more), *first})
    stops = [{"score": bounds.thresholds[k], "found": bounds.found[k], "false": bounds.false[k]} for k in chosen]
    return [{"score": opening, "found": 0, "false": 0}, *stops] if n and opening < bounds.thresholds[0] else stops


def _opening(record: AuditRecord) -> tuple[float, str]:
    """The score at which the slider opens, so that it agrees with the headline, and what is found there.

    It is that of the last copy by the rule, where that can be told; else that of the last sample that is flagged.
    """
    rule = next((rule for rule in record.rules if rule.sentence == record.copies.rule), None)
    scores = record.bounds.thresholds
    if rule is not None and rule.threshold is not None and rule.name.startswith("gap"):
        is_below = operator.le if rule.name.startswith("gap<=") else operator.lt
        return max((score for score in scores if is_below(score, rule.threshold)), default=rule.threshold), BY_RULE
    copied = [pair.score for pair in record.pairs if pair.copied]
    if copied and len(copied) == record.copies.count:
        return max(copied), BY_RULE
    flagged = [pair.score for pair in record.pairs if pair.flagged]
    if not record.flagged.count or not scores:
        return 0.0, ""
    if len(flagged) == record.flagged.count:
        return max(flagged), BY_FLAGS
    # Bounds count distinct samples alone, of which there may be fewer than are flagged.
    found = zip(scores, record.bounds.found, strict=True)
    return next((score for score, count in found if count >= record.flagged.count), scores[-1]), BY_FLAGS


def _spread(n: int, most: int) -> list[int]:
    """At most so many of n positions, evenly spread, the first and the last among them."""
    return sorted({round(float(k)) for k in np.linspace(0, n - 1, min(n, most))})


def _shown(pair: Pair) -> ShownPair:
    if pair.sample_text is None or pair.train_text is None:
        return ShownPair(pair)
    return ShownPair(pair, aligned(pair.sample_text, pair.train_text))
