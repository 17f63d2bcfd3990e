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
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from taumem.analysis.interval import finite_or_none
from taumem.analysis.law import Law
from taumem.analysis.laws import fit_each_clock
from taumem.analysis.onset import Onset
from taumem.analysis.price import Price, Stop, price_of
from taumem.errors import ConfigError
from taumem.record import RunRecord

__all__ = ["Boundary", "LevelOnsets", "Look", "PhaseDiagram", "Region", "TypicalOnset", "has_levels"]

Region = Literal["underfit", "partial", "generalization", "memorization"]

TAU_MEM = "tau_copy[0.05]"
"""The clock of memorization, fixed before any study."""


@dataclass(frozen=True)
class Look:
    """Where one run was in the diagram when its samples were looked at.

    Attributes:
        n_train: number of training examples P.
        seed: of the run.
        step: optimizer steps.
        region: see :mod:`taumem.analysis.phase`.
        grammar_level: how many levels had been reached, from 0 to L; in ``memorization`` some may have come by copying.
        source: the run, as its onsets name it.
    """

    n_train: int
    seed: int
    step: int
    region: Region
    grammar_level: int
    source: str


@dataclass(frozen=True)
class Boundary:
    """Where a region ends: the law of one clock over P.

    The law of a level rests on the runs that had reached the level at a look before the one at which copies were seen,
    and, as bounds, on those that ended with neither. Where copies came first the level was copied, if it was reached
    at all, and the run is left out: what is fitted is the time of learning, given that it comes before memorization.
    Near P*_l that selects the runs that learned fast.

    Attributes:
        clock: what was timed: ``tau_level[l]``, or the clock of memorization.
        free: the law with a free exponent; None where it cannot be fitted.
        linear: c P, for memorization; None for levels, and where it cannot be fitted.
        reason: why a law is missing; empty if none is.
        n_runs: runs of the sizes that are fitted.
        n_copied: of them, those left out as copies were seen no later than the level, or instead of it.
        n_open: of them, those that ended with neither: their onset is a bound.
    """

    clock: str
    free: Law | None
    linear: Law | None
    reason: str
    n_runs: int
    n_copied: int = 0
    n_open: int = 0

    @property
    def n_fitted(self) -> int:
        """Runs that the law rests on."""
        return self.n_runs - self.n_copied

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        laws = {"free": self.free, "linear": self.linear}
        counts = {name: getattr(self, name) for name in ("n_runs", "n_fitted", "n_copied", "n_open")}
        return {**{k: law and law.to_json() for k, law in laws.items()}, "reason": self.reason, **counts}


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
        held_back: Collection[int] = frozenset(),
        floor: bool = False,
        confidence: float = 0.9,
    ) -> "PhaseDiagram":
        """Place every look of every run, and fit the boundaries.

        Args:
            records: runs of one grammar, in any order, of any sizes and seeds.
            onsets: what :func:`taumem.analysis.find_onsets` found in them.
            clock: which clock is tau_mem.
            held_back: training-set sizes to keep out of the fits.
            floor: also fit tau_0 in each law, as in :func:`taumem.analysis.fit_law`.
            confidence: probability of the laws' intervals, in (0, 1).

        Raises:
            ConfigError: no runs; runs of several studies, data sets, batch sizes or weights; data without a hierarchy;
                or no run with the clocks of all levels and that of memorization.
        """
        complexities = _check_one_hierarchy(records)
        placed = [_placed(record, onsets, clock, len(complexities)) for record in records]
        runs = sorted((run for run in placed if run is not None), key=lambda run: (run.n_train, run.source))
        if not runs:
            found = ", ".join(dict.fromkeys(onset.clock for onset in onsets)) or "none"
            raise ConfigError(
                f"a phase diagram needs '{clock}' and tau_level[1] to tau_level[{len(complexities)}] of one run at "
                f"least; the clocks read from these runs: {found}. Draw samples, and count copies and levels in them."
            )
        fitted = [run for run in runs if run.n_train not in held_back]
        return cls(
            sample_complexities=complexities,
            clock=clock,
            looks=tuple(look for run in runs for look in run.looks()),
            boundaries=tuple(
                _level_boundary(fitted, number, floor=floor, confidence=confidence)
                for number in range(1, len(complexities) + 1)
            ),
            memorization=_memorization_boundary(fitted, clock, floor=floor, confidence=confidence),
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


@dataclass(frozen=True)
class _Run:
    """One run, and its onsets."""

    record: RunRecord
    memorization: Onset
    levels: tuple[Onset, ...]

    @property
    def n_train(self) -> int:
        return self.record.header.data.n_train

    @property
    def source(self) -> str:
        return self.memorization.source

    @cached_property
    def steps(self) -> list[int]:
        """When its samples were looked at, past step 0."""
        return [int(step) for step in self.record.curve("valid[1]").steps if step > 0]

    @cached_property
    def reached(self) -> list[float]:
        """When levels 1, ..., L were first seen, each with all below it."""
        return list(accumulate(map(_seen_from, self.levels), max))

    def learned(self, grammar_level: int) -> bool:
        """Whether it had reached a level at a look before the one at which copies were seen."""
        return self.reached[grammar_level - 1] < _seen_from(self.memorization)

    def ended_before(self, grammar_level: int) -> bool:
        """Whether it ended before either the level or copies were seen."""
        return math.isinf(self.reached[grammar_level - 1]) and math.isinf(_seen_from(self.memorization))

    def level_at(self, step: float) -> int:
        return sum(at <= step for at in self.reached)

    def looks(self) -> Iterator[Look]:
        for step in self.steps:
            reached, region = self.level_at(step), self._region_at(step)
            yield Look(self.n_train, self.record.header.seed, step, region, reached, self.source)

    def _region_at(self, step: float) -> Region:
        if step >= _seen_from(self.memorization):
            return "memorization"
        reached = self.level_at(step)
        return "underfit" if reached == 0 else "partial" if reached < len(self.levels) else "generalization"

    def last_look_before_copies(self) -> int | None:
        bound = self.memorization.step if self.memorization.censored == "no" else self.memorization.low
        return max((step for step in self.steps if step <= bound), default=None)


def _seen_from(onset: Onset) -> float:
    """The step from which on it is known to have set in: the look that showed it; infinite if none did."""
    return onset.step if onset.censored == "no" else onset.high


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
    names = [_name(record) for record in records]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"a phase diagram needs each run once; got '{twice[0]}' {twice.count(twice[0])} times.")
    return headers[0].data.sample_complexities


def _placed(record: RunRecord, onsets: Sequence[Onset], clock: str, depth: int) -> _Run | None:
    """The run with its onsets; None where one is missing."""
    h = record.header
    of_run = (_name(record), h.data.name, h.weights, h.batch_size)
    own = {o.clock: o for o in onsets if (o.source, o.data, o.weights, o.batch_size) == of_run}
    levels = [own.get(f"tau_level[{level}]") for level in range(1, depth + 1)]
    if clock not in own or not all(levels):
        return None
    return _Run(record, own[clock], tuple(onset for onset in levels if onset is not None))


def _name(record: RunRecord) -> str:
    """What onsets call the run that they were found in."""
    h = record.header
    return f"{h.name} P={h.data.n_train} seed={h.seed}{f' half={h.half}' if h.half else ''}"


def _by_size(runs: Sequence[_Run]) -> list[tuple[int, list[_Run]]]:
    return [(size, [run for run in runs if run.n_train == size]) for size in sorted({run.n_train for run in runs})]


def _level_boundary(runs: Sequence[_Run], number: int, *, floor: bool, confidence: float) -> Boundary:
    clock = f"tau_level[{number}]"
    learned = [run for run in runs if run.learned(number)]
    unfinished = [run for run in runs if run.ended_before(number)]
    onsets = [run.levels[number - 1] for run in (*learned, *unfinished)]
    laws, _ = fit_each_clock(onsets, exponent=None, floor=floor, confidence=confidence)
    reason = ""
    if clock not in laws:
        sizes = len({run.n_train for run in learned})
        reason = (
            f"{clock}: {len(learned)} of {len(runs)} runs, at {sizes} size(s), reached it before copies were seen; "
            "a law needs two sizes. Add larger ones."
        )
    n_copied = len(runs) - len(onsets)
    return Boundary(clock, laws.get(clock), None, reason, len(runs), n_copied, len(unfinished))


def _memorization_boundary(runs: Sequence[_Run], clock: str, *, floor: bool, confidence: float) -> Boundary:
    onsets = [run.memorization for run in runs]
    free, why_free = fit_each_clock(onsets, exponent=None, floor=floor, confidence=confidence)
    linear, why = fit_each_clock(onsets, exponent=1.0, floor=floor, confidence=confidence)
    reason = why.get(clock) or why_free.get(clock) or ("" if onsets else f"{clock}: every size is held back.")
    return Boundary(clock, free.get(clock), linear.get(clock), reason, len(runs))


def _level_onsets(n_train: int, runs: Sequence[_Run]) -> LevelOnsets:
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


def _price(n_train: int, runs: Sequence[_Run], top: int) -> Price | None:
    """The price at one size; None where every run copied from its first look on."""
    stops = [
        Stop(run.record, step, run.level_at(step), run.memorization.censored != "right")
        for run in runs
        if (step := run.last_look_before_copies()) is not None
    ]
    return price_of(n_train, n_train / top, stops, n_left_out=len(runs) - len(stops)) if stops else None
