"""The price of stopping early: what models could do when they had to stop, before they copied."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from taumem.analysis.interval import Interval
from taumem.analysis.shares import exact_interval
from taumem.record import RunRecord

__all__ = ["Price", "Stop", "mean_over_runs", "price_of"]

CONFIDENCE = 0.95
"""Of the intervals of a price: that of the exact intervals in the records."""

Floats = NDArray[np.float64]
Pool = Callable[[Floats, Floats, Floats], Interval]


@dataclass(frozen=True)
class Price:
    """What models could do when they had to stop: at the last look before copies were seen, at one size.

    A run that ended before copies were seen enters with its last look: what it could do by tau_mem is then at least
    that, as a rule, and ``reached`` is False. A run that copied from its first look on has no look before, and is left
    out.

    Attributes:
        n_train: number of training examples P.
        ratio: P / P*, with P* the sample complexity of the top level.
        step: geometric mean of those looks over the runs, in steps.
        novel_valid: share of samples that are in the language and no training strings. The runs' counts are pooled:
            exact interval, or the t interval of the runs' own shares where that reaches further. None where it was not
            measured.
        grammar_level: the levels that every run had reached, from 0 to L: the lowest over the runs.
        loss_above_exact: held-out loss less the exact floor. Mean over the runs; the mean of their 95 % sampling errors
            (not less: runs may share their held-out items), in quadrature with the t interval of their scatter. None
            where it was not measured.
        n_runs: runs that have such a look.
        n_reached: of them, those that went on until copies were seen.
        n_left_out: runs that copied from their first look on.
    """

    n_train: int
    ratio: float
    step: float
    novel_valid: Interval | None
    grammar_level: int
    loss_above_exact: Interval | None
    n_runs: int
    n_reached: int
    n_left_out: int

    @property
    def reached(self) -> bool:
        """Whether every run went on until copies were seen."""
        return self.n_reached == self.n_runs

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file; None stands for an end that nothing bounds."""
        intervals = {name: getattr(self, name) for name in ("novel_valid", "loss_above_exact")}
        plain = {name: interval and interval.to_json() for name, interval in intervals.items()}
        return {**self.__dict__, **plain, "reached": self.reached}


@dataclass(frozen=True)
class Stop:
    """Where one run had to stop: at its last look before copies were seen, or at its last look of all.

    Attributes:
        record: the run.
        step: of that look.
        grammar_level: how many levels it had reached by then.
        saw_copies: whether it went on until copies were seen.
    """

    record: RunRecord
    step: int
    grammar_level: int
    saw_copies: bool


def price_of(n_train: int, ratio: float, stops: Sequence[Stop], *, n_left_out: int = 0) -> Price:
    """Bring the runs of one size together.

    Args:
        n_train: number of training examples P.
        ratio: P / P*.
        stops: where each run stopped; at least one.
        n_left_out: runs without such a look.
    """
    return Price(
        n_train=n_train,
        ratio=ratio,
        step=math.exp(float(np.mean([math.log(stop.step) for stop in stops]))),
        novel_valid=_over_runs(stops, "novel_valid", _pooled_share),
        grammar_level=min(stop.grammar_level for stop in stops),
        loss_above_exact=_over_runs(stops, "heldout_loss_above_exact", _mean),
        n_runs=len(stops),
        n_reached=sum(stop.saw_copies for stop in stops),
        n_left_out=n_left_out,
    )


def _over_runs(stops: Sequence[Stop], quantity: str, pool: Pool) -> Interval | None:
    """Bring one quantity at these steps together, each run's from its last look up to its step."""
    rows = []
    for stop in stops:
        if quantity in stop.record.quantities:
            curve = stop.record.curve(quantity)
            k = int(np.searchsorted(curve.steps, stop.step, side="right")) - 1
            rows += [(curve.values[k], curve.se[k], curve.counts[k])] if k >= 0 else []
    return pool(*np.array(rows, dtype=float).T) if rows else None


def _pooled_share(values: Floats, _: Floats, counts: Floats) -> Interval:
    hits, n = float(np.round(values * counts).sum()), float(counts.sum())
    value, (low, high) = hits / n, exact_interval(hits, n, CONFIDENCE)
    scatter = _t_reach(_variance(values), len(values))
    return Interval(value, max(0.0, min(low, value - scatter)), min(1.0, max(high, value + scatter)), CONFIDENCE)


def mean_over_runs(values: Floats, se: Floats) -> Interval:
    """The mean of some runs, with the mean of their sampling errors and the t interval of their scatter, in quadrature.

    Args:
        values: of each run.
        se: the standard error of each; the mean is not divided by the root of their number, as runs may share items.
    """
    sampling = float(ndtri((1 + CONFIDENCE) / 2) * np.mean(np.where(np.isfinite(se), se, np.inf)))
    reach, value = math.hypot(sampling, _t_reach(_variance(values), len(values))), float(values.mean())
    return Interval(value, value - reach, value + reach, CONFIDENCE)


def _mean(values: Floats, se: Floats, _: Floats) -> Interval:
    return mean_over_runs(values, se)


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _t_reach(variance: float, n: int) -> float:
    """Half of the t interval of a mean of n values; 0 for one value, whose scatter nothing shows."""
    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(variance / n) if n > 1 else 0.0
