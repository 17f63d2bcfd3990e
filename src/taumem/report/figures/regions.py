"""Where the regions of the phase diagram lie, and what they are called."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from taumem.analysis import PhaseDiagram
from taumem.analysis.regions import Look, Region

__all__ = ["Part", "Stretch", "room_around", "stretches_of", "strips_of"]

_ORDER: tuple[Region, ...] = ("underfit", "partial", "generalization", "memorization")


@dataclass(frozen=True)
class Part:
    """A part of the diagram in one color: a region, or of partial generalization that with so many levels reached.

    Attributes:
        region: as :class:`taumem.analysis.regions.Look` has it.
        grammar_level: the levels reached in partial generalization; 0 in the other regions.
    """

    region: Region
    grammar_level: int = 0

    @classmethod
    def of(cls, look: Look) -> "Part":
        """The part that a look lies in."""
        return cls(look.region, look.grammar_level if look.region == "partial" else 0)

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands in the legend."""
        return _ORDER.index(self.region), self.grammar_level

    @property
    def name(self) -> str:
        """What the legend calls it.

        >>> Part("partial", 2).name, Part("partial", 2).short_name, Part("underfit").name
        ('partial generalization (level 2)', 'levels 1–2 only', 'underfit')
        """
        return f"partial generalization (level {self.grammar_level})" if self.region == "partial" else self.region

    @property
    def short_name(self) -> str:
        """What is written into it."""
        if self.region != "partial":
            return self.region
        return "level 1 only" if self.grammar_level == 1 else f"levels 1–{self.grammar_level} only"


@dataclass(frozen=True)
class Stretch:
    """A run's time in one part: a rectangle in (P, step), or in (a setting, step)."""

    part: Part
    left: float
    right: float
    bottom: float
    top: float


def strips_of(phase: PhaseDiagram) -> dict[str, tuple[float, float]]:
    """Lay the runs side by side: by source, the ends of its strip in P, or in the setting."""
    sources: dict[float, list[str]] = {}
    for look in phase.looks:
        of_size = sources.setdefault(look.x, [])
        of_size += [look.source] if look.source not in of_size else []
    strips: dict[str, tuple[float, float]] = {}
    for (left, right), of_size in zip(_cells(sorted(sources)), sources.values(), strict=True):
        wide = (right / left) ** (1 / len(of_size))
        strips |= {source: (left * wide**k, left * wide ** (k + 1)) for k, source in enumerate(of_size)}
    return strips


def stretches_of(phase: PhaseDiagram) -> Iterator[Stretch]:
    """Lay the looks of each run one above the other, and join those in one part."""
    strips = strips_of(phase)
    for source, of_run in groupby(phase.looks, key=lambda look: look.source):
        looks = list(of_run)
        cells = _cells([float(look.step) for look in looks])
        for part, within in groupby(zip(looks, cells, strict=True), key=lambda pair: Part.of(pair[0])):
            ends = [cell for _, cell in within]
            yield Stretch(part, *strips[source], ends[0][0], ends[-1][1])


def room_around(stretch: Stretch, own: Sequence[Stretch], reach: float) -> tuple[float, float, float] | None:
    """The middle of a stretch in P, and the steps between which its part is clear so far to either side.

    Args:
        stretch: where to look.
        own: all stretches of its part.
        reach: how far to either side, as a factor.
    """
    x = math.sqrt(stretch.left * stretch.right)
    near = [s for s in own if s.left < x * reach and s.right > x / reach]
    if min(s.left for s in near) > x / reach or max(s.right for s in near) < x * reach:
        return None
    low, high = max(s.bottom for s in near), min(s.top for s in near)
    return (x, low, high) if low < high else None


def _cells(values: Sequence[float]) -> list[tuple[float, float]]:
    """The ends of each value's cell on a logarithmic axis; the cells at the ends reach as far out as in."""
    if len(values) == 1:
        return [(values[0] / math.sqrt(2), values[0] * math.sqrt(2))]
    middles = [math.sqrt(a * b) for a, b in pairwise(values)]
    edges = [values[0] ** 2 / middles[0], *middles, values[-1] ** 2 / middles[-1]]
    return list(pairwise(edges))
