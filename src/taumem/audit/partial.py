"""Copies of parts: a stretch of a text or a patch of an image, and phrases and patches that samples over-use."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.audit.null import Null
from taumem.audit.patch_motifs import overused_patches, spread
from taumem.audit.settings import Settings
from taumem.audit.sides import Sides, taken
from taumem.audit.significance import chance_of, share_of
from taumem.audit.stretches import longest_stretches, overused_motifs
from taumem.errors import option
from taumem.neighbors.patches import PatchComparison, PatchMatches
from taumem.record.audit import NotRun, RuleResult

__all__ = ["Partial", "partial_copies"]

RARE = 0.01
"""The share of items that copy nothing which counts as having copied a part."""
MOST_FRESH = 250
"""Images of each half of the null whose patches are compared."""
MOST_PAIRS = 2 * 10**10
"""Pairs of patches up to which they are compared: some minutes on a core."""


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
        return Partial(not_run=(NotRun(what=what, why=f"they were not asked for by {option('parts', 'no-parts')}"),))
    if sides.train.kind == "texts":
        return _of_texts(sides, null, settings, progress)
    if sides.train.kind == "images":
        return _of_images(sides, null, settings, progress)
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
    most = float(np.quantile(first, 1 - RARE, method="higher"))
    sentence = (
        f"a stretch of more than {most:.0f} symbols stands verbatim in a training text, as in one of a hundred texts "
        "that copy nothing"
    )
    result = _counted("stretch", sentence, most, found.length > most, second > most, null)
    motifs = () if sides.heldout is None else overused_motifs(samples, fresh, train=train, q=settings.q)
    progress("parts", 3, 3)
    columns = {"stretch": found.length.tolist(), "stretch_at": found.start.tolist()}
    unasked = () if sides.heldout else (NotRun(what="over-used phrases", why="there are no held-out texts"),)
    return Partial((result,), tuple(map(asdict, motifs)), columns, unasked)


def _of_images(sides: Sides, null: Null, settings: Settings, progress: Callable[[str, int, int], None]) -> Partial:
    comparison = PatchComparison(sides.train.items, groups=sides.groups, memory=settings.memory)
    first, second = (places[spread(len(places), MOST_FRESH)] for places in (null.calibrated, null.evaluated))
    null = replace(null, calibrated=first, evaluated=second)
    fresh, own = _fresh(sides, null)
    n = comparison.cost * (len(sides.generated) + len(fresh))
    if n > MOST_PAIRS:
        why = f"{n:.1e} pairs of patches would be compared; up to {MOST_PAIRS:.0e} are: give fewer samples (--limit)"
        return Partial(not_run=(NotRun(what="copies of parts", why=why),))
    of_null = comparison.compare(fresh, own, progress=lambda done, total: progress("parts of the null", done, total))
    found = comparison.compare(
        sides.generated.items, progress=lambda done, total: progress("parts of samples", done, total)
    )
    n_first = len(null.calibrated)
    thresholds = of_null[:n_first].thresholds(RARE)
    sentence = (
        f"a square patch of {found.sides[0]} or more pixels is nearer to one of a training image than to those of all "
        "others, by as much as in one of a hundred images that copy nothing"
    )
    copied, by_chance = found.largest(thresholds), of_null[n_first:].largest(thresholds)
    result = _counted("patch", sentence, None, copied > 0, by_chance > 0, null)
    columns = _patch_columns(found, copied, thresholds)
    if sides.heldout is None or len(found) < 2:
        why = "there are no held-out images" if sides.heldout is None else "one sample repeats nothing"
        return Partial((result,), columns=columns, not_run=(NotRun(what="over-used patches", why=why),))
    motifs = tuple(map(asdict, overused_patches(sides.generated.items, fresh, q=settings.q)))
    return Partial((result,), motifs, columns)


def _patch_columns(found: PatchMatches, copied: NDArray[Any], thresholds: NDArray[Any]) -> dict[str, list[Any]]:
    """The side of each sample's copied patch, 0 if there is none, where it lies, and where what it resembles does."""
    rows, size = np.arange(len(found)), found.places(thresholds)
    at, train_at = found.at[rows, size], found.train_at[rows, size]
    return {
        "patch": copied.tolist(),
        "patch_row": at[:, 0].tolist(),
        "patch_column": at[:, 1].tolist(),
        "patch_of": found.nearest[rows, size].tolist(),
        "patch_of_row": train_at[:, 0].tolist(),
        "patch_of_column": train_at[:, 1].tolist(),
    }


def _fresh(sides: Sides, null: Null) -> tuple[Any, NDArray[np.int64] | None]:
    """The items that copy nothing, those of the calibration half first, and their own groups."""
    places = np.concatenate([null.calibrated, null.evaluated])
    if null.source == "heldout":
        assert sides.heldout is not None
        return taken(sides.heldout, places), None
    return taken(sides.train, places), sides.groups[places]


def _counted(
    name: str,
    sentence: str,
    threshold: float | None,
    samples: NDArray[np.bool_],
    fresh: NDArray[np.bool_],
    null: Null,
) -> RuleResult:
    """Count the samples that have copied a part, and the items of the evaluation half that seem to have."""
    return RuleResult(
        name=name,
        sentence=sentence,
        threshold=threshold,
        samples=share_of(int(samples.sum()), len(samples)),
        chance=chance_of(fresh, null),
    )
