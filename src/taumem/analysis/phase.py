"""The phase diagram of data with a known hierarchy: what a model has learned, and when it copies, over (P, steps).

The levels of a hierarchy are learned in order, each at its own time, and level l only if P exceeds its sample
complexity P*_l; copies set in at tau_mem = c P. Four regions follow:

    underfit          no level reached
    partial           levels 1, ..., l reached, l < L
    generalization    all L levels reached
    memorization      from tau_mem on, whatever was reached

Stopping at tau_mem has a price, for P < P* at least: the model copies before it has learned all levels. See
:mod:`taumem.analysis.price`.

Reference: Favero, Sclocchi and Wyart 2025, arXiv 2505.16959, section 5.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taumem.analysis.boundary import Boundary, level_boundary, memorization_boundary
from taumem.analysis.interval import finite_or_none
from taumem.analysis.onset import Onset
from taumem.analysis.price import Price, Stop, price_of
from taumem.analysis.regions import Look, PlacedRun, place_run
from taumem.errors import ConfigError
from taumem.record import RunRecord

__all__ = ["LevelOnsets", "PhaseDiagram", "TypicalOnset", "has_levels"]

TAU_MEM = "tau_copy[0.05]"
"""The clock of memorization, fixed before any study."""


@dataclass(frozen=True)
class TypicalOnset:
    """One clock at one size, over the seeds.

    Attributes:
        clock: what was timed.
        step: geometric mean of the located onsets, in steps; None where none was located.
        low: the lowest lower end over all runs, in steps.
        high: the highest upper end, in steps; infinite where a run ended before the onset.
        n_runs: number of runs.
        n_reached: runs that reached it, by learning or by copying.
        n_learned: runs that reached it at a look before the one at which copies were seen (all, for the clock of
            memorization itself).
        n_bounded: runs in which it is only bounded, on one side.
    """

    clock: str
    step: float | None
    low: float
    high: float
    n_runs: int
    n_reached: int
    n_learned: int
    n_bounded: int

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file; ``high`` is None where nothing bounds it."""
        return {**self.__dict__, "high": finite_or_none(self.high)}


@dataclass(frozen=True)
class LevelOnsets:
    """When each level was reached at one size, and when copies set in.

    Attributes:
        n_train: number of training examples P.
        levels: of levels 1, ..., L.
        memorization: of the clock of memorization.
    """

    n_train: int
    levels: tuple[TypicalOnset, ...]
    memorization: TypicalOnset

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        levels = [onset.to_json() for onset in self.levels]
        return {"n_train": self.n_train, "levels": levels, "memorization": self.memorization.to_json()}


@dataclass(frozen=True)
class PhaseDiagram:
    """The regions over (P, steps) that the looks of some runs found, their boundaries, and the price of stopping early.

    Attributes:
        sample_complexities: P*_1, ..., P*_L.
        clock: the clock of memorization.
        looks: of every run, by size, run and step.
        boundaries: of each level, from 1 to L.
        memorization: the boundary tau_mem = c P, and its law with a free exponent.
        levels: when the levels were reached, by size.
        price: of stopping at tau_mem, by size.
        left_out: runs that cannot be placed: they lack the clocks of the levels or that of memorization.
    """

    sample_complexities: tuple[int, ...]
    clock: str
    looks: tuple[Look, ...]
    boundaries: tuple[Boundary, ...]
    memorization: Boundary
    levels: tuple[LevelOnsets, ...]
    price: tuple[Price, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(
        cls,
        records: Sequence[RunRecord],
        onsets: Sequence[Onset],
        *,
        clock: str = TAU_MEM,
        excluded: Collection[int] = frozenset(),
        floor: bool = False,
        confidence: float = 0.9,
    ) -> "PhaseDiagram":
        """Place every look of every run, and fit the boundaries.

        Args:
            records: runs of one grammar, in any order, of any sizes and seeds.
            onsets: what :func:`taumem.analysis.find_onsets` found in them.
            clock: which clock is tau_mem.
            excluded: training-set sizes to keep out of the fits.
            floor: also fit tau_0 in each law, as in :func:`taumem.analysis.fit_law`.
            confidence: probability of the laws' intervals, in (0, 1).

        Raises:
            ConfigError: no runs; runs of several studies, data sets, batch sizes or weights; data without a hierarchy;
                or no run with the clocks of all levels and that of memorization.
        """
        complexities = _check_one_hierarchy(records)
        placed = [place_run(record, onsets, clock, len(complexities)) for record in records]
        runs = sorted((run for run in placed if run is not None), key=lambda run: run.record.header.key.order)
        if not runs:
            found = ", ".join(dict.fromkeys(onset.clock for onset in onsets)) or "none"
            raise ConfigError(
                f"a phase diagram needs '{clock}' and tau_level[1] to tau_level[{len(complexities)}] of one run at "
                f"least; the clocks read from these runs: {found}. Draw samples, and count copies and levels in them."
            )
        fitted = [run for run in runs if run.n_train not in excluded]
        return cls(
            sample_complexities=complexities,
            clock=clock,
            looks=tuple(look for run in runs for look in run.looks()),
            boundaries=tuple(
                level_boundary(fitted, number, floor=floor, confidence=confidence)
                for number in range(1, len(complexities) + 1)
            ),
            memorization=memorization_boundary(fitted, clock, floor=floor, confidence=confidence),
            levels=tuple(_level_onsets(n_train, of_size) for n_train, of_size in _by_size(runs)),
            price=tuple(p for size in _by_size(runs) if (p := _price(*size, complexities[-1])) is not None),
            left_out=tuple(record.path.name for record, run in zip(records, placed, strict=True) if run is None),
        )

    @property
    def depth(self) -> int:
        """L, the number of levels."""
        return len(self.sample_complexities)

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file: finite numbers, and None for what nothing bounds."""
        return {
            "sample_complexities": list(self.sample_complexities),
            "clock": self.clock,
            "levels": [size.to_json() for size in self.levels],
            "price": [price.to_json() for price in self.price],
            "boundaries": {each.clock: each.to_json() for each in (*self.boundaries, self.memorization)},
        }


def has_levels(records: Sequence[RunRecord]) -> bool:
    """Say whether any of these runs was trained on data with a known hierarchy: whether there is a diagram to draw."""
    return any(record.header.data.sample_complexities for record in records)


def _check_one_hierarchy(records: Sequence[RunRecord]) -> tuple[int, ...]:
    """Give the sample complexities that all these runs share."""
    if not records:
        raise ConfigError("a phase diagram needs runs; got none.")
    headers = [record.header for record in records]
    if not has_levels(records):
        raise ConfigError(
            f"a phase diagram needs data with a known hierarchy, such as the grammar; '{headers[0].data.name}' has no "
            "levels (no sample_complexities in its run.json)."
        )
    shared: dict[str, set[object]] = {
        "study": {h.name for h in headers},
        "data set": {h.data.name for h in headers},
        "hierarchy": {h.data.sample_complexities for h in headers},
        "weights": {h.weights for h in headers},
    }
    if any(h.batch_size != h.data.n_train for h in headers):
        shared["batch size"] = {h.batch_size for h in headers}
    for what, values in shared.items():
        if len(values) > 1:
            listed = ", ".join(sorted(map(str, values)))
            raise ConfigError(f"a phase diagram is of one {what}; these runs have {listed}. Make one of each.")
    names = [str(header.key) for header in headers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"a phase diagram needs each run once; got '{twice[0]}' {twice.count(twice[0])} times.")
    return headers[0].data.sample_complexities


def _by_size(runs: Sequence[PlacedRun]) -> list[tuple[int, list[PlacedRun]]]:
    return [(size, [run for run in runs if run.n_train == size]) for size in sorted({run.n_train for run in runs})]


def _level_onsets(n_train: int, runs: Sequence[PlacedRun]) -> LevelOnsets:
    depth = len(runs[0].levels)
    levels = (_typical([r.levels[k] for r in runs], sum(r.learned(k + 1) for r in runs)) for k in range(depth))
    return LevelOnsets(n_train, tuple(levels), _typical([run.memorization for run in runs], None))


def _typical(onsets: Sequence[Onset], n_learned: int | None) -> TypicalOnset:
    located = [onset.step for onset in onsets if onset.usable]
    n_reached = sum(onset.censored != "right" for onset in onsets)
    return TypicalOnset(
        clock=onsets[0].clock,
        step=math.exp(float(np.mean(np.log(located)))) if located else None,
        low=min(onset.low for onset in onsets),
        high=max(onset.high for onset in onsets),
        n_runs=len(onsets),
        n_reached=n_reached,
        n_learned=n_reached if n_learned is None else n_learned,
        n_bounded=len(onsets) - len(located),
    )


def _price(n_train: int, runs: Sequence[PlacedRun], top: int) -> Price | None:
    """The price at one size; None where every run copied from its first look on."""
    stops = [
        Stop(run.record, step, run.level_at(step), run.memorization.censored != "right")
        for run in runs
        if (step := run.last_look_before_copies()) is not None
    ]
    return price_of(n_train, n_train / top, stops, n_left_out=len(runs) - len(stops)) if stops else None
