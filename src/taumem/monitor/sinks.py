"""What trackers are told after each look: one flat dict of numbers under ``taumem/``, at the optimizer step."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taumem.analysis.stopping import Verdict
from taumem.errors import TaumemWarning
from taumem.record import Measurement

__all__ = ["Sink", "numbers_of", "tell"]

Sink = Callable[[Mapping[str, float], int], Any]
"""``log(numbers, step)``; an object with such a method ``log`` does as well."""

OF_A_TIME = {"train_loss": "train", "heldout_loss": "heldout"}
CHANCE = {"copy_fraction_chance": "copy_fraction_null"}


def numbers_of(measurements: Sequence[Measurement], verdict: Verdict, stop_step: float | None) -> dict[str, float]:
    """Name the numbers of a look as trackers show them.

    ``taumem/train_loss``, ``taumem/heldout_loss``, ``taumem/gap`` and ``taumem/gap_se``, ``taumem/loss_t/0.35/train``,
    ``taumem/copy_fraction`` beside ``taumem/copy_fraction_null`` (what chance gives), metrics by their own names;
    ``taumem/samples_seen`` where the batch size is known; ``taumem/onset_step`` once a rule has said stop, and
    ``taumem/forecast_stop_step`` where there is a forecast.

    Args:
        measurements: of one look.
        verdict: up to that look.
        stop_step: the step that a forecast named.
    """
    numbers: dict[str, float] = {}
    for m in measurements:
        if m.t is None:
            numbers[f"taumem/{CHANCE.get(m.quantity, m.quantity)}"] = m.value
        elif m.quantity in OF_A_TIME:
            numbers[f"taumem/loss_t/{m.t:g}/{OF_A_TIME[m.quantity]}"] = m.value
        if m.quantity == "gap" and m.t is None and m.se is not None:
            numbers["taumem/gap_se"] = m.se
        if m.examples:
            numbers["taumem/samples_seen"] = float(m.examples)
    if verdict.stop and verdict.since is not None:
        numbers["taumem/onset_step"] = float(verdict.since)
    if stop_step is not None:
        numbers["taumem/forecast_stop_step"] = float(stop_step)
    return numbers


def tell(sinks: Sequence[Any], numbers: Mapping[str, float], step: int, *, strict: bool) -> list[str]:
    """Hand the numbers of a look to every sink; a tracker that cannot be reached is no reason to look no more.

    Returns:
        What went wrong.

    Warns:
        TaumemWarning: a sink raised; with ``strict`` it raises.
    """
    problems = []
    for sink in sinks:
        try:
            getattr(sink, "log", sink)(dict(numbers), step)
        except Exception as error:
            if strict:
                raise
            problems.append(f"A sink was not told of the look at step {step}: {error}")
            warnings.warn(f"a sink could not be told of step {step}: {error}", TaumemWarning, stacklevel=7)
    return problems
