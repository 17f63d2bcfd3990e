"""The clock of a curve of means, as trainers log it: the minimum of a held-out loss of which no items are known.

What chance does to such a curve shows in the curve alone: its noise is the jitter of its looks (between neighbors, and
up to half a doubling apart, since jitter that lasts hides from neighbors) and its swings against the course that a loss
should take. What does not show, such as the choice of the held-out items, no interval here can hold.
"""

import math

import numpy as np
from scipy.special import ndtri

from taumem.analysis.clocks.losses import TURNED
from taumem.analysis.course import FEWEST_LOOKS, LASTING, Course
from taumem.analysis.interval import check_confidence
from taumem.analysis.placing import Placed, left_censored, located, right_censored
from taumem.analysis.smoothing import NEIGHBORS, quadratic_smoother
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["lowest_look", "tau_val_mean"]

FINENESS = 0.005
"""Distance in log step at which a smoothed curve is looked at."""


def tau_val_mean(heldout_loss: Curve, *, confidence: float = 0.9, standard_errors: float = TURNED) -> Placed:
    """Find the minimum of a held-out loss of which the means alone are known.

    It is located once the loss has turned: each of the last 3 looks shows the rise, and the last window (half a
    doubling of the steps) is above the lowest one by more than 4 standard errors of the curve's own noise. Until then
    it is right-censored. The minimum is that of the curve smoothed by a local quadratic in log step, as for
    ``tau_val``. Its interval are the steps at which the smoothed curve is not above its lowest for certain, by that
    noise; where it reaches back to the first look, nothing bounds the onset from below.

    Args:
        heldout_loss: at 8 looks or more past step 0.
        confidence: probability of the interval, in (0, 1).
        standard_errors: by how many it must have risen.

    Raises:
        ConfigError: there are too few looks.
    """
    check_confidence(confidence)
    past = heldout_loss.steps > 0
    if past.sum() < FEWEST_LOOKS:
        raise ConfigError(
            f"'{heldout_loss.quantity}': {past.sum()} look(s) past step 0; this clock needs {FEWEST_LOOKS}."
        )
    x = np.log(heldout_loss.steps[past].astype(float))
    course = Course.of_mean(x, heldout_loss.values[past])
    grid = np.linspace(x[0], x[-1], max(2, math.ceil((x[-1] - x[0]) / FINENESS)) + 1)
    smoothed = quadratic_smoother(x, grid) @ course.values
    at = float(grid[np.argmin(smoothed)])
    margin = float(ndtri((1 + confidence) / 2)) * course.noise
    low, high = grid[smoothed <= smoothed.min() + margin][[0, -1]]

    if at >= x[-2] or course.rise <= standard_errors or not course.has_risen_for(LASTING):
        return right_censored(min(float(low), float(x[-2])))
    if at <= x[0]:
        return left_censored(max(float(high), float(x[1])))
    placed = located(at, np.array([low, high]), x, confidence)
    return Placed(placed.step, 0.0 if low <= x[0] else placed.low, placed.high, "no")


def lowest_look(curve: Curve) -> int:
    """The look to keep: that nearest to the minimum of the smoothed curve; of few looks the lowest.

    A look at step 0 has no place on a log axis; it is the one to keep where the loss has only risen since.
    """
    past = curve.steps > 0
    steps, values = curve.steps[past], curve.values[past]
    if len(steps) < NEIGHBORS:
        return int(curve.steps[np.argmin(curve.values)])
    x = np.log(steps.astype(float))
    at = int(np.argmin(quadratic_smoother(x, x) @ values))
    if at == 0 and not past.all() and curve.values[0] < values[0]:
        return int(curve.steps[0])
    return int(steps[at])
