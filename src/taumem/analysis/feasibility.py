"""What pilots will be able to tell, and what they cost: before anything is trained."""

import math
import warnings
from collections.abc import Sequence

from scipy.special import ndtri

from taumem.analysis.law import USUAL_EXPONENT, read_exponent
from taumem.analysis.laws import ClockLaw
from taumem.analysis.onset import Onset
from taumem.analysis.wording import plural, sizes_text
from taumem.errors import TaumemWarning
from taumem.record import RunKey

__all__ = ["TO_LOCATE", "expected_factor", "feasibility"]

SCATTER = 0.15
"""Standard deviation of log onsets around their law, as in the shipped studies (0.05 to 0.16 there)."""
TO_LOCATE = 2.5
"""How many onsets long a run must be for its onset to be located: a minimum is known once the loss has risen."""
STEPS_PER_EXAMPLE = 15.0
"""Of the made up pilots; the factor does not depend on it."""


def expected_factor(sizes: Sequence[int], repeats: int, n_train: int) -> float:
    """Within which factor a forecast can be expected to be: half the width of its 90 % interval, on a log axis.

    Made up onsets that lie around a law with the usual exponent, as far apart as those of the shipped studies, are put
    through the same fit as real ones.

    Args:
        sizes: numbers of training examples of the pilots.
        repeats: pilots of each size.
        n_train: number of training examples to forecast.

    Returns:
        The factor; infinite where a single pilot makes no law.

    >>> round(expected_factor((10, 20), 2, 40), 1) < round(expected_factor((10,), 2, 40), 1)
    True
    """
    n = len(sizes) * repeats
    if n < 2:
        return math.inf
    exponent, _, _ = read_exponent(USUAL_EXPONENT)
    # As far from the law as so many normal draws are on average, in an order that has no trend in the size.
    residuals = [SCATTER * float(ndtri((k + 0.5) / n)) for k in range(n)]
    order = sorted(range(n), key=lambda k: (k * 7) % n if n % 7 else k % 2)
    onsets = []
    for place, k in enumerate(order):
        size = sizes[place % len(sizes)]
        step = STEPS_PER_EXAMPLE * size ** (exponent or 1.0) * math.exp(residuals[k])
        key = RunKey(n_train=size, batch_size=1, seed=place)
        onsets.append(Onset(step, step / 1.1, step * 1.1, "no", "tau_val", key))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TaumemWarning)
        law = ClockLaw("tau_val", tuple(onsets), tuple(onsets)).forecasting()
        forecast = law.predict(n_train, confidence=0.9)
    return math.sqrt(forecast.high / forecast.low)


def feasibility(
    sizes: Sequence[int], repeats: int, n_train: int, left_out: tuple[int, int], units: str = "items"
) -> str:
    """Say what pilots can tell and what they cost.

    Args:
        sizes: numbers of training examples of the pilots, ascending.
        repeats: pilots of each size.
        n_train: number of training examples of all data.
        left_out: how many are held out of the largest and of the smallest pilot.
        units: what is counted.
    """
    factor = expected_factor(sizes, repeats, n_train)
    cost = TO_LOCATE * repeats * sum(sizes) / n_train
    few, many = left_out
    held = f"{few}" if few == many else f"{few} to {many}"
    times = "" if repeats == 1 else f", {repeats} of each"
    if math.isinf(factor):
        told = "one pilot makes no law, and no forecast: add a size or a repeat"
    else:
        told = f"the forecast at {n_train:,} will be within a factor of about {factor:.2g}"
    pilots = f"{plural(len(sizes) * repeats, 'pilot')} of {sizes_text(list(sizes))}{times}"
    return (
        f"{n_train:,} {units}: {pilots}, with {held} held out; {told}. The pilots take about {cost:.1f} "
        f"times the steps that all {units} may be trained for."
    )
