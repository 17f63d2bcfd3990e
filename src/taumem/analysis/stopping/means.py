"""Stop by a held-out loss of which the means alone are known: what a log of another trainer allows."""

import math
from dataclasses import replace

import numpy as np

from taumem.analysis.clocks.losses import TURNED
from taumem.analysis.clocks.means import lowest_look, tau_val_mean
from taumem.analysis.course import FEWEST_LOOKS, LASTING, Course
from taumem.analysis.stopping.losses import rise_seen, too_few
from taumem.analysis.stopping.verdict import Reason, Verdict
from taumem.record import Curve

__all__ = ["FIDELITY", "judge_means"]

FIDELITY = (
    "The interval knows the jitter of this curve and nothing else: the log holds means without the losses of the "
    "items, so how far other held-out items would move the minimum is not in it."
)
"""What a reader of such a verdict must know."""


def judge_means(
    curve: Curve, *, confidence: float = 0.9, standard_errors: float = TURNED, unit: str = "step"
) -> Verdict:
    """Judge a held-out loss that was logged, by the rule of the clock ``tau_val_mean``.

    Args:
        curve: of the means, at any number of looks.
        confidence: probability of the interval, in (0, 1).
        standard_errors: by how many it must have risen: more where one asks at every look.
        unit: what its looks are counted in, in the singular.

    Returns:
        The verdict; with too few looks it is ``not_watched``.
    """
    rule = (
        f"The held-out loss is above its lowest by more than {standard_errors:g} standard errors of the curve's own "
        f"noise, at the last {LASTING} looks at least."
    )
    last = int(curve.steps[-1]) if len(curve) else 0
    so_far = Verdict(False, rule, keep=lowest_look(curve) if len(curve) else None, step=last, not_checked=(FIDELITY,))
    past = curve.steps > 0
    if past.sum() < FEWEST_LOOKS:
        return replace(so_far, not_watched=too_few(int(past.sum())))
    placed = tau_val_mean(curve, confidence=confidence, standard_errors=standard_errors)
    if placed.censored == "right":
        course = Course.of_mean(np.log(curve.steps[past].astype(float)), curve.values[past])
        return replace(so_far, power=rise_seen(course, curve, standard_errors))
    first = int(curve.steps[past][0])
    lowest = f"at {unit} {placed.step:,.0f}" if placed.usable else f"by the first look ({unit} {first:,})"
    return replace(
        so_far,
        stop=True,
        since=round(placed.step),
        interval=(math.floor(placed.low), math.ceil(placed.high)),
        reason=Reason.LOSS_TURNED,
        message=f"The held-out loss was lowest {lowest} and has risen since.",
    )
