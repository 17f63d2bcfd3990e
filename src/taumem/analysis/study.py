"""A study: some runs, and all that is read off them, computed once and only when it is asked for."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from taumem.analysis.cautions import cautions_of
from taumem.analysis.clocks.table import check_forecastable
from taumem.analysis.design import BatchSize
from taumem.analysis.differences import batch_size_of, differences_of
from taumem.analysis.find import find_onsets
from taumem.analysis.forecast import Forecast
from taumem.analysis.interval import check_confidence
from taumem.analysis.law import Law, whole_size
from taumem.analysis.laws import ClockLaw, forecasting
from taumem.analysis.missing import of_the_diagram, unread, untimed, unvaried, without_law
from taumem.analysis.onset import Onset, Unit, checked_unit, refuse_time
from taumem.analysis.order import Precedence, order_of
from taumem.analysis.phase import PhaseDiagram, has_levels
from taumem.analysis.pilot_choice import NextPilot, next_pilot
from taumem.analysis.prior import Exponent
from taumem.analysis.reach import carried
from taumem.analysis.twins import checked_runs, each_once, find_twins
from taumem.errors import ConfigError
from taumem.record import RunHeader, RunRecord

__all__ = ["Study"]

HEADLINE_CLOCKS = ("tau_val", "tau_val_mean", "tau_gap_sym[0.2]", "tau_gap_sym[0.15]", "tau_gap[0.2]", "tau_gap[0.1]")
"""Which clock speaks for a study that forecasts none: the first of these with a law."""


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """Some runs, and what they mean.

    Attributes:
        records: the runs, by size, seed and half.
        excluded: sizes kept out of every fit.
        proof: a forecast that is held against a measurement, or None.
        floor: whether laws have a tau_0, the onset that small sizes cannot undercut.
        confidence: probability of every interval.
        unit: of onsets and laws.
        covariates: settings that the laws' tau also depends on, such as ``training.learning_rate``.
    """

    records: tuple[RunRecord, ...]
    excluded: frozenset[int] = frozenset()
    proof: Forecast | None = None
    floor: bool = False
    confidence: float = 0.9
    unit: Unit = "steps"
    covariates: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        records: Iterable[RunRecord],
        *,
        excluded: Collection[int] = frozenset(),
        proof: Forecast | None = None,
        floor: bool = False,
        confidence: float = 0.9,
        unit: Unit = "steps",
        covariates: Collection[str] = (),
    ) -> "Study":
        """Bring runs together as they stand now; what is measured later of a run under way belongs to another study.

        Args:
            records: of one study, in any order.
            excluded: training-set sizes to keep out of the fits, such as the one that was forecast.
            proof: what was forecast, if anything, and what was measured.
            floor: also fit tau_0 in each law.
            confidence: probability of every interval, in (0, 1).
            unit: of onsets and laws; in effective time, runs whose time was not measured have none.
            covariates: settings that the laws' tau also depends on (see :func:`taumem.analysis.fit_law`).

        Raises:
            ConfigError: these are no runs, two are the same half of a pair, or there is no such unit.
        """
        check_confidence(confidence)
        records = list(each_once(record.as_it_stands() for record in checked_runs(records)))
        find_twins(records)
        ordered = sorted(records, key=lambda record: record.header.key.order)
        unit, covariates = checked_unit(unit), tuple(covariates)
        return cls(tuple(ordered), frozenset(excluded), proof, floor, confidence, unit, covariates)

    def __repr__(self) -> str:
        return f"<Study of {len(self.records)} runs of {', '.join(self.experiments) or 'nothing'}, P = {self.sizes}>"

    def excluding(self, sizes: Collection[int], proof: Forecast | None = None) -> "Study":
        """The same runs with these sizes kept out of every fit; onsets that were found are not found again.

        Args:
            sizes: numbers of training examples.
            proof: a forecast that is held against a measurement.
        """
        study = replace(self, excluded=frozenset(sizes), proof=proof)
        vars(study).update({name: value for name, value in vars(self).items() if name == "onsets"})
        return study

    @cached_property
    def twins(self) -> tuple[tuple[RunRecord, RunRecord], ...]:
        """Pairs of runs on disjoint halves."""
        return tuple(find_twins(self.records))

    @cached_property
    def onsets(self) -> tuple[Onset, ...]:
        """Of every clock, in the order of the clocks."""
        return tuple(find_onsets(self.records, confidence=self.confidence, unit=self.unit))

    @cached_property
    def clocks(self) -> tuple[ClockLaw, ...]:
        """By clock, its onsets and laws; of the levels of a hierarchy, the laws are boundaries of ``phase``."""
        # A level may be reached by copying: only the diagram knows which onsets speak for the law of learning it.
        of_levels = {boundary.clock for boundary in self.phase.boundaries} if self.phase else set()
        onsets = [onset for onset in self.onsets if onset.clock not in of_levels]
        kinds = {record.header.data.kind for record in self.records}
        kind = kinds.pop() if len(kinds) == 1 else ""
        return ClockLaw.of_each(onsets, self.excluded, self.floor, self.confidence, kind, self.covariates)

    @cached_property
    def order(self) -> tuple[Precedence, ...]:
        """The clocks as multiples of tau_val in the same runs, from the first to the last; none without a tau_val."""
        onsets = [onset for onset in self.onsets if onset.n_train not in self.excluded]
        timed = any(onset.clock == "tau_val" for onset in onsets)
        return tuple(order_of(onsets, confidence=self.confidence)) if timed else ()

    @property
    def laws(self) -> dict[str, Law]:
        """By clock, the law with a free exponent; clocks without one are left out."""
        return self.fits(None)[0]

    def fits(self, exponent: Exponent) -> tuple[dict[str, Law], dict[str, str]]:
        """The laws with this exponent by clock, and for each clock without one the reason.

        Args:
            exponent: a number to fix it, None to leave it free, or a pair (mean, standard deviation).
        """
        laws = {clock.clock: law for clock in self.clocks if (law := clock.law(exponent)) is not None}
        reasons = {clock.clock: why for clock in self.clocks if (why := clock.why_not(exponent))}
        for boundary in self.phase.boundaries if self.phase else ():
            if exponent is not None:
                reasons[boundary.clock] = f"{boundary.clock}: levels do not grow in proportion to P"
            elif boundary.free is not None:
                laws[boundary.clock] = boundary.free
            elif boundary.reason:
                reasons[boundary.clock] = boundary.reason
        return laws, reasons

    @property
    def phase(self) -> PhaseDiagram | None:
        """The phase diagram of data with a hierarchy; None where there is none to draw."""
        return None if isinstance(self._phase, str) else self._phase

    @property
    def no_phase(self) -> str:
        """Why data with a hierarchy have no phase diagram; empty otherwise."""
        return self._phase if isinstance(self._phase, str) else ""

    @cached_property
    def _phase(self) -> PhaseDiagram | str:
        if not has_levels(self.records) or self.unit != "steps":  # its axes are steps
            return ""
        try:
            return PhaseDiagram.of(
                self.records, self.onsets, excluded=self.excluded, floor=self.floor, confidence=self.confidence
            )
        except ConfigError as error:  # runs of several grammars, or without samples, still have clocks
            return str(error)

    def forecast(
        self,
        n_train: int,
        clock: str = "tau_val",
        *,
        batch_size: BatchSize = None,
        target: RunHeader | Mapping[str, Any] | None = None,
    ) -> Forecast:
        """Forecast how long a run on more data may train, by tau = tau_0 + c P^a B^-k.

        Args:
            n_train: number of training examples P of that run, at least 1.
            clock: which clock.
            batch_size: its training examples a step B, or ``"P"`` for the whole training set; None for what the target
                says, or else for the pilots' own, where they have one.
            target: what the run will be, so that what differs from the pilots is named: its header, or its settings,
                such as ``{"batch_size": 64, "learning_rate": 1e-4}`` or what an experiment's ``model_dump()`` gives.

        Raises:
            ConfigError: no such clock, it is no power of P, too few of its onsets were located, several batch sizes and
                none is named, or ``n_train``, ``batch_size`` or ``target`` is none.

        Warns:
            TaumemWarning: ``n_train`` is far beyond the largest size with a located onset, or only one size has any.
        """
        n_train, law = whole_size(n_train), forecasting(self._forecast_clock(clock), self.clocks)
        if batch_size is None and target is not None and law.batch_exponent is not None:
            batch_size = batch_size_of(target)
        predicted = law.predict(n_train, batch_size=batch_size)
        differences = differences_of(
            [record.header for record in self._pilots],
            {} if target is None else target,
            n_train,
            batch_size=batch_size,
            carried=carried(law, predicted.batch_size or 0),
        )
        return Forecast(clock, n_train, predicted, law=law, differences=differences)

    def next_pilot(
        self, n_train: int, clock: str = "tau_val", *, batch_size: BatchSize = None, budget: float = 0.1
    ) -> NextPilot:
        """Find the size whose run would narrow a forecast's interval most per step.

        Args:
            n_train: number of training examples P of the run that is forecast, at least 1.
            clock: which clock.
            batch_size: of that run, as in :meth:`forecast`.
            budget: what the next pilot may cost, as a share of the run that is forecast, above 0.

        Raises:
            ConfigError: as for :meth:`forecast`, or the budget is out of its range.
        """
        refuse_time(self.unit, "pilots are compared by their steps")
        spent = sum(record.last_step * (record.header.batch_size or 1) for record in self._pilots)
        law, n_train = self._forecast_clock(clock), whole_size(n_train)
        return next_pilot(law, n_train, batch_size=batch_size, spent=spent, budget=budget)

    @property
    def _pilots(self) -> list[RunRecord]:
        return [record for record in self.records if record.header.data.n_train not in self.excluded]

    def _forecast_clock(self, clock: str) -> ClockLaw:
        check_forecastable(clock, dict.fromkeys(onset.clock for onset in self.onsets))
        return next(each for each in self.clocks if each.clock == clock)

    @property
    def sizes(self) -> list[int]:
        """The distinct numbers of training examples, ascending; that of the forecast included."""
        of_runs = {record.header.data.n_train for record in self.records}
        return sorted(of_runs | {self.proof.n_train} if self.proof else of_runs)

    @property
    def batch_sizes(self) -> list[int]:
        """The distinct batch sizes, ascending."""
        return sorted({record.header.batch_size for record in self.records})

    @property
    def experiments(self) -> list[str]:
        """The distinct experiments, sorted."""
        return sorted({record.header.name for record in self.records})

    @property
    def headline(self) -> ClockLaw | None:
        """The clock that speaks for the study: the forecast one, that of the phase diagram, or a well-known one."""
        by_name = {clock.clock: clock for clock in self.clocks}
        if self.proof is not None and self.proof.clock in by_name:
            return by_name[self.proof.clock]
        if self.phase is not None and (clock := by_name.get(self.phase.clock)) is not None and clock.drawn:
            return clock
        candidates = [by_name[name] for name in HEADLINE_CLOCKS if name in by_name] + list(self.clocks)
        return next((clock for clock in candidates if clock.drawn), next(iter(candidates), None))

    @cached_property
    def cautions(self) -> tuple[str, ...]:
        """What a reader must know before believing any of it, a sentence each; see :mod:`taumem.analysis.cautions`."""
        return tuple(cautions_of(self.records, self.excluded))

    def unread(self, wanted: Collection[str] = ()) -> Iterator[str]:
        """Say which families of clocks could not be read, and why.

        Args:
            wanted: the families to speak of; empty for all that concern the data.
        """
        yield from untimed(self.records) if self.unit == "effective_time" else ()
        yield from unread(self.records, {onset.clock for onset in self.onsets}, wanted)

    def without_law(self, exponent: Exponent = None) -> Iterator[str]:
        """Say which clocks have no law with this exponent, and why: once for all that lack the same."""
        levels = {boundary.clock for boundary in self.phase.boundaries} if self.phase else set()
        reasons = {clock: why for clock, why in self.fits(exponent)[1].items() if clock in levels}
        return without_law(self.clocks, exponent, reasons)

    def missing(self) -> Iterator[str]:
        """Say, one sentence each, which questions could not be asked, and why."""
        yield from (*self.unread(), *self.without_law())
        yield from (*of_the_diagram(self.phase, self.no_phase), *unvaried(self.records))
        if self.proof is None:
            yield "No forecast was handed in, so none is held against a measurement."

    def to_json(self, exponent: Exponent = None) -> dict[str, Any]:
        """Plain facts for a JSON file: onsets, laws, the order of the clocks and phases.

        Args:
            exponent: of the laws, as in :meth:`fits`.
        """
        laws, reasons = self.fits(exponent)
        return {
            "unit": self.unit,
            "confidence": self.confidence,
            "cautions": list(self.cautions),
            "exponents": {clock: law.to_json()["exponent"] for clock, law in laws.items()},
            "laws": {clock: law.to_json() for clock, law in laws.items()},
            "not_fitted": reasons,
            "onsets": [onset.to_json() for onset in self.onsets],
            "order": [each.to_json() for each in self.order],
            **(self.phase.to_json() if self.phase else {}),
        }
