"""What it costs to stop at tau_mem for want of data: against the same network on all the data.

A run on P examples must stop at its tau_mem, at the last look before that. What it can do there is held against a run
on the most data, seed by seed and on the same held-out items: at the same look (the same compute), and at that run's
best, the look of its lowest held-out loss; chosen by the items that it is judged by, which flatters it a little.

Of data with a known hierarchy, :mod:`taumem.analysis.price` says beside that what was learned by then.

Reference: a referee's question to Favero, Sclocchi and Wyart 2025, arXiv 2505.16959: the quality at tau_mem, against
that of the model trained on the full data.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taumem.analysis.interval import Interval
from taumem.analysis.looked_up import PAIRED, Looked, difference_of, looked_up
from taumem.analysis.onset import Onset
from taumem.analysis.price import mean_over_runs
from taumem.analysis.price_law import PriceLaw, fit_price_law
from taumem.analysis.regions import last_look_before, looks_of
from taumem.analysis.tau_mem import tau_mem_of
from taumem.errors import ConfigError
from taumem.record import RunRecord

__all__ = ["COMPARED", "LOSS", "Cost", "PriceAtSize", "StoppingPrice"]

LOSS = PAIRED
COMPARED = (
    LOSS,
    "heldout_loss_above_exact",
    "heldout_bits",
    "heldout_frechet",
    "heldout_precision",
    "heldout_recall",
    "dictionary_words",
    "novel_valid",
    "validity",
)
"""What a model can do, as far as it was measured: the loss that all have, then likelihood and quality."""


@dataclass(frozen=True)
class Cost:
    """One quantity at one size: what the models had when they had to stop, and what is lost.

    Attributes:
        quantity: its name.
        at_stop: its value at the last look before tau_mem.
        same_look: that less the value of the run on all data at the same step; None for the runs on all data, or where
            these were not trained so far.
        best: that less the value of the run on all data at its best; None where nothing was measured by then.
    """

    quantity: str
    at_stop: Interval
    same_look: Interval | None
    best: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        named = {"at_stop": self.at_stop, "same_look": self.same_look, "best": self.best}
        return {"quantity": self.quantity} | {name: each and each.to_json() for name, each in named.items()}


@dataclass(frozen=True)
class PriceAtSize:
    """The price at one size.

    Attributes:
        n_train: number of training examples P.
        step: geometric mean over the runs of the looks at which they had to stop, in steps.
        costs: of each quantity that was measured. Means over the seeds (the twins of a seed count as one); the mean of
            the 95 % sampling errors, paired by item where items were kept, in quadrature with the t interval of the
            seeds' scatter.
        n_runs: runs that have such a look.
        n_reached: of them, those that went on until tau_mem; of others the last look stands in.
        n_left_out: runs that had reached it by their first look.
    """

    n_train: int
    step: float
    costs: tuple[Cost, ...]
    n_runs: int
    n_reached: int
    n_left_out: int

    def cost(self, quantity: str) -> Cost | None:
        """That of a quantity; None where it was not measured."""
        return next((cost for cost in self.costs if cost.quantity == quantity), None)

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        return {**self.__dict__, "costs": [cost.to_json() for cost in self.costs]}


@dataclass(frozen=True)
class StoppingPrice:
    """The price of stopping at tau_mem, by size.

    Attributes:
        clock: which clock is tau_mem.
        all_data: P of the runs that the others are held against.
        best_step: geometric mean of the steps at which these were at their best.
        is_apart: whether these were named, rather than being the study's own on the most data.
        sizes: by size, ascending.
        law: of the held-out loss at tau_mem; None where it cannot be fitted.
        no_law: why not; empty if there is one.
    """

    clock: str
    all_data: int
    best_step: float
    is_apart: bool
    sizes: tuple[PriceAtSize, ...]
    law: PriceLaw | None
    no_law: str

    @classmethod
    def of(
        cls,
        records: Sequence[RunRecord],
        onsets: Sequence[Onset],
        *,
        clock: str = "",
        all_data: Sequence[RunRecord] = (),
        excluded: Collection[int] = frozenset(),
        confidence: float = 0.9,
    ) -> "StoppingPrice":
        """Hold each run, where it had to stop, against one on all data.

        Args:
            records: runs of one experiment, at any sizes and seeds.
            onsets: what :func:`taumem.analysis.find_onsets` found in them.
            clock: which clock is tau_mem; empty to choose (:func:`taumem.analysis.tau_mem.tau_mem_of`).
            all_data: the runs on all data; none for those of ``records`` on the most data.
            excluded: sizes to keep out of the law.
            confidence: of the law's intervals, in (0, 1); those of the costs are 95 %.

        Raises:
            ConfigError: no clock, one size alone and no run on all data, or runs that differ in their data, batch size
                or weights.
        """
        clock = tau_mem_of(onsets, clock)
        stops = list(_stops(records, onsets, clock))
        most = max((record.header.data.n_train for record in records), default=0)
        full = list(all_data) or [record for record in records if record.header.data.n_train == most]
        _check(records, full, clock, stops)
        best = {id(record): _best_step(record) for record in full}
        law, no_law = _law([stop for stop in stops if stop.n_train not in excluded], confidence)
        return cls(
            clock=clock,
            all_data=max(record.header.data.n_train for record in full),
            best_step=_geometric_mean(list(best.values())),
            is_apart=bool(all_data),
            sizes=tuple(
                _at_size([s for s in stops if s.n_train == size], lambda r: _partner(r, full), best)
                for size in sorted({stop.n_train for stop in stops if stop.step is not None})
            ),
            law=law,
            no_law=no_law,
        )

    @property
    def quantities(self) -> list[str]:
        """What was compared, in the order of :data:`COMPARED`."""
        found = {cost.quantity for size in self.sizes for cost in size.costs}
        return [quantity for quantity in COMPARED if quantity in found]

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        nested = {"sizes": [size.to_json() for size in self.sizes], "law": self.law and self.law.to_json()}
        return {**self.__dict__, **nested}


@dataclass(frozen=True)
class _Stop:
    """Where a run had to stop; None where it had reached tau_mem by its first look."""

    record: RunRecord
    step: int | None
    reached: bool

    @property
    def n_train(self) -> int:
        return self.record.header.data.n_train


def _stops(records: Sequence[RunRecord], onsets: Sequence[Onset], clock: str) -> Iterator[_Stop]:
    own = {onset.run: onset for onset in onsets if onset.clock == clock}
    for record in records:
        key, steps = record.header.key, looks_of(record, LOSS)
        onset = own.get(key, own.get(key.pair))
        if onset is not None and steps:
            yield _Stop(record, last_look_before(onset, steps), onset.censored != "right")


def _check(records: Sequence[RunRecord], full: Sequence[RunRecord], clock: str, stops: Sequence[_Stop]) -> None:
    if not stops:
        raise ConfigError(f"a price of stopping needs a held-out loss and {clock or 'a tau_mem'} of one run at least.")
    headers = [record.header for record in (*records, *full)]
    facts: dict[str, set[object]] = {
        "data set": {header.data.name for header in headers},
        "batch size": {header.batch_size for header in headers},
        "kind of weights": {header.weights for header in headers},
        "network": {str(header.experiment.get("model")) for header in headers},
    }
    for what, values in facts.items():
        if len(values) > 1:
            listed = ", ".join(sorted(map(str, values)))
            raise ConfigError(f"the price of stopping is of one {what}; these runs have {listed}. Make one of each.")
    if not all(looks_of(record, LOSS) for record in full):
        raise ConfigError(f"the price of stopping needs a run on all data with a {LOSS}; record one with it.")
    if len({header.data.n_train for header in headers}) < 2:
        raise ConfigError("the price of stopping needs runs of two sizes: add one on all the data.")


def _partner(record: RunRecord, full: Sequence[RunRecord]) -> RunRecord:
    """The run on all data that one is held against: of its seed and half, else of its seed, else the first."""
    of_seed = [each for each in full if each.header.seed == record.header.seed] or list(full)
    return next((each for each in of_seed if each.header.half == record.header.half), of_seed[0])


def _best_step(record: RunRecord) -> int:
    curve = record.curve(LOSS)
    steps, values = curve.steps[curve.steps > 0], curve.values[curve.steps > 0]
    return int(steps[int(np.argmin(values))])


def _at_size(stops: Sequence[_Stop], partner: Callable[[RunRecord], RunRecord], best: dict[int, int]) -> PriceAtSize:
    asked = [(stop, stop.step) for stop in stops if stop.step is not None]
    costs = []
    for quantity in COMPARED:
        alone = [(stop.record, looked_up(stop.record, quantity, step)) for stop, step in asked]
        same, against_best = [], []
        for (record, value), (_, step) in zip(alone, asked, strict=True):
            other = partner(record)
            if other is not record and other.last_step >= step:
                same.append((record, difference_of(value, looked_up(other, quantity, step))))
            against_best.append((record, difference_of(value, looked_up(other, quantity, best[id(other)]))))
        if (at_stop := _over_seeds(alone)) is not None:
            costs.append(Cost(quantity, at_stop, _over_seeds(same), _over_seeds(against_best)))
    return PriceAtSize(
        n_train=stops[0].n_train,
        step=_geometric_mean([step for _, step in asked]),
        costs=tuple(costs),
        n_runs=len(asked),
        n_reached=sum(stop.reached for stop, _ in asked),
        n_left_out=len(stops) - len(asked),
    )


def _over_seeds(values: Sequence[tuple[RunRecord, Looked | None]]) -> Interval | None:
    """The mean over the seeds, in each of which twins count as one; None without values."""
    of_seed: dict[int, list[Looked]] = {}
    for record, value in values:
        if value is not None:
            of_seed.setdefault(record.header.seed, []).append(value)
    if not of_seed:
        return None
    rows = [(np.mean([v.value for v in own]), np.mean([v.se for v in own])) for own in of_seed.values()]
    return mean_over_runs(*np.array(rows, dtype=float).T)


def _law(stops: Sequence[_Stop], confidence: float) -> tuple[PriceLaw | None, str]:
    """That of the loss where runs stopped, those that never reached tau_mem left out; twins count as one run."""
    losses: dict[tuple[int, int], list[float]] = {}
    for stop in stops:
        if stop.step is not None and stop.reached and (value := looked_up(stop.record, LOSS, stop.step)) is not None:
            losses.setdefault((stop.n_train, stop.record.header.seed), []).append(value.value)
    try:
        means = [float(np.mean(own)) for own in losses.values()]
        sizes, seeds = zip(*losses, strict=True) if losses else ((), ())
        return fit_price_law(sizes, means, seeds, confidence=confidence), ""
    except ConfigError as error:
        return None, str(error)


def _geometric_mean(steps: Sequence[int]) -> float:
    return math.exp(float(np.mean(np.log(steps))))
