"""What a law rests on: the onsets of one clock, checked, as the likelihood sees them, and what they say of a bend."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import ndtri, stdtrit

from taumem.analysis.design import Design
from taumem.analysis.interval import Interval
from taumem.analysis.likelihood import Bounds
from taumem.analysis.onset import Onset
from taumem.errors import ConfigError
from taumem.record import RunKey

__all__ = ["SIGNIFICANT", "bend_of", "bounds_of", "checked", "error_of"]

SIGNIFICANT = 0.05
"""Below this probability the data speak against an exponent, or against one for all sizes."""


def checked(onsets: Iterable[Onset], sizes_needed: int, *, free: bool) -> list[Onset]:
    """The onsets, if a law can be fitted to them.

    Args:
        onsets: of one clock, in any order.
        sizes_needed: at how many different sizes 2 or more of them have to be located.
        free: whether fixing the exponent is worth a hint.

    Raises:
        ConfigError: they are no onsets of one clock, unit, data set and kind of weights; batch sizes are known of some
            only; a run of a pair is given twice; or too few were located.
    """
    onsets = list(onsets) if isinstance(onsets, Iterable) else [onsets]
    if not onsets:
        raise ConfigError("a law needs onsets; got none. Give it the runs of at least 2 pilots.")
    if wrong := sorted({type(o).__name__ for o in onsets if not isinstance(o, Onset)}):
        raise ConfigError(f"a law is fitted to onsets, such as find_onsets(runs) gives; got {', '.join(wrong)}.")
    _check_same(onsets, "clock", "a law belongs to one clock; fit each by itself")
    _check_same(onsets, "unit", "fit those in steps and those in effective time by themselves")
    _check_same(onsets, "data", "fit each data set by itself")
    _check_same(onsets, "weights", "raw and averaged weights are different clocks; fit each by itself")
    _check_once(onsets)
    _check_enough(onsets, sizes_needed, free)
    return onsets


def bounds_of(onsets: Sequence[Onset], design: Design) -> Bounds:
    """Onsets as the likelihood sees them, and the design their law has."""
    low, high = np.array([o.log_bounds for o in onsets]).T
    # First the one that is located to a step, if one is: what is known of the other then has a closed form.
    twins = [sorted(pair, key=lambda k: onsets[k].censored != "no") for pair in _alike(onsets) if len(pair) == 2]
    return Bounds(design.rows(onsets), low, high, np.array(twins, dtype=np.intp).reshape(-1, 2))


def error_of(onsets: Sequence[Onset]) -> float:
    """Standard error of the logarithms of the located onsets as their intervals have it, root mean square.

    An interval that is open on one side is read from the other, and none counts for more than a factor of e.

    Returns:
        0 where the onsets came without intervals.
    """
    return math.sqrt(float(np.mean([_error(onset) ** 2 for onset in onsets if onset.usable])))


def _error(onset: Onset) -> float:
    ends = ((onset.low, onset.step), (onset.step, onset.high))
    sides = [math.log(far / near) for near, far in ends if near > 0 and math.isfinite(far)]
    return min(sum(sides) / len(sides) / float(ndtri((1 + onset.confidence) / 2)), 1.0) if sides else 1.0


def bend_of(onsets: Sequence[Onset], design: Design | None = None) -> Interval | None:
    """The change of the exponent from a size to its double: d^2 log tau / (d log P)^2 times log 2; twins count as one.

    Args:
        onsets: of one clock.
        design: of their law; what else it depends on is free beside the bend. None where it depends on P alone.

    Returns:
        With its 95 % t interval; None where some onsets are bounds, or sizes or degrees of freedom are too few.
    """
    if not all(onset.censored == "no" for onset in onsets):
        return None
    pairs = _alike(onsets)
    log_size = np.log([float(onsets[first].n_train) for first, *_ in pairs])
    x, y = log_size - log_size.mean(), np.array([np.mean([math.log(onsets[k].step) for k in pair]) for pair in pairs])
    others = design.rows([onsets[first] for first, *_ in pairs])[:, 1:] if design else np.empty((len(x), 0))
    others = (others - others.mean(axis=0))[:, np.ptp(others, axis=0) > 0]
    terms = np.column_stack([np.ones_like(x), x, x**2, others])
    freedom = len(x) - terms.shape[1]
    if freedom < 1 or len(set(log_size)) < 3 or np.linalg.matrix_rank(terms) < terms.shape[1]:
        return None
    coefficients, *_ = np.linalg.lstsq(terms, y, rcond=None)
    scatter = float(((y - terms @ coefficients) ** 2).sum() / freedom)
    se = math.sqrt(scatter * float(np.linalg.inv(terms.T @ terms)[2, 2]))
    reach = float(stdtrit(freedom, 1 - SIGNIFICANT / 2)) * se
    value, low, high = (2 * math.log(2) * (coefficients[2] + shift) for shift in (0.0, -reach, reach))
    return Interval(float(value), float(low), float(high), 1 - SIGNIFICANT)


def _alike(onsets: Sequence[Onset]) -> list[list[int]]:
    """The places of onsets that belong to one pair of twins; every other run is alone."""
    pairs: dict[RunKey | int, list[int]] = {}
    for k, onset in enumerate(onsets):
        pairs.setdefault(onset.run.pair if onset.run.half in ("a", "b") else k, []).append(k)
    return list(pairs.values())


def _check_same(onsets: Sequence[Onset], name: str, advice: str) -> None:
    found = sorted({getattr(o, name) for o in onsets})
    if len(found) > 1:
        what = name.replace("_", " ")
        raise ConfigError(f"onsets of more than one {what}: {', '.join(map(str, found))}; {advice}.")


def _check_once(onsets: Sequence[Onset]) -> None:
    halves = [o.run for o in onsets if o.run.half in ("a", "b")]
    for run in halves:
        if halves.count(run) > 1:
            raise ConfigError(f"{onsets[0].clock}: {run.label} has more than one onset; give each run once.")


def _check_enough(onsets: Sequence[Onset], sizes_needed: int, free: bool) -> None:
    bad = [o for o in onsets if o.censored == "no" and not (0 < o.step < math.inf)]
    if bad:
        raise ConfigError(
            f"{bad[0].clock}: an onset at step {bad[0].step:g} has no logarithm; expected a step above 0."
        )
    located = [o for o in onsets if o.usable]
    sizes = sorted({o.n_train for o in located})
    if len(located) >= 2 and len(sizes) >= sizes_needed:
        return
    counts = {kind: sum(o.censored == kind for o in onsets) for kind in ("right", "left")}
    came = f"{len(located)} located at {len(sizes)} size(s) ({', '.join(f'P = {s}' for s in sizes) or 'none'})"
    unlocated = f"{counts['right']} not reached when the run ended, {counts['left']} reached before the first look"
    do = "train longer" if counts["right"] else "look earlier" if counts["left"] else "add runs at more sizes"
    wanted = f"2 located onsets at {sizes_needed} or more different sizes" if sizes_needed > 1 else "2 located onsets"
    also = "; or fix the exponent" if free else ""
    raise ConfigError(
        f"{onsets[0].clock}: this law needs {wanted}; of {len(onsets)}, {came}, {unlocated}. "
        f"Try: {do}, or add more sizes{also}."
    )
