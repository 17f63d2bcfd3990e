"""Matches on both sides: of the items that samples match, how many are training items, and how many only phantoms."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.phantoms import phantom_test
from taumem.audit.kept import KeptSearches
from taumem.audit.rules import MEASURES, Rule
from taumem.audit.sides import Sides, taken
from taumem.data.stored import Together
from taumem.neighbors.matches import Comparison, Matches
from taumem.record.audit import Phantoms

__all__ = ["phantoms_of"]

Make = Callable[[Any, NDArray[np.int64]], Comparison]
SMALL = 8
"""Groups of up to so many items are held against groups of just their size."""
RELATIVE = ("gap", "carlini")
"""Rules that hold the nearest item against others: on both sides together, where these are others of either side."""


def phantoms_of(sides: Sides, rule: Rule, found: Matches, make: Make, searches: KeptSearches) -> Phantoms | None:
    """Test matches on the training side against matches to held-out items; None without held-out items.

    If the model did not know which items it was trained on, which of the matched ones are training items is a draw
    without replacement, among groups of about one size. Both sides are treated alike: items that belong together, by
    the same rule on both sides together, count once, groups that reach across count on neither side, and so does a
    sample that is equally near to both.

    Args:
        sides: what is compared.
        rule: what a match is.
        found: the samples against the training items.
        make: a comparison with some items, in groups.
        searches: makes searches.
    """
    if sides.heldout is None:
        return None
    other = searches.compare("phantoms", make(sides.heldout.items, sides.heldout_groups), sides.generated.items)
    if rule.measure in RELATIVE:
        places = _in_pool(sides, rule, found, other, make, searches)
    else:
        places = _on_nearer_side(sides, rule, found, other)
    groups, n = sides.pooled, len(sides.train)
    across = np.intersect1d(groups[:n], groups[n:])
    ours, theirs = (np.setdiff1d(side, across) for side in (groups[:n], groups[n:]))
    matched = np.unique(groups[places])
    # A large group is met more often than a small one; so by size: 1, 2, ..., 8, 9 to 15, 16 to 31, ...
    sizes = np.bincount(groups)
    strata = np.where(sizes <= SMALL, sizes, SMALL + np.frexp(sizes)[1])
    counts = [
        np.bincount(strata[some], minlength=int(strata.max()) + 1)
        for some in (ours, theirs, np.intersect1d(matched, ours), np.intersect1d(matched, theirs))
    ]
    return Phantoms(**asdict(phantom_test(*counts)))


def _in_pool(
    sides: Sides, rule: Rule, found: Matches, other: Matches, make: Make, searches: KeptSearches
) -> NDArray[np.int64]:
    """The items, of both sides together, that samples match there.

    With more items around, a sample stands out less. So whatever matches there matches on one side alone, and only
    those samples have to be looked at once more.
    """
    assert sides.heldout is not None
    chosen = np.flatnonzero(rule.copied(found) | rule.copied(other))
    if not len(chosen):
        return chosen
    pool = make(_together(sides.train.items, sides.heldout.items), sides.pooled)
    pooled = searches.compare("pool", pool, taken(sides.generated, chosen))
    places: NDArray[np.int64] = pooled.nearest[rule.copied(pooled)]
    return places


def _on_nearer_side(sides: Sides, rule: Rule, found: Matches, other: Matches) -> NDArray[np.int64]:
    """The items that samples match on the side that is nearer."""
    measure = MEASURES[rule.measure][0]
    ours, theirs = measure(found), measure(other)
    to_train = found.nearest[rule.copied(found) & (ours < theirs)]
    to_heldout = other.nearest[rule.copied(other) & (theirs < ours)]
    return np.concatenate([to_train, len(sides.train) + to_heldout])


def _together(first: Any, second: Any) -> Any:
    return [*first, *second] if isinstance(first, list) else Together(first, second)
