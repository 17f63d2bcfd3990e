"""What a report is about: records, and all that the analysis reads off them, in one frozen value."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from taumem.analysis import (
    Interval,
    Law,
    Onset,
    PhaseDiagram,
    find_onsets,
    find_twins,
    fit_each_clock,
    has_levels,
)
from taumem.errors import ConfigError
from taumem.record import Curve, RunRecord

__all__ = ["ClockLaw", "Forecast", "Study", "curve_of", "run_of"]

HEADLINE_CLOCKS = ("tau_val", "tau_gap_sym[0.2]", "tau_gap_sym[0.15]", "tau_gap[0.2]", "tau_gap[0.1]")
"""Which clock speaks for a study that forecasts none: the first of these with a law."""


@dataclass(frozen=True)
class Forecast:
    """A clock of a run that had not been made yet, and what was measured once it had.

    Attributes:
        clock: what was forecast.
        n_train: number of training examples of the forecast run.
        predicted: in steps, with its interval.
        measured: in steps; None while it is not known, an infinite upper end if the run ended too early.
    """

    clock: str
    n_train: int
    predicted: Interval
    measured: Interval | None = None

    @property
    def relative_error(self) -> float | None:
        """Forecast over measurement, less 1; None without a located measurement.

        >>> made = Interval(1100.0, 900.0, 1300.0, confidence=0.9)
        >>> seen = Interval(1000.0, 950.0, 1050.0, confidence=0.9)
        >>> round(Forecast("tau_val", 256, made, seen).relative_error, 3)
        0.1
        """
        if self.measured is None or self.measured.low <= 0 or math.isinf(self.measured.high):
            return None
        return self.predicted.value / self.measured.value - 1


@dataclass(frozen=True)
class ClockLaw:
    """One clock: its onsets, and the laws that they determine.

    Attributes:
        clock: what was timed.
        onsets: all of them, held-back sizes included.
        linear: the law with its exponent fixed to 1; None where it cannot be fitted.
        free: the law with a free exponent; None where it cannot be fitted.
        reason: why a law is missing; empty if both are there.
    """

    clock: str
    onsets: tuple[Onset, ...]
    linear: Law | None
    free: Law | None
    reason: str = ""

    @property
    def drawn(self) -> Law | None:
        """The law that figures draw: the free one, so that data and not an assumption tilt the line."""
        return self.free or self.linear


@dataclass(frozen=True)
class Study:
    """Records of one study, and what they mean.

    Attributes:
        records: the runs, by size, seed and half.
        twins: pairs of runs on disjoint halves.
        onsets: of every clock, in the order of the clocks.
        clocks: by clock, its onsets and laws; of the levels of a hierarchy, the laws are boundaries of ``phase``.
        held_back: sizes kept out of every fit.
        forecast: what was forecast, or None.
        phase: the phase diagram of data with a hierarchy; None where there is none to draw.
        no_phase: why data with a hierarchy have no phase diagram; empty otherwise.
    """

    records: tuple[RunRecord, ...]
    twins: tuple[tuple[RunRecord, RunRecord], ...]
    onsets: tuple[Onset, ...]
    clocks: tuple[ClockLaw, ...]
    held_back: frozenset[int]
    forecast: Forecast | None
    phase: PhaseDiagram | None = None
    no_phase: str = ""

    @classmethod
    def of(
        cls,
        records: Sequence[RunRecord],
        *,
        held_back: Collection[int] = frozenset(),
        forecast: Forecast | None = None,
    ) -> "Study":
        """Find the onsets and fit the laws.

        Args:
            records: of one study, in any order.
            held_back: training-set sizes to keep out of the fits, such as the one that was forecast.
            forecast: what was forecast, if anything.

        Raises:
            ConfigError: two runs are the same half of the same pair.
        """
        ordered = sorted(records, key=lambda r: (r.header.data.n_train, r.header.seed, r.header.half or ""))
        onsets = tuple(find_onsets(ordered))
        held_back = frozenset(held_back)
        phase, no_phase = _phase(ordered, onsets, held_back)
        # A level may be reached by copying: only the diagram knows which onsets speak for the law of learning it.
        clocks = tuple(_clock_laws([o for o in onsets if not (phase and _is_level(o.clock))], held_back))
        twins = tuple(find_twins(ordered))
        return cls(tuple(ordered), twins, onsets, clocks, held_back, forecast, phase, no_phase)

    @property
    def sizes(self) -> list[int]:
        """The distinct numbers of training examples, ascending; that of the forecast included."""
        sizes = {record.header.data.n_train for record in self.records}
        return sorted(sizes | ({self.forecast.n_train} if self.forecast else set()))

    @property
    def batch_sizes(self) -> list[int]:
        """The distinct batch sizes, ascending."""
        return sorted({record.header.batch_size for record in self.records})

    @property
    def headline(self) -> ClockLaw | None:
        """The clock that speaks for the study: the forecast one, that of the phase diagram, or a well-known one."""
        by_name = {clock.clock: clock for clock in self.clocks}
        if self.forecast is not None and self.forecast.clock in by_name:
            return by_name[self.forecast.clock]
        if self.phase is not None and (clock := by_name.get(self.phase.clock)) is not None and clock.drawn:
            return clock
        with_law = [clock for clock in self.clocks if clock.drawn]
        known = [by_name[name] for name in HEADLINE_CLOCKS if name in by_name and by_name[name].drawn]
        return next(iter(known or with_law or self.clocks), None)

    def missing(self) -> Iterator[str]:
        """Say, one sentence each, which checks could not be made, and why."""
        families = {onset.clock.partition("[")[0] for onset in self.onsets}
        needs = {
            "tau_gen": "a held-out loss with the loss of each item, at 5 or more checks",
            "tau_val": "a held-out loss with the loss of each item, at 5 or more checks",
            "tau_gap": "training and held-out loss with the loss of each item, at the same checks",
            "tau_gap_sym": "two runs on disjoint halves a and b, each measured on the other's training set too",
            "tau_copy": "samples, counted against the training set and against held-out data",
            "tau_split": "samples of two runs on disjoint halves, at 2 or more common checks",
        }
        if has_levels(self.records):
            needs["tau_level"] = "samples, and the levels of the grammar that they obey"
        if any(curve_of(record, "infill_copies") for record in self.records):
            needs["tau_infill"] = "training and held-out texts that were filled in at the same checks"
        for clock, need in needs.items():
            if clock not in families:
                yield f"{clock} could not be read: it needs {need}, and no run here has them."
        yield from (clock.reason for clock in self.clocks if clock.reason)
        yield from self._missing_of_the_diagram()
        if self.records and len({record.header.seed for record in self.records}) == 1:
            yield "One seed only: how far an onset moves from seed to seed was not measured."
        if len(self.batch_sizes) == 1:
            yield (
                f"One batch size only ({self.batch_sizes[0]:,}): every onset in steps holds at this batch size, and "
                "nothing here says what another one would give."
            )
        if self.forecast is None:
            yield "No forecast was handed in, so none is held against a measurement."

    def _missing_of_the_diagram(self) -> Iterator[str]:
        if self.no_phase:
            yield f"No phase diagram: {self.no_phase}"
        if self.phase is None:
            return
        for boundary in self.phase.boundaries:
            if boundary.reason:
                yield boundary.reason
        if self.phase.left_out:
            yield (
                "The phase diagram leaves out runs in which copies and levels were not both counted: "
                f"{', '.join(self.phase.left_out)}."
            )


def curve_of(record: RunRecord, quantity: str) -> Curve | None:
    """A quantity over training, averaged over diffusion times; None where the run has none."""
    if any(m.quantity == quantity and m.t is None for m in record.measurements):
        return record.curve(quantity)
    return None


def run_of(onset: Onset, records: Sequence[RunRecord]) -> RunRecord | None:
    """The run that an onset was found in: the first of the pair if it was found in two."""

    def belongs(record: RunRecord) -> bool:
        h = record.header
        halves = [word for word in onset.source.split() if word.startswith("half=")]
        return (
            (h.data.n_train, h.seed, h.weights, h.batch_size)
            == (onset.n_train, onset.seed, onset.weights, onset.batch_size)
            and h.data.name == onset.data
            and (not halves or f"half={h.half}" in halves)
        )

    return next((record for record in records if belongs(record)), None)


def _phase(
    records: Sequence[RunRecord], onsets: Sequence[Onset], held_back: frozenset[int]
) -> tuple[PhaseDiagram | None, str]:
    """The phase diagram where the data have a hierarchy; or None, and why."""
    if not has_levels(records):
        return None, ""
    try:
        return PhaseDiagram.of(records, onsets, held_back=held_back), ""
    except ConfigError as error:
        return None, str(error)


def _is_level(clock: str) -> bool:
    return clock.startswith("tau_level[")


def _clock_laws(onsets: Sequence[Onset], held_back: frozenset[int]) -> Iterator[ClockLaw]:
    fitted = [onset for onset in onsets if onset.n_train not in held_back]
    linear, why = fit_each_clock(fitted, exponent=1.0)
    free, why_free = fit_each_clock(fitted, exponent=None)
    for clock in dict.fromkeys(onset.clock for onset in onsets):
        missing = "" if clock in linear and clock in free else f"{clock}: every size with an onset is held back."
        reason = why.get(clock) or why_free.get(clock) or missing
        of_clock = tuple(onset for onset in onsets if onset.clock == clock)
        yield ClockLaw(clock, of_clock, linear.get(clock), free.get(clock), reason)
