"""All searches of an audit: samples, items that copy nothing, planted copies and phantoms against the training set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.audit.controls import alike, negative, positive
from taumem.audit.features import Features
from taumem.audit.kept import KeptSearches
from taumem.audit.null import Null, halves, one_of_each
from taumem.audit.plants import planted
from taumem.audit.pool import phantoms_of
from taumem.audit.repeats import joined, near_groups, with_kin
from taumem.audit.rules import NEAREST, Rule, calibrated_distance, usual_rules
from taumem.audit.settings import Settings
from taumem.audit.sides import Sides, taken
from taumem.audit.significance import Significance
from taumem.audit.texts import TextComparison
from taumem.data.gathered import Gathered
from taumem.errors import DataError
from taumem.neighbors.comparison import NearestComparison
from taumem.neighbors.matches import Comparison, Matches
from taumem.neighbors.views import orbit
from taumem.record.audit import Control, Phantoms

__all__ = ["Compared", "compare"]

Progress = Callable[[str, int, int], None]
MOST_LIKE = 500
"""Training items that held-out ones are held against."""
LEFT_OUT = 4
"""Distinct training items that a null of them needs: two in each half."""


@dataclass(frozen=True, eq=False)
class Compared:
    """What all searches of an audit found.

    Attributes:
        seen: what was compared: the sets, or their features.
        found: of the samples.
        null: of items that copy nothing.
        certainty: of the samples' matches.
        rules: what counts as a copy; the first is the one that was asked for.
        controls: the negative one, the positive one, and with held-out items whether these are like training items.
        phantoms: matches on either side; None without held-out items.
        comparisons: pairs of items that were compared, views counted.
        isolation: by place, the distance of training items to the nearest one of another group: of some hundreds.
    """

    seen: Sides
    found: Matches
    null: Null
    certainty: Significance
    rules: tuple[Rule, ...]
    controls: tuple[Control, ...]
    phantoms: Phantoms | None
    comparisons: int
    isolation: Mapping[int, float]


def compare(sides: Sides, settings: Settings, searches: KeptSearches) -> Compared:
    """Search, in this order: samples, items that copy nothing, planted copies, and phantoms."""
    features = settings.extractor
    seen = sides if settings.features == "pixels" else _featured(sides, features, settings, searches.progress)
    make = _maker(seen, settings)
    comparison = make(seen.train.items, seen.groups)
    rules = usual_rules(seen.train.kind, settings.rule)
    found = searches.compare("samples", comparison, seen.generated.items)
    null = _null(seen, comparison, settings, searches)
    if seen.train.kind != "texts":
        rules = (*rules, calibrated_distance(null.calibration))
    controls = [negative(null, settings.q)]
    for plants in planted(sides.train, seen.groups, settings.seed):
        items = plants.items if seen is sides else features(plants.items, "planted copies")
        looked_for = searches.compare(plants.name, comparison, items)
        controls.append(positive(plants, looked_for, seen.groups, rules[0]))
    # Without held-out items these are training items themselves, each against the others.
    among = [(null.calibration, null.calibrated), (null.evaluation, null.evaluated)]
    among = among if null.source == "left_out" else []
    if null.source == "heldout" and len(np.unique(sides.groups)) >= LEFT_OUT:
        others, places = _left_out("train", seen, comparison, MOST_LIKE, settings, searches)
        n = len(sides.train)
        controls.append(alike(null, others, places, (seen.kin[:n], seen.kin[n:])))
        among = [(others, places)]
    phantoms = phantoms_of(seen, rules[0], found, make, searches)
    n_compared = len(found) + len(null.calibration) + len(null.evaluation) + sum(c.n for c in controls[1:])
    n_compared += 0 if phantoms is None else len(found)
    return Compared(
        seen=seen,
        found=found,
        null=null,
        certainty=Significance.of(found, null.calibration, settings.q, seen.distinct),
        rules=rules,
        controls=tuple(controls),
        phantoms=phantoms,
        comparisons=n_compared * comparison.cost,
        isolation={
            int(place): float(distance)
            for matches, places in among
            for place, distance in zip(places, matches.distance, strict=True)
        },
    )


def _featured(sides: Sides, features: Features, settings: Settings, progress: Progress) -> Sides:
    """The sets by their features, in which other items may be near-duplicates; names and all else as they are."""

    def of(part: Gathered | None) -> Gathered | None:
        if part is None:
            return None
        vectors = features(part.items, part.source, progress=_stage(progress, "features"))
        return replace(part, items=vectors, kind="vectors")

    generated, train, heldout = (of(part) for part in (sides.generated, sides.train, sides.heldout))
    assert generated is not None
    assert train is not None
    groups, pooled, same = sides.groups, sides.pooled, sides.same
    if settings.near_duplicates:
        groups = joined(groups, near_groups(train, memory=settings.memory))
        pooled = groups if heldout is None else joined(pooled, near_groups(train, heldout, memory=settings.memory))
        same = joined(same, near_groups(generated, memory=settings.memory))
    kin = with_kin(pooled, sides.units, len(train))
    featured = replace(sides, generated=generated, train=train, heldout=heldout)
    return replace(featured, groups=groups, pooled=pooled, same=same, kin=kin)


def _left_out(
    stage: str, seen: Sides, comparison: Comparison, most: int, settings: Settings, searches: KeptSearches
) -> tuple[Matches, NDArray[np.int64]]:
    """Some training items, one of each group, each against the others; and their places."""
    places = one_of_each(seen.groups, most, settings.seed)
    return searches.compare(stage, comparison, taken(seen.train, places), seen.groups[places]), places


def _maker(seen: Sides, settings: Settings) -> Callable[[Any, NDArray[np.int64]], Comparison]:
    kind = seen.train.kind
    if kind == "texts":
        return lambda items, groups: TextComparison(items, groups=groups)
    views = orbit(settings.orbit if kind == "images" else "none")
    metric: Literal["hamming", "euclidean"] = "hamming" if kind == "tokens" else "euclidean"
    # The same on either side, so that rules mean the same.
    smaller = [len(np.unique(groups)) for groups in (seen.groups, seen.heldout_groups) if len(groups)]
    n_plain = max(2, min(NEAREST, min(smaller) - 1))
    return lambda items, groups: NearestComparison(
        items, groups=torch.from_numpy(groups), views=views, metric=metric, n_plain=n_plain, memory=settings.memory
    )


def _null(sides: Sides, comparison: Comparison, settings: Settings, searches: KeptSearches) -> Null:
    """Compare items that copy nothing: held-out ones, or training items each against the others."""
    if sides.heldout is not None:
        places = one_of_each(sides.heldout_groups, settings.most_null, settings.seed)
        matches = searches.compare("null", comparison, taken(sides.heldout, places))
        return halves(matches, places, "heldout", settings.seed)
    if (n_groups := len(np.unique(sides.groups))) < LEFT_OUT:
        raise DataError(
            f"without held-out items, training items stand in for them, each against the others: at least {LEFT_OUT} "
            f"distinct ones are needed; got {n_groups}. Give held-out items."
        )
    matches, places = _left_out("null", sides, comparison, settings.most_null, settings, searches)
    return halves(matches, places, "left_out", settings.seed)


def _stage(progress: Progress, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(stage, done, total)
