"""When a sample counts as a copy: rules with fixed thresholds, as the field counts, and one that is calibrated."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from taumem.errors import ConfigError
from taumem.neighbors.matches import Matches

__all__ = ["MEASURES", "NEAREST", "Rule", "calibrated_distance", "rule_of", "usual_rules"]

NEAREST = 50
"""Training items whose mean distance is the scale of Carlini's rule."""
RARE = 0.01
"""The share of items that copy nothing which the calibrated distance takes for copies."""

Measure = Callable[[Matches], NDArray[np.float64]]


def _carlini(matches: Matches) -> NDArray[np.float64]:
    mean = matches.plain.mean(axis=1)
    ratio: NDArray[np.float64] = np.divide(matches.plain[:, 0], mean, out=np.zeros(len(matches)), where=mean > 0)
    return ratio


MEASURES: dict[str, tuple[Measure, str]] = {
    "gap": (
        lambda matches: matches.score,
        "the nearest training item (or its near-duplicates) is {} of the way to the next one, in any view "
        "(in one that only the full orbit has, by a sixth more)",
    ),
    "carlini": (
        _carlini,
        f"the distance to the nearest training item is {{}} of the mean distance to the {NEAREST} nearest "
        "(Carlini et al. 2023)",
    ),
    "distance": (lambda matches: matches.plain[:, 0], "the distance to the nearest training item is {}"),
    "edit": (
        lambda matches: matches.distance,
        "a training text becomes the sample by changing {} of its symbols",
    ),
    "identical": (lambda matches: matches.plain[:, 0], "it is a training item, bit for bit"),
}
"""What rules look at, by name: from matches to a number, small for a copy; and the rule in words."""

BOUNDS = {"gap": ("nearer than", "no farther than"), "edit": ("less than", "no more than")}
"""How a threshold is said, without itself and with it, if not as "below" and "at most"."""

USUAL = {
    "images": ("gap<1/3", "gap<1/4", "gap<1/2", "carlini<1/2", "identical"),
    "vectors": ("gap<1/3", "gap<1/4", "gap<1/2", "carlini<1/2", "identical"),
    "tokens": ("identical", "distance<=0.05", "gap<1/3"),
    "texts": ("edit<=0.05", "edit<=0.1", "edit<=0.2", "identical"),
}
"""By kind of item; the first is the rule where none is asked for."""

WRITTEN = re.compile(r"(?P<measure>[a-z]+)\s*(?P<sign><=|<)\s*(?P<threshold>\d+/\d+|\d*\.?\d+)")


@dataclass(frozen=True)
class Rule:
    """A rule: what it looks at, and from where on that makes a copy.

    Attributes:
        name: as it is written, such as ``gap<1/3``.
        measure: one of :data:`MEASURES`.
        threshold: below it (or at most at it) lies a copy.
        inclusive: whether the threshold itself does.
    """

    name: str
    measure: str
    threshold: float
    inclusive: bool = False

    @property
    def sentence(self) -> str:
        """In words, without a full stop."""
        written = self.name.replace("<=", "<").partition("<")[2] or f"{self.threshold:.3g}"
        bound = f"{BOUNDS.get(self.measure, ('below', 'at most'))[self.inclusive]} {written}"
        return f"a sample is a copy if {MEASURES[self.measure][1].format(bound)}"

    def copied(self, matches: Matches) -> NDArray[np.bool_]:
        """Say which are copies."""
        values = MEASURES[self.measure][0](matches)
        return values <= self.threshold if self.inclusive else values < self.threshold


def rule_of(written: str) -> Rule:
    """Read a rule.

    Args:
        written: ``gap<1/3``, ``carlini<0.5``, ``distance<0.1``, ``edit<=0.05``, or ``identical``.

    Raises:
        ConfigError: it is none.

    >>> rule_of("gap<1/4").threshold
    0.25
    """
    if written.strip() == "identical":
        return Rule("identical", "identical", 0.0, inclusive=True)
    found = WRITTEN.fullmatch(written.strip())
    try:
        threshold = float(Fraction(found["threshold"])) if found else 0.0
    except ZeroDivisionError:
        threshold = 0.0
    if not found or found["measure"] not in MEASURES or found["measure"] == "identical" or not 0 < threshold <= 1:
        raise ConfigError(
            f"{written!r} is no rule for copies; expected identical, or one of gap, carlini, distance and edit with a "
            "threshold between 0 and 1, such as gap<1/3 or edit<=0.05."
        )
    name = f"{found['measure']}{found['sign']}{found['threshold']}"
    return Rule(name, found["measure"], threshold, inclusive=found["sign"] == "<=")


def usual_rules(kind: str, first: str | None = None) -> tuple[Rule, ...]:
    """The rules that items of a kind are counted by; the first is the one that is asked for.

    Raises:
        ConfigError: it is no rule, or none for items of this kind.
    """
    usual = [rule_of(name) for name in USUAL[kind]]
    if first is None:
        return tuple(usual)
    rule = rule_of(first)
    if (rule.measure == "edit") != (kind == "texts") and rule.measure != "identical":
        raise ConfigError(f"the rule {rule.name} is not for {kind}; for these there are {', '.join(USUAL[kind])}.")
    return (rule, *(other for other in usual if other != rule))


def calibrated_distance(null: Matches) -> Rule:
    """The distance that one in a hundred items that copy nothing falls below."""
    threshold = float(np.quantile(null.plain[:, 0], RARE, method="lower"))
    return Rule("distance", "distance", threshold)
