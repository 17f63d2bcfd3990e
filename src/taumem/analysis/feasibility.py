"""What pilots will be able to tell, and what they cost: before anything is trained."""

import math
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import median

import numpy as np

from taumem.analysis.law import FAR, Law
from taumem.analysis.laws import ClockLaw
from taumem.analysis.onset import Onset
from taumem.analysis.prior import usual_prior
from taumem.analysis.wording import p_value, percent, plural, sizes_text
from taumem.errors import TaumemWarning
from taumem.record import RunKey

__all__ = ["ROUGH", "SCATTER", "TO_LOCATE", "doubts", "expected_factor", "feasibility", "objections"]

SCATTER = 0.2
"""Standard deviation of log onsets around one law that a feasibility line assumes; docs/pilots.md has what was seen."""
TO_LOCATE = 3.0
"""How many onsets long a pilot is, on average: a minimum is known once the loss has risen (see docs/pilots.md)."""
ROUGH = 32
"""Where the largest pilot is no larger, onsets are as much those of the first learning as of memorization."""
ENOUGH_SIZES = 3
"""Sizes from which on it can be seen whether one law holds."""
N_STUDIES = 21
"""Of made up pilots, of whose intervals the median width is told."""
STEPS_PER_EXAMPLE = 15.0
"""Of the made up pilots; the factor does not depend on it."""
SEED = 20_261_129


def expected_factor(sizes: Sequence[int], repeats: int, n_train: int) -> float:
    """Within which factor a forecast can be expected to be: half the width of its 90 % interval, on a log axis.

    The median over made up studies, which are put through the same fit as real ones: onsets lie around a law whose
    exponent is drawn from what forecasts assume, with a scatter of ``SCATTER``. It is the width that an interval will
    have where one law holds; where it does not, no number of pilots tells.

    Args:
        sizes: numbers of training examples of the pilots.
        repeats: pilots of each size.
        n_train: number of training examples to forecast.

    Returns:
        The factor; infinite where a single pilot makes no law.

    >>> expected_factor((10, 20), 4, 40) < expected_factor((10, 20), 2, 40) < expected_factor((10,), 2, 40)
    True
    """
    return _expected_factor(tuple(map(int, sizes)), repeats, n_train)


@lru_cache(maxsize=32)
def _expected_factor(sizes: tuple[int, ...], repeats: int, n_train: int) -> float:
    if len(sizes) * repeats < 2:
        return math.inf
    draws = np.random.default_rng(SEED)
    mean, sd = usual_prior().exponent
    widths = []
    for _ in range(N_STUDIES):
        exponent = mean + sd * draws.standard_normal()
        residuals = SCATTER * draws.standard_normal((len(sizes), repeats))
        onsets = tuple(
            _made_up(size, repeat, STEPS_PER_EXAMPLE * size**exponent * math.exp(residual))
            for size, row in zip(sizes, residuals, strict=True)
            for repeat, residual in enumerate(row.tolist())
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TaumemWarning)
            forecast = ClockLaw("tau_val", onsets, onsets).forecasting().predict(n_train, confidence=0.9)
        widths.append(math.sqrt(forecast.high / forecast.low))
    return median(widths)


def _made_up(size: int, repeat: int, step: float) -> Onset:
    within = math.exp(1.645 * SCATTER)  # its 90 % interval says how it scatters, as those of real onsets do
    return Onset(step, step / within, step * within, "no", "tau_val", RunKey(n_train=size, batch_size=1, seed=repeat))


def feasibility(
    sizes: Sequence[int], repeats: int, n_train: int, left_out: tuple[int, int], units: str = "items"
) -> str:
    """Say what pilots can tell and what they cost.

    Args:
        sizes: numbers of training examples of the pilots, ascending.
        repeats: pilots of each size.
        n_train: number of training examples of all data.
        left_out: how many items are held out of a pilot, at least and at most.
        units: what is counted: items, or groups of them.
    """
    factor = expected_factor(sizes, repeats, n_train)
    cost = TO_LOCATE * repeats * sum(sizes) / n_train
    few, many = left_out
    held = f"{few}" if few == many else f"{few} to {many}"
    of = "" if units == "items" else " items"
    times = "" if repeats == 1 else f", {repeats} of each"
    if math.isinf(factor):
        told = "one pilot makes no law, and no forecast: add a size or a repeat"
    else:
        told = (
            f"the forecast at {n_train:,} will be within a factor of about {factor:.2g}, if onsets scatter by "
            f"{percent(SCATTER)} around one law"
        )
    pilots = f"{plural(len(sizes) * repeats, 'pilot')} of {sizes_text(list(sizes))}{times}"
    return (
        f"{n_train:,} {units}: {pilots}, with {held}{of} held out; {told}. The pilots take about {cost:.1f} "
        f"times the steps that all {units} may be trained for."
    )


def doubts(sizes: Sequence[int], n_train: int) -> Iterator[str]:
    """What speaks against a forecast from pilots of these sizes, before they are made.

    Args:
        sizes: numbers of training examples of the pilots, ascending.
        n_train: number of training examples to forecast.
    """
    largest = sizes[-1]
    if n_train > FAR * largest:
        yield (
            f"All {n_train:,} are {n_train / largest:.3g} times the largest pilot; past {FAR:g} times, nothing "
            "that pilots measure speaks for the law. Add a larger one."
        )
    if len(sizes) < ENOUGH_SIZES:
        yield f"{plural(len(sizes), 'size')} only: whether one law holds for all sizes cannot be seen. Add a third."
    if largest <= ROUGH:
        yield (
            f"Pilots end at P = {largest}: from so few, onsets are as much those of the first learning as of "
            "memorization, and the forecast may be early by far."
        )


def objections(law: Law) -> Iterator[str]:
    """What pilots that were made say against the law that their forecast rests on.

    Args:
        law: with the exponent and the floor that forecasts assume.
    """
    if law.is_implausible and law.plausibility is not None:
        yield (
            f"The pilots speak against the law that is assumed ({p_value(law.plausibility, after='p')}): their onsets "
            "grow with P faster or slower than it allows. Add a larger pilot before you rely on the forecast."
        )
    if law.is_bent:  # with a floor, a law bends up: only a bend down speaks against it
        yield "The pilots bend down: onsets grow less and less with P, and the forecast may well be late."
