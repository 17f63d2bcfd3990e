"""Which training items are at risk: those that samples copy, and those that stand alone among the others.

Isolation is that of the training items that the audit compares with one another anyway (some hundreds, drawn by the
seed), so that it costs nothing more.
"""

from collections.abc import Mapping

import numpy as np

from taumem.audit.compared import Compared
from taumem.audit.sides import Sides
from taumem.data.readers.opening import shown
from taumem.record.at_risk import AtRisk

__all__ = ["N_COPIED", "N_ISOLATED", "at_risk"]

N_COPIED, N_ISOLATED = 30, 10
"""Items that are listed, at most: of those that are copied, and of those that stand alone."""


def at_risk(sides: Sides, compared: Compared, redact: bool) -> tuple[AtRisk, ...]:
    """List training items: those that most samples copy first, then the most isolated of the others."""
    found, n = compared.found, len(sides.train)
    copied, flagged = compared.rules[0].copied(found), compared.certainty.flagged
    copies, flags = (np.bincount(found.nearest[kind], minlength=n) for kind in (copied, flagged))
    score = np.full(n, np.inf)
    np.minimum.at(score, found.nearest, found.score)
    isolation = compared.isolation
    hit = np.flatnonzero(copies + flags)
    hit = hit[np.lexsort((hit, score[hit], -flags[hit], -copies[hit]))][:N_COPIED]
    alone = sorted((place for place in isolation if not copies[place] + flags[place]), key=lambda k: (-isolation[k], k))

    def row(place: int, *, is_hit: bool) -> AtRisk:
        return AtRisk(
            row=place,
            source=str(place) if redact else shown(sides.train.names[place]),
            why="copied" if is_hit else "isolated",
            copies=int(copies[place]),
            flagged=int(flags[place]),
            score=float(f"{score[place]:.9g}") if np.isfinite(score[place]) else None,
            isolation=float(f"{isolation[place]:.9g}") if place in isolation else None,
            less_isolated=_share_below(isolation, place),
        )

    listed = [row(int(place), is_hit=True) for place in hit]
    return (*listed, *(row(place, is_hit=False) for place in alone[:N_ISOLATED]))


def _share_below(isolation: Mapping[int, float], place: int) -> float | None:
    if place not in isolation:
        return None
    return float(np.mean([other < isolation[place] for other in isolation.values()]))
