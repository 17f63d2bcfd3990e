"""Which pilots can be made of so many items, what they can tell, and what can be done besides or instead."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from taumem.analysis.feasibility import ROUGH, doubts, expected_factor, feasibility
from taumem.lab.domain import n_heldout_unless_said
from taumem.lab.sizing import SMALLEST
from taumem.monitor.subsets import FEWEST_HELDOUT

__all__ = ["Advice", "Prospects", "pilot_sizes", "prospects"]

REPEATS = 2
"""Pilots of each size: as many as :func:`taumem.pilot` makes where nothing is said."""
N_HELDOUT = 256
"""Items that are held out of a pilot at most, likewise."""
HALF = 256
"""Up to so many items the largest pilot takes half of them, else a quarter: what is lost in reach is gained in time."""
PLENTY = 1000
"""From so many items on, a few hundred held-out ones are no loss."""


@dataclass(frozen=True)
class Advice:
    """What can be done with the data.

    Attributes:
        what: a sentence.
        how: a command, or a line of Python.
        page: of the docs, that says how.
    """

    what: str
    how: str
    page: str


@dataclass(frozen=True)
class Prospects:
    """What can be known before all items are trained on.

    Attributes:
        n_train: P, at most.
        sizes: of pilots that can be made; none where the items are too few.
        repeats: of each size.
        heldout: how many items are held out of a pilot, at least and at most.
        factor: within which a forecast is expected to be; None where there is none.
        sentences: what the pilots can tell, and what they cost.
        doubts: what speaks against a forecast from them.
        advice: what to do, the most telling first.
    """

    n_train: int
    sizes: tuple[int, ...]
    repeats: int
    heldout: tuple[int, int]
    factor: float | None
    sentences: tuple[str, ...]
    doubts: tuple[str, ...]
    advice: tuple[Advice, ...]

    @property
    def is_feasible(self) -> bool:
        """Whether pilots can be made at all."""
        return bool(self.sizes)


def pilot_sizes(n_train: int) -> tuple[int, ...]:
    """Sizes of pilots that so many items allow: half of them (of many, a quarter), half of that, and half again.

    >>> pilot_sizes(40), pilot_sizes(16), pilot_sizes(15), pilot_sizes(1000)
    ((5, 10, 20), (4, 8), (), (62, 125, 250))
    """
    largest = min(n_train // (2 if n_train <= HALF else 4), n_train - FEWEST_HELDOUT)
    sizes = tuple(size for size in (largest // 4, largest // 2, largest) if size >= SMALLEST)
    return sizes if len(sizes) > 1 else ()


def prospects(n_train: int, kind: str, data: str, *, grouped: bool = False) -> Prospects:
    """Say what can be known before all items are trained on.

    Args:
        n_train: how many items there are, or groups of them.
        kind: of the items.
        data: where they are, for the commands.
        grouped: whether groups are counted.
    """
    sizes, unit = pilot_sizes(n_train), "group" if grouped else "item"
    if not sizes:
        fewest = next(n for n in range(n_train, 100) if pilot_sizes(n))
        there = f"there is {n_train}" if n_train == 1 else f"there are {n_train}"
        told = (
            f"Pilots need {fewest} {unit}s, two sizes from {SMALLEST} on and {FEWEST_HELDOUT} held-out ones beside the "
            f"larger; {there}. No forecast can be made."
        )
        return Prospects(n_train, (), 0, (0, 0), None, (told,), (), tuple(_advice(n_train, kind, data, sizes)))
    heldout = tuple(min(N_HELDOUT, n_train - size) for size in (sizes[-1], sizes[0]))
    factor = expected_factor(sizes, REPEATS, n_train)
    batches = (
        f"Batches are to be smaller than the smallest pilot (P = {sizes[0]:,}), there and in the run on all {unit}s."
    )
    return Prospects(
        n_train=n_train,
        sizes=sizes,
        repeats=REPEATS,
        heldout=(heldout[0], heldout[1]),
        factor=factor if math.isfinite(factor) else None,
        sentences=(feasibility(sizes, REPEATS, n_train, (heldout[0], heldout[1]), f"{unit}s"), batches),
        doubts=tuple(doubts(sizes, n_train)),
        advice=tuple(_advice(n_train, kind, data, sizes)),
    )


def _advice(n_train: int, kind: str, data: str, sizes: tuple[int, ...]) -> Iterator[Advice]:
    if n_train >= PLENTY:
        yield Advice(
            f"Hold out {n_heldout_unless_said(n_train)} of them: your training, watched, stops by itself.",
            'taumem.Guard(loss, train=..., heldout=..., on_onset="stop")',
            "docs/your-own-loop.md",
        )
    if sizes:
        yield Advice(
            "Pilots of your own training, then a run on all of them that stops by their forecast.",
            f"taumem.pilot(train_on, items, loss=loss, sizes={sizes}, folder='pilots')",
            "docs/pilots.md",
        )
    if kind == "images" and n_train - n_heldout_unless_said(n_train) >= 4 * SMALLEST:
        yield Advice(
            "A first impression in minutes: pilots of a small network, which is not yours.",
            f"taumem run own-images --set data.path={data}",
            "docs/experiments.md",
        )
    if n_train >= 2 and (not sizes or sizes[-1] <= ROUGH):
        yield Advice(
            "Two models on a half each, without held-out items: where they part, each has begun to learn its own half.",
            'taumem.Guard(loss, train=half, twin=(other_model, other_half), on_onset="stop")',
            "docs/your-own-loop.md",
        )
    yield Advice(
        "After training: which samples are copies, beside what chance gives; held-out items are not needed.",
        f"taumem audit --train {data} --generated SAMPLES",
        "docs/audit.md",
    )
