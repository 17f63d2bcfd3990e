"""Copies of parts: a stretch of a text that stands verbatim in a training text, and phrases that samples over-use."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.audit.null import Null
from taumem.audit.settings import Settings
from taumem.audit.sides import Sides, taken
from taumem.audit.significance import chance_of, share_of
from taumem.audit.stretches import longest_stretches, overused_motifs
from taumem.record.audit import NotRun, RuleResult

__all__ = ["Partial", "partial_copies"]

RARE = 0.01
"""The share of items that copy nothing which counts as having copied a part."""


@dataclass(frozen=True, eq=False)
class Partial:
    """What was found of copied parts.

    Attributes:
        results: how many samples hold a larger copied part than one in a hundred items that copy nothing.
        motifs: what samples over-use, each with its counts.
        columns: of the findings, one value for each sample in its order.
        not_run: what was not looked for.
    """

    results: tuple[RuleResult, ...] = ()
    motifs: tuple[dict[str, Any], ...] = ()
    columns: dict[str, list[Any]] | None = None
    not_run: tuple[NotRun, ...] = ()


def partial_copies(sides: Sides, null: Null, settings: Settings, progress: Callable[[str, int, int], None]) -> Partial:
    """Look for copied parts in the samples, and in items that copy nothing."""
    what = "copies of parts"
    if not settings.parts:
        return Partial(not_run=(NotRun(what=what, why="they were not asked for (--no-parts)"),))
    if sides.train.kind == "texts":
        return _of_texts(sides, null, settings, progress)
    return Partial(not_run=(NotRun(what=what, why=f"there is no way to tell parts of {sides.train.kind}"),))


def _of_texts(sides: Sides, null: Null, settings: Settings, progress: Callable[[str, int, int], None]) -> Partial:
    train, samples = sides.train.items, sides.generated.items
    assert isinstance(train, list)
    assert isinstance(samples, list)
    found = longest_stretches(samples, train, groups=sides.groups)
    progress("parts", 1, 3)
    fresh, own = _fresh(sides, null)
    of_null = longest_stretches(fresh, train, groups=sides.groups, own=own)
    progress("parts", 2, 3)
    first, second = np.split(of_null.length, [len(null.calibrated)])
    result = _counted("stretch", found.length, first, second, null)
    motifs = () if sides.heldout is None else overused_motifs(samples, fresh, train=train, q=settings.q)
    progress("parts", 3, 3)
    columns = {"stretch": found.length.tolist(), "stretch_at": found.start.tolist()}
    unasked = () if sides.heldout else (NotRun(what="over-used phrases", why="there are no held-out texts"),)
    told = tuple(asdict(motif) for motif in motifs)
    if settings.redact:
        told = tuple(motif | {"text": f"{len(motif['text'])} symbols"} for motif in told)
    return Partial((result,), told, columns, unasked)


def _fresh(sides: Sides, null: Null) -> tuple[Any, NDArray[np.int64] | None]:
    """The items that copy nothing, those of the calibration half first, and their own groups."""
    places = np.concatenate([null.calibrated, null.evaluated])
    if null.source == "heldout":
        assert sides.heldout is not None
        return taken(sides.heldout, places), None
    return taken(sides.train, places), sides.groups[places]


def _counted(
    name: str, sizes: NDArray[Any], calibration: NDArray[Any], evaluation: NDArray[Any], null: Null
) -> RuleResult:
    """Count the samples whose copied part is larger than that of one in a hundred items of the calibration half."""
    most = float(np.quantile(calibration, 1 - RARE, method="higher"))
    return RuleResult(
        name=name,
        sentence=f"a stretch of more than {most:.0f} symbols stands verbatim in a training text, as in one of a "
        "hundred texts that copy nothing",
        threshold=most,
        samples=share_of(int((sizes > most).sum()), len(sizes)),
        chance=chance_of(evaluation > most, null),
    )
