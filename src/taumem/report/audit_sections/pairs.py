"""The most suspicious samples beside the training items that they resemble, and how far down the list to believe."""

import json
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
    stops = stops_of(record.bounds, record.flagged.count)
    shown = {
        "pairs": [_shown(pair) for pair in pairs],
        "gap": GAP,
        "stops": Markup(json.dumps({key: [row[key] for row in stops] for key in ("score", "found", "false")})),
        "rows": [stops[k] for k in _spread(len(stops), ROWS)],
        "n_stops": len(stops),
        "start": _start(record, stops),
        "contents": any(pair.sample_image or pair.sample_text is not None for pair in pairs),
    }
    texts = any(pair.sample_text is not None for pair in pairs)
    yield Section("pairs", "The most suspicious samples", template="texts" if texts else "pairs", shown=shown)


def stops_of(bounds: Bounds, n_flagged: int = 0) -> list[dict[str, Any]]:
    """Where the slider stops: at the lowest thresholds, others up to the last one, and where all flags are raised."""
    n = len(bounds.thresholds)
    few = min(n, ALL_STOPS)
    more = np.geomspace(few, n, MORE_STOPS) - 1 if n > few else np.zeros(0)
    flags = np.searchsorted(bounds.found, [n_flagged]) if 0 < n_flagged <= max(bounds.found, default=0) else ()
    chosen = sorted({*range(few), *(round(float(k)) for k in more), *(int(k) for k in flags)})
    return [{"score": bounds.thresholds[k], "found": bounds.found[k], "false": bounds.false[k]} for k in chosen]


def _start(record: AuditRecord, stops: list[dict[str, Any]]) -> int:
    """The stop that holds all that is flagged; the first one where nothing is."""
    return next((k for k, stop in enumerate(stops) if stop["found"] >= record.flagged.count), max(len(stops) - 1, 0))


def _spread(n: int, most: int) -> list[int]:
    """At most so many of n positions, evenly spread, the first and the last among them."""
    return sorted({round(float(k)) for k in np.linspace(0, n - 1, min(n, most))})


def _shown(pair: Pair) -> ShownPair:
    if pair.sample_text is None or pair.train_text is None:
        return ShownPair(pair)
    return ShownPair(pair, aligned(pair.sample_text, pair.train_text))
