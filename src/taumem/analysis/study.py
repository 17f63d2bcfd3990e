"""A study: some runs, and all that is read off them, computed once and only when it is asked for."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from taumem.analysis.boundary import level_laws
from taumem.analysis.cautions import cautions_of
from taumem.analysis.clocks.table import check_forecastable
from taumem.analysis.design import SIZE, BatchSize
from taumem.analysis.differences import batch_size_of, differences_of
from taumem.analysis.find import find_onsets
from taumem.analysis.forecast import Forecast
from taumem.analysis.interval import check_confidence
from taumem.analysis.law import Law, whole_size
from taumem.analysis.laws import ClockLaw, forecasting, headline_of
from taumem.analysis.missing import left_out, unread, untimed, unvaried, without_law
from taumem.analysis.onset import Onset, Unit, checked_unit, refuse_time
from taumem.analysis.order import Precedence, order_of
from taumem.analysis.phase import PhaseDiagram, has_levels
from taumem.analysis.pilot_choice import NextPilot, next_pilot
from taumem.analysis.prior import Exponent
from taumem.analysis.reach import carried
from taumem.analysis.settings import check_covariate, settings_of
from taumem.analysis.stopping_price import StoppingPrice
from taumem.analysis.tau_mem import tau_mem_of
from taumem.analysis.twins import checked_runs, each_once, find_twins
from taumem.errors import ConfigError, option
from taumem.record import RunHeader, RunRecord

__all__ = ["Study"]

T = TypeVar("T")


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
        tau_mem: which clock is tau_mem, of the phase diagram and of the price of stopping; empty to choose.
        all_data: the runs that the price of stopping is held against; none for the study's own on the most data.
    """

    records: tuple[RunRecord, ...]
    excluded: frozenset[int] = frozenset()
    proof: Forecast | None = None
    floor: bool = False
    confidence: float = 0.9
    unit: Unit = "steps"
    covariates: tuple[str, ...] = ()
    tau_mem: str = ""
    all_data: tuple[RunRecord, ...] = ()
    _reasons: dict[str, str] = field(default_factory=dict, init=False)

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
        tau_mem: str = "",
        all_data: Iterable[RunRecord] = (),
    ) -> "Study":
        """Bring runs together as they stand now; what is measured later belongs to another study.

        Args:
            records: of one study, in any order.
            excluded: training-set sizes to keep out of the fits, such as the one that was forecast.
            proof: what was forecast, if anything, and what was measured.
            floor: also fit tau_0 in each law.
            confidence: probability of every interval, in (0, 1).
            unit: of onsets and laws; in effective time, runs whose time was not measured have none.
            covariates: settings that the laws' tau also depends on (see :func:`taumem.analysis.fit_law`).
            tau_mem: which clock is tau_mem; empty to choose.
            all_data: the runs that the price of stopping is held against, those on the most data; none for the study's.

        Raises:
            ConfigError: these are no runs, two are the same half of a pair, or there is no such unit; or what is asked
                for by name cannot be had: a covariate that is no setting of the runs or the same in all, a tau_mem that
                none of them has or nothing rests on, runs on all data that give no price of stopping.
        """
        check_confidence(confidence)
        records = list(each_once(record.as_it_stands() for record in checked_runs(records)))
        find_twins(records)
        ordered = sorted(records, key=lambda record: record.header.key.order)
        full = tuple(each_once(record.as_it_stands() for record in checked_runs(all_data)))
        unit, covariates = checked_unit(unit), tuple(covariates)
        study = cls(tuple(ordered), frozenset(excluded), proof, floor, confidence, unit, covariates, tau_mem, full)
        study._check_asked()
        return study

    def __repr__(self) -> str:
        return f"<Study of {len(self.records)} runs of {', '.join(self.experiments) or 'nothing'}, P = {self.sizes}>"

    def excluding(self, sizes: Collection[int], proof: Forecast | None = None) -> "Study":
        """The same runs with these sizes kept out of every fit, and a forecast; onsets are not found again."""
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
        found = self.hierarchy if has_levels(self.records) else None
        onsets = [o for o in self.onsets if not found or o.clock not in {b.clock for b in found.boundaries}]
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
        """The laws with this exponent (None: free) by clock, and for each clock without one the reason."""
        laws = {clock.clock: law for clock in self.clocks if (law := clock.law(exponent)) is not None}
        reasons = {clock.clock: why for clock in self.clocks if (why := clock.why_not(exponent))}
        of_levels, lacking = level_laws(self.hierarchy.boundaries if self.hierarchy else (), exponent)
        return laws | of_levels, reasons | lacking

    @cached_property
    def phase(self) -> PhaseDiagram | None:
        """The phase diagram over (P, steps), or over a covariate where all runs are of one size; None without one."""
        over = self.covariates[0] if len(self.sizes) == 1 and self.covariates else SIZE
        has_own = has_levels(self.records) or bool(self.covariates)
        laws = {} if has_own else {clock.clock: clock for clock in self.clocks}
        return self._asked("phase diagram", PhaseDiagram.of, over=over, floor=self.floor, laws=laws)

    @property
    def hierarchy(self) -> PhaseDiagram | None:
        """The phase diagram, where it is of data with known levels."""
        return self.phase if self.phase is not None and self.phase.depth else None

    @cached_property
    def price(self) -> StoppingPrice | None:
        """What it costs to stop at tau_mem, against the same network on all data; None where nothing tells."""
        return self._asked("price of stopping", StoppingPrice.of, all_data=self.all_data)

    @property
    def lacking(self) -> dict[str, str]:
        """Why there is no phase diagram, and no price of stopping, by these words; empty where there are both."""
        return self._reasons if self.records and (self.phase, self.price) else {}

    def _check_asked(self) -> None:
        """Refuse what was asked for by name and cannot be had; what was not may be lacking, with a reason."""
        if self.covariates:
            settings = [*map(settings_of, self._pilots), *(onset.settings for onset in self.onsets)]
            for name in self.covariates:
                check_covariate(name, settings)
        if self.tau_mem:
            tau_mem_of(self.onsets, self.tau_mem)
        if len(self.sizes) == 1 and self.covariates and self.phase is None:
            raise ConfigError(f"{option('covariates', 'covariate')}: {self._reasons['phase diagram']}")
        if self.all_data and self.price is None:
            raise ConfigError(f"{option('all_data')}: {self._reasons['price of stopping']}")
        if self.tau_mem and self.phase is None and self.price is None:
            whys = "; ".join(f"no {what}: {why.rstrip('.')}" for what, why in self._reasons.items())
            raise ConfigError(f"{option('tau_mem')}: nothing here rests on {self.tau_mem}; {whys}.")

    def _asked(self, what: str, make: Callable[..., T], **more: Any) -> T | None:
        shared: dict[str, Any] = {"excluded": self.excluded, "confidence": self.confidence, "clock": self.tau_mem}
        try:
            refuse_time(self.unit, "it is of steps")
            return make(self.records, self.onsets, **shared, **more)
        except ConfigError as error:  # runs of several data sets, say, still have clocks
            self._reasons[what] = str(error)
            return None

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
            clock: whose onset is forecast.
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
            n_train: of the run that is forecast, as in :meth:`forecast`.
            clock: as in :meth:`forecast`.
            batch_size: as in :meth:`forecast`.
            budget: what the next pilot may cost, as a share of the run that is forecast, above 0.

        Raises:
            ConfigError: as for :meth:`forecast`, or the budget is out of its range.
        """
        refuse_time(self.unit, "pilots are compared by their steps")
        spent = sum(record.last_step * (record.header.batch_size or 1) for record in self._pilots)
        return next_pilot(
            self._forecast_clock(clock), whole_size(n_train), batch_size=batch_size, spent=spent, budget=budget
        )

    @property
    def _pilots(self) -> list[RunRecord]:
        return [record for record in self.records if record.header.data.n_train not in self.excluded]

    def _forecast_clock(self, clock: str) -> ClockLaw:
        check_forecastable(clock, dict.fromkeys(onset.clock for onset in self.onsets))
        return next(each for each in self.clocks if each.clock == clock)

    @property
    def sizes(self) -> list[int]:
        """The distinct numbers of training examples, ascending; that of the forecast included."""
        forecast = {self.proof.n_train} if self.proof else set()
        return sorted({record.header.data.n_train for record in self.records} | forecast)

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
        forecast = self.proof.clock if self.proof is not None else ""
        return headline_of(self.clocks, forecast, self.hierarchy.clock if self.hierarchy else "")

    @cached_property
    def cautions(self) -> tuple[str, ...]:
        """What a reader must know before believing any of it, a sentence each; see :mod:`taumem.analysis.cautions`."""
        return tuple(cautions_of(self.records, self.excluded))

    def unread(self, wanted: Collection[str] = ()) -> Iterator[str]:
        """Say which families of clocks could not be read, and why; ``wanted`` ones, or all that concern the data."""
        without_time = untimed(self.records) if self.unit == "effective_time" else ()
        yield from (*without_time, *unread(self.records, {onset.clock for onset in self.onsets}, wanted))

    def without_law(self, exponent: Exponent = None) -> Iterator[str]:
        """Say which clocks have no law with this exponent, and why: once for all that lack the same."""
        boundaries = self.hierarchy.boundaries if self.hierarchy else ()
        return without_law(self.clocks, exponent, level_laws(boundaries, exponent)[1])

    def missing(self) -> Iterator[str]:
        """Say, one sentence each, which questions could not be asked, and why."""
        why_not = (f"No {what}: {why}" for what, why in self.lacking.items())
        yield from (*self.unread(), *self.without_law(), *why_not, *left_out(self.phase), *unvaried(self.records))
        if self.proof is None:
            yield "No forecast was handed in, so none is held against a measurement."

    def to_json(self, exponent: Exponent = None) -> dict[str, Any]:
        """Plain facts for a JSON file: onsets, laws with this exponent, order, phases and the price, or why not."""
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
            "stopping_price": self.price.to_json() if self.price else None,
            "lacking": self.lacking,
        }
