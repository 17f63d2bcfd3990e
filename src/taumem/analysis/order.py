"""The order of the clocks: by which factor one goes off before or after another, in the same runs.

    log(tau_clock / tau_reference) ~ Normal(log(factor), sigma)      in each run, or each pair of runs

What a run's own training set and seed do to all its clocks cancels. An onset that is only a bound bounds the ratio; of
two bounds that point the same way nothing is known. It is a law without its power of P, so that the factor and its
interval are those of :func:`taumem.analysis.fit_law`, twins included; with a free power the law says whether the order
changes with P.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
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
class Precedence:
    """When one clock goes off, as a multiple of another one's onset.

    Attributes:
        clock: which clock.
        reference: the clock that its onsets are divided by.
        factor: tau_clock / tau_reference, the geometric mean over runs with its interval; None where fewer than two
            ratios are known.
        trend: by how much the exponent of P differs from the reference's, with its interval; None where it cannot be
            told.
        beyond: what every ratio lies above; None where the factor is known, or some ratio has no bound from below.
        n_runs: runs, or pairs of runs, in which something is known of the ratio.
        n_located: those in which it is known, and no bound.
    """

    clock: str
    reference: str
    factor: Interval | None
    trend: Interval | None
    beyond: float | None
    n_runs: int
    n_located: int

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
        By factor, the clocks that are only bounded last; those of which no run knows anything are left out.

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
        _precedence(clock, reference, ratios, confidence)
        for clock, ours in by_clock.items()
        if (not clocks or clock in clocks) and (ratios := _ratios(ours, theirs))
    ]
    return sorted(compared, key=_place)


def _place(one: Precedence) -> tuple[bool, float]:
    return one.factor is None, one.factor.value if one.factor else one.beyond or 0.0


def _precedence(clock: str, reference: str, ratios: Sequence[Onset], confidence: float) -> Precedence:
    law, free = (_law(ratios, exponent, confidence) for exponent in (0.0, None))
    lowest = min(ratio.low for ratio in ratios)
    return Precedence(
        clock,
        reference,
        law.prefactor if law else None,
        free.exponent if free else None,
        lowest if law is None and lowest > 0 else None,
        len(ratios),
        sum(ratio.usable for ratio in ratios),
    )


def _law(ratios: Sequence[Onset], exponent: float | None, confidence: float) -> Law | None:
    try:
        return fit_law(ratios, exponent=exponent, batch_exponent=0.0, confidence=confidence)
    except ConfigError:  # too few of them are known
        return None


def _ratios(ours: Sequence[Onset], theirs: Mapping[RunKey, Onset]) -> list[Onset]:
    """The onsets divided by the reference's in the same run, as onsets that count multiples of it."""
    ratios = []
    for onset in ours:
        if (reference := _bounds_in(onset.run, theirs)) is None:
            continue
        (low, high), (earliest, latest) = _bounds(onset), reference
        low, high = low - latest, high - earliest
        if low == -math.inf and high == math.inf:
            continue
        ratios.append(_as_onset(onset, low, high))
    return ratios


def _bounds(onset: Onset) -> Bounds:
    """What is known of the logarithm of its step; of one between two looks, the middle: ratios are not so fine."""
    return (math.log(onset.step),) * 2 if onset.usable else onset.log_bounds


def _bounds_in(run: RunKey, onsets: Mapping[RunKey, Onset]) -> Bounds | None:
    """What is known of the reference in a run: its own onset, that of its pair, or the mean of its halves."""
    for key in (run, run.pair):
        if key in onsets:
            return _bounds(onsets[key])
    halves = [onsets[half] for name in ("a", "b") if (half := replace(run, half=name)) in onsets]
    if run.half != "ab" or len(halves) < 2:
        return None
    ends = [_bounds(half) for half in halves]
    return sum(low for low, _ in ends) / 2, sum(high for _, high in ends) / 2


def _as_onset(onset: Onset, low: float, high: float) -> Onset:
    ratio = replace(onset, rule="", unit="steps", settings={})
    if low == high:
        return replace(ratio, step=math.exp(low), low=math.exp(low), high=math.exp(high), censored="no")
    if high == math.inf:
        return replace(ratio, step=math.exp(low), low=math.exp(low), high=math.inf, censored="right")
    return replace(ratio, step=math.exp(high), low=math.exp(low), high=math.exp(high), censored="left")
