"""The order of the clocks: by which factor one goes off before or after another, in the same runs.

    log(tau_clock / tau_reference) ~ Normal(log(factor), sigma)      in each run, or each pair of runs

What a run's own training set and seed do to all its clocks cancels. An onset that is only a bound bounds the ratio; of
two bounds that point the same way nothing is known. It is a law without its power of P, so that the factor and its
interval are those of :func:`taumem.analysis.fit_law`, twins included; with a free power the law says whether the order
changes with P.

One ratio has no scatter, and so no interval: it stands as that of one run. Where none is known, the lower ends of the
clock's intervals over the upper ends of the reference's are bounds that all runs agree on.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from taumem.analysis.fitting import fit_law
from taumem.analysis.interval import Interval
from taumem.analysis.law import Law
from taumem.analysis.onset import Onset
from taumem.errors import ConfigError, nearest_name
from taumem.record import RunKey

__all__ = ["Precedence", "order_of"]

Bounds = tuple[float, float]


@dataclass(frozen=True)
class _Ratio:
    """Of one run: an onset that counts multiples of the reference's, and what it surely lies above."""

    onset: Onset
    above: float


@dataclass(frozen=True)
class Precedence:
    """When one clock goes off, as a multiple of another one's onset.

    Attributes:
        clock: which clock.
        reference: the clock that its onsets are divided by.
        factor: tau_clock / tau_reference, the geometric mean over runs with its interval; None where fewer than two
            ratios are known.
        of_one_run: the ratio of the one run in which it is known; None where it is known in none, or in several.
        trend: by how much the exponent of P differs from the reference's, with its interval; None where it cannot be
            told.
        beyond: what the ratio lies above in every run, by the ends of both intervals; None where it is known in one run
            or more, or some run has no bound from below.
        n_runs: runs, or pairs of runs, in which something is known of the ratio.
        n_located: those in which it is known, and no bound.
    """

    clock: str
    reference: str
    factor: Interval | None
    of_one_run: float | None
    trend: Interval | None
    beyond: float | None
    n_runs: int
    n_located: int

    @property
    def typical(self) -> float | None:
        """Where the clock goes off, as a multiple: by the factor, in the one run that tells, or else beyond it."""
        return self.factor.value if self.factor else self.of_one_run or self.beyond

    @property
    def is_told(self) -> bool:
        """Whether the runs say something of the order: no vague factor, nor a bound that lies before the reference."""
        if self.factor is not None:
            return not self.factor.spans_much
        return self.of_one_run is not None or (self.beyond or 0.0) > 1

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file; None for what is not known."""
        intervals = {"factor": self.factor, "trend": self.trend}
        return {**self.__dict__, **{name: each and each.to_json() for name, each in intervals.items()}}


def order_of(
    onsets: Iterable[Onset], reference: str = "tau_val", *, clocks: Collection[str] = (), confidence: float = 0.9
) -> list[Precedence]:
    """Compare the clocks of some runs, from the one that goes off first to the last.

    Args:
        onsets: of one study, such as ``Study.onsets``.
        reference: the clock that the others are held against.
        clocks: which others; empty for all that there are.
        confidence: probability of the intervals, in (0, 1).

    Returns:
        By factor, then those that one run knows, then those that are only bounded; those of which no run knows anything
        are left out.

    Raises:
        ConfigError: none of the onsets is the reference's.
    """
    by_clock: dict[str, list[Onset]] = {}
    for onset in onsets:
        by_clock.setdefault(onset.clock, []).append(onset)
    if reference not in by_clock:
        found = nearest_name(reference, by_clock) if by_clock else "they have no clocks at all."
        raise ConfigError(f"clocks are held against '{reference}', which these runs do not have; {found}")
    theirs = {onset.run: onset for onset in by_clock.pop(reference)}
    compared = [
        _precedence(clock, reference, known, confidence)
        for clock, ours in by_clock.items()
        if (not clocks or clock in clocks) and (known := list(_ratios(ours, theirs)))
    ]
    return sorted(compared, key=_place)


def _place(one: Precedence) -> tuple[bool, bool, float]:
    return one.factor is None, one.of_one_run is None, one.typical or 0.0


def _precedence(clock: str, reference: str, known: Sequence[_Ratio], confidence: float) -> Precedence:
    ratios = [each.onset for each in known]
    located = [ratio.step for ratio in ratios if ratio.usable]
    law, free = (_law(ratios, exponent, confidence) for exponent in (0.0, None))
    lowest = min(each.above for each in known)
    return Precedence(
        clock,
        reference,
        law.prefactor if law else None,
        located[0] if len(located) == 1 else None,
        free.exponent if free else None,
        lowest if lowest > 0 and not located else None,
        len(ratios),
        len(located),
    )


def _law(ratios: Sequence[Onset], exponent: float | None, confidence: float) -> Law | None:
    try:
        return fit_law(ratios, exponent=exponent, batch_exponent=0.0, confidence=confidence)
    except ConfigError:  # too few of them are known
        return None


def _ratios(ours: Sequence[Onset], theirs: Mapping[RunKey, Onset]) -> Iterator[_Ratio]:
    """The onsets divided by the reference's in the same run; those of which nothing is known are left out."""
    for onset in ours:
        if not (references := _references(onset.run, theirs)):
            continue
        (low, high), (earliest, latest) = _bounds(onset), _mean([_bounds(each) for each in references])
        low, high = low - latest, high - earliest
        if low > -math.inf or high < math.inf:
            above = _ends(onset)[0] - _mean([_ends(each) for each in references])[1]
            yield _Ratio(_as_onset(onset, low, high), math.exp(above))


def _bounds(onset: Onset) -> Bounds:
    """What is known of the logarithm of its step; of one between two looks, the middle: ratios are not so fine."""
    return (math.log(onset.step),) * 2 if onset.usable else onset.log_bounds


def _ends(onset: Onset) -> Bounds:
    """The ends of its interval, as logarithms."""
    return math.log(onset.low) if onset.low > 0 else -math.inf, math.log(onset.high)


def _references(run: RunKey, onsets: Mapping[RunKey, Onset]) -> list[Onset]:
    """The reference's onset in a run, or that of its pair, or those of its two halves; none where it has none."""
    for key in (run, run.pair):
        if key in onsets:
            return [onsets[key]]
    halves = [onsets[half] for name in ("a", "b") if (half := replace(run, half=name)) in onsets]
    return halves if run.half == "ab" and len(halves) == 2 else []


def _mean(ends: Sequence[Bounds]) -> Bounds:
    return sum(low for low, _ in ends) / len(ends), sum(high for _, high in ends) / len(ends)


def _as_onset(onset: Onset, low: float, high: float) -> Onset:
    ratio = replace(onset, rule="", unit="steps", settings={})
    if low == high:
        return replace(ratio, step=math.exp(low), low=math.exp(low), high=math.exp(high), censored="no")
    if high == math.inf:
        return replace(ratio, step=math.exp(low), low=math.exp(low), high=math.inf, censored="right")
    return replace(ratio, step=math.exp(high), low=math.exp(low), high=math.exp(high), censored="left")
