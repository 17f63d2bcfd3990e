"""The phase diagram: what was learned, and when it is memorized, over (P, steps) or, at one P, (a setting, steps).

Of any data there are three regions:

    underfit          the held-out loss has not made nine tenths of its fall: before tau_gen
    generalization    from tau_gen on
    memorization      from tau_mem on, whatever was learned; tau_mem is a clock that one may choose

Of data with a known hierarchy, the levels are learned in order, each at its own time, and level l only if P exceeds its
sample complexity P*_l; copies set in at tau_mem = c P. There the regions are four:

    underfit          no level reached
    partial           levels 1, ..., l reached, l < L
    generalization    all L levels reached
    memorization      from tau_mem on, whatever was reached

Stopping at tau_mem has a price, for P < P* at least: the model copies before it has learned all levels. See
:mod:`taumem.analysis.price`.

Reference: Favero, Sclocchi and Wyart 2025, arXiv 2505.16959, section 5.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taumem.analysis.boundary import Boundary, clock_boundary, level_boundary
from taumem.analysis.clocks.table import level_clock
from taumem.analysis.design import SIZE
from taumem.analysis.interval import finite_or_none
from taumem.analysis.laws import ClockLaw
from taumem.analysis.onset import Onset
from taumem.analysis.price import Price, Stop, price_of
from taumem.analysis.regions import Look, PlacedRun, place_run
from taumem.analysis.settings import settings_of
from taumem.analysis.tau_mem import COPIES, tau_mem_of
from taumem.errors import ConfigError, nearest_name
from taumem.record import RunRecord

__all__ = ["LevelOnsets", "PhaseDiagram", "TypicalOnset", "has_levels"]

LEARNED = "tau_gen"
"""What says that data without levels were learned."""


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
    """When each level was reached at one size (or value of a setting), and when copies set in.

    Attributes:
        n_train: number of training examples P.
        x: the size or the value.
        levels: of levels 1, ..., L; of data without levels of tau_gen alone.
        memorization: of the clock of memorization.
    """

    n_train: int
    x: float
    levels: tuple[TypicalOnset, ...]
    memorization: TypicalOnset

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        levels = [onset.to_json() for onset in self.levels]
        return {"n_train": self.n_train, "x": self.x, "levels": levels, "memorization": self.memorization.to_json()}


@dataclass(frozen=True)
class PhaseDiagram:
    """The regions that the looks of some runs found, their boundaries, and the price of stopping early.

    Attributes:
        sample_complexities: P*_1, ..., P*_L; empty for data without a known hierarchy.
        clock: the clock of memorization.
        over: what its axis has beside the steps: ``P``, or a setting such as ``model.channels`` or ``parameters``.
        looks: of every run, by size, run and step.
        boundaries: of each level, from 1 to L; of data without levels that of tau_gen.
        memorization: the boundary tau_mem = c P, and its law with a free exponent.
        levels: when the levels were reached, by size.
        price: of stopping at tau_mem, by size; of data with levels.
        left_out: runs that cannot be placed: they lack the clocks of learning or that of memorization.
    """

    sample_complexities: tuple[int, ...]
    clock: str
    over: str
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
        clock: str = "",
        over: str = SIZE,
        excluded: Collection[int] = frozenset(),
        floor: bool = False,
        confidence: float = 0.9,
        laws: Mapping[str, ClockLaw] | None = None,
    ) -> "PhaseDiagram":
        """Place every look of every run, and fit the boundaries.

        Args:
            records: runs on one data set, in any order, of any sizes and seeds.
            onsets: what :func:`taumem.analysis.find_onsets` found in them.
            clock: which clock is tau_mem; empty for that of copies, or what stands in for it
                (:func:`taumem.analysis.tau_mem.tau_mem_of`).
            over: ``P``, or a setting that these runs of one size differ in.
            excluded: training-set sizes to keep out of the fits.
            floor: also fit tau_0 in each law, as in :func:`taumem.analysis.fit_law`.
            confidence: probability of the laws' intervals, in (0, 1).
            laws: of clocks over P, by their names, where they have been fitted before: of data without levels.

        Raises:
            ConfigError: no runs; runs of several studies, data sets, batch sizes or weights; over a setting, runs of
                several sizes, or some without it; or no run with the clocks of learning and that of memorization.
        """
        complexities = _check_one_study(records, over)
        clock = clock or (COPIES if complexities else tau_mem_of(onsets))
        learning = tuple(level_clock(k).name for k in range(1, len(complexities) + 1)) or (LEARNED,)
        looks = "valid[1]" if complexities else "heldout_loss"
        placed = [place_run(each, onsets, clock, learning, looks, _place(each, over)) for each in records]
        runs = sorted((run for run in placed if run is not None), key=lambda run: (run.x, run.record.header.key.order))
        if not runs:
            raise ConfigError(_why_no_run(complexities, clock, onsets))
        fitted = [run for run in runs if run.n_train not in excluded]
        memorized, learned = [run.memorization for run in fitted], [run.levels[0] for run in fitted]
        known = {
            name: ClockLaw(name, tuple(own), tuple(own), floor, confidence)
            for name, own in ((LEARNED, learned), (clock, memorized))
        } | dict(laws or {})
        return cls(
            sample_complexities=complexities,
            clock=clock,
            over=over,
            looks=tuple(look for run in runs for look in run.looks()),
            boundaries=tuple(
                level_boundary(fitted, k, over=over, floor=floor, confidence=confidence)
                for k in range(1, len(complexities) + 1)
            )
            or (clock_boundary(known[LEARNED], over=over, is_linear=False),),
            memorization=clock_boundary(known[clock], over=over, is_linear=True),
            levels=tuple(_level_onsets(x, of_size) for x, of_size in _by_place(runs)),
            price=tuple(p for _, size in _by_place(runs) if (p := _price(size, complexities)) is not None),
            left_out=tuple(record.path.name for record, run in zip(records, placed, strict=True) if run is None),
        )

    @property
    def depth(self) -> int:
        """L, the number of levels; 0 for data without any."""
        return len(self.sample_complexities)

    @property
    def is_over_sizes(self) -> bool:
        """Whether its axis is P, rather than a setting."""
        return self.over == SIZE

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file: finite numbers, and None for what nothing bounds."""
        return {
            "sample_complexities": list(self.sample_complexities),
            "clock": self.clock,
            "over": self.over,
            "levels": [size.to_json() for size in self.levels],
            "price": [price.to_json() for price in self.price],
            "boundaries": {each.clock: each.to_json() for each in (*self.boundaries, self.memorization)},
        }


def has_levels(records: Sequence[RunRecord]) -> bool:
    """Say whether any of these runs was trained on data with a known hierarchy."""
    return any(record.header.data.sample_complexities for record in records)


def _check_one_study(records: Sequence[RunRecord], over: str) -> tuple[int, ...]:
    """Give the sample complexities that all these runs share; none for data without levels."""
    if not records:
        raise ConfigError("a phase diagram needs runs; got none.")
    headers = [record.header for record in records]
    shared: dict[str, set[object]] = {
        "data set": {h.data.name for h in headers},
        "hierarchy": {h.data.sample_complexities for h in headers},
        "weights": {h.weights for h in headers},
    }
    # The studies of a sweep have names of their own.
    shared |= {"study": {h.name for h in headers}} if over == SIZE else {"size": {h.data.n_train for h in headers}}
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


def _place(record: RunRecord, over: str) -> float:
    """Where a run stands on the axis."""
    if over == SIZE:
        return float(record.header.data.n_train)
    settings = settings_of(record)
    if settings.get(over, 0) <= 0:
        has = nearest_name(over, settings) if settings else "it has none."
        raise ConfigError(f"{record.path.name}: a phase diagram over {over} needs its value, above 0; {has}")
    return settings[over]


def _why_no_run(complexities: Sequence[int], clock: str, onsets: Sequence[Onset]) -> str:
    found = ", ".join(dict.fromkeys(onset.clock for onset in onsets)) or "none"
    learning = f"tau_level[1] to tau_level[{len(complexities)}]" if complexities else LEARNED
    do = "Draw samples, and count copies and levels in them." if complexities else "Look at a held-out loss more often."
    return (
        f"a phase diagram needs '{clock or COPIES}' and {learning} of one run at least; the clocks read from these "
        f"runs: {found}. {do}"
    )


def _by_place(runs: Sequence[PlacedRun]) -> list[tuple[float, list[PlacedRun]]]:
    return [(x, [run for run in runs if run.x == x]) for x in sorted({run.x for run in runs})]


def _level_onsets(x: float, runs: Sequence[PlacedRun]) -> LevelOnsets:
    depth = len(runs[0].levels)
    levels = (_typical([r.levels[k] for r in runs], sum(r.learned(k + 1) for r in runs)) for k in range(depth))
    return LevelOnsets(runs[0].n_train, x, tuple(levels), _typical([run.memorization for run in runs], None))


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


def _price(runs: Sequence[PlacedRun], complexities: Sequence[int]) -> Price | None:
    """The price at one size; None where every run copied from its first look on, or there are no levels."""
    stops = [
        Stop(run.record, step, run.level_at(step), run.memorization.censored != "right")
        for run in runs
        if (step := run.last_look_before_copies()) is not None
    ]
    if not stops or not complexities:
        return None
    n_train = runs[0].n_train
    return price_of(n_train, n_train / complexities[-1], stops, n_left_out=len(runs) - len(stops))
