"""What it costs to stop at tau_mem for want of data: against the same network on all the data.

A run on P examples must stop at its tau_mem, at the last look before that. What it can do there is held against a run
on all data, the most that there are, seed by seed and on the same held-out items: at the same look (the same compute),
and at that run's best, the look of its lowest held-out loss; chosen by the items that it is judged by, which flatters
it a little.

Of data with a known hierarchy, :mod:`taumem.analysis.price` says beside that what was learned by then.

Reference: a referee's question to Favero, Sclocchi and Wyart 2025, arXiv 2505.16959: the quality at tau_mem, against
that of the model trained on the full data.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taumem.analysis.halts import Halt, check_halts, halts_of, left_out_of, partner_of
from taumem.analysis.interval import Interval
from taumem.analysis.looked_up import PAIRED, Looked, difference_of, looked_up
from taumem.analysis.onset import Onset
from taumem.analysis.price import mean_over_runs
from taumem.analysis.price_law import PriceLaw, fit_price_law
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
        n_reached: of them, those that were seen to reach tau_mem; of others the last look that could show it stands in.
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
        left_out: which runs were left out, and why, a sentence each.
    """

    clock: str
    all_data: int
    best_step: float
    is_apart: bool
    sizes: tuple[PriceAtSize, ...]
    law: PriceLaw | None
    no_law: str
    left_out: tuple[str, ...]

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
            all_data: the runs on all data; none for ``records`` themselves. Those on the most data count.
            excluded: sizes to keep out of the law.
            confidence: of the law's intervals, in (0, 1); those of the costs are 95 %.

        Raises:
            ConfigError: no clock, or one that no run has reached; no run on less than all data; or runs that differ in
                their data, batch size or weights.
        """
        clock = tau_mem_of(onsets, clock)
        given = all_data or records
        most = max((record.header.data.n_train for record in given), default=0)
        full = [record for record in given if record.header.data.n_train == most]
        halts = list(halts_of(records, onsets, clock))
        compared = [halt for halt in halts if halt.n_train < most] if all_data else halts
        check_halts(records, full, clock, halts, compared)
        best = {id(record): _best_step(record) for record in full}
        law, no_law = _law([halt for halt in halts if halt.n_train not in excluded], confidence)
        return cls(
            clock=clock,
            all_data=most,
            best_step=_geometric_mean(list(best.values())),
            is_apart=bool(all_data),
            sizes=tuple(
                _at_size([halt for halt in compared if halt.n_train == size], lambda r: partner_of(r, full), best)
                for size in sorted({halt.n_train for halt in compared if halt.step is not None})
            ),
            law=law,
            no_law=no_law,
            left_out=tuple(left_out_of(all_data, halts, most)),
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


def _best_step(record: RunRecord) -> int:
    curve = record.curve(LOSS)
    steps, values = curve.steps[curve.steps > 0], curve.values[curve.steps > 0]
    return int(steps[int(np.argmin(values))])


def _at_size(halts: Sequence[Halt], partner: Callable[[RunRecord], RunRecord], best: dict[int, int]) -> PriceAtSize:
    asked = [(halt, halt.step) for halt in halts if halt.step is not None]
    costs = []
    for quantity in COMPARED:
        alone = [(halt.record, looked_up(halt.record, quantity, step)) for halt, step in asked]
        same, against_best = [], []
        for (record, value), (_, step) in zip(alone, asked, strict=True):
            other = partner(record)
            if other is not record and other.last_step >= step:
                same.append((record, difference_of(value, looked_up(other, quantity, step))))
            against_best.append((record, difference_of(value, looked_up(other, quantity, best[id(other)]))))
        if (at_stop := _over_seeds(alone)) is not None:
            costs.append(Cost(quantity, at_stop, _over_seeds(same), _over_seeds(against_best)))
    return PriceAtSize(
        n_train=halts[0].n_train,
        step=_geometric_mean([step for _, step in asked]),
        costs=tuple(costs),
        n_runs=len(asked),
        n_reached=sum(halt.reached for halt, _ in asked),
        n_left_out=len(halts) - len(asked),
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


def _law(halts: Sequence[Halt], confidence: float) -> tuple[PriceLaw | None, str]:
    """That of the loss where runs stopped, those that never reached tau_mem left out; twins count as one run."""
    losses: dict[tuple[int, int], list[float]] = {}
    for halt in halts:
        if halt.step is not None and halt.reached and (value := looked_up(halt.record, LOSS, halt.step)) is not None:
            losses.setdefault((halt.n_train, halt.record.header.seed), []).append(value.value)
    try:
        means = [float(np.mean(own)) for own in losses.values()]
        sizes, seeds = zip(*losses, strict=True) if losses else ((), ())
        return fit_price_law(sizes, means, seeds, confidence=confidence), ""
    except ConfigError as error:
        return None, str(error)


def _geometric_mean(steps: Sequence[int]) -> float:
    return math.exp(float(np.mean(np.log(steps))))
