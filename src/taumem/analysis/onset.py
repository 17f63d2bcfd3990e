"""When something set in, by one clock, in one run (or one pair of runs)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from taumem.analysis.interval import finite_or_none
from taumem.analysis.placing import Placed
from taumem.errors import ConfigError
from taumem.record import RunKey

__all__ = ["NOISE", "Onset", "Unit", "checked_unit", "refuse_time"]

Unit = Literal["steps", "effective_time"]
"""What an onset counts: optimizer steps, or the time that they make up (``docs/unit.md``)."""
NOISE = "noise"
"""A setting of onsets in effective time: the heat of the weights until then, times sqrt(P) (``docs/unit.md``)."""


def checked_unit(unit: Unit) -> Unit:
    """The unit, if there is such a one.

    Raises:
        ConfigError: there is not.
    """
    if unit not in get_args(Unit):
        raise ConfigError(f"onsets are counted in {' or '.join(get_args(Unit))}; got {unit!r}.")
    return unit


def refuse_time(unit: Unit, why: str) -> None:
    """Refuse effective time where only steps make sense.

    Raises:
        ConfigError: the unit is not steps.
    """
    if unit != "steps":
        raise ConfigError(f"{why}: hand over a Study in steps, not in effective time.")


@dataclass(frozen=True)
class Onset(Placed):
    """When something set in, by which clock, and in which run; see :class:`taumem.analysis.placing.Placed`.

    Attributes:
        clock: what was timed, such as ``tau_val`` or ``tau_gap_sym[0.2]``.
        run: the run or the pair of runs it was found in.
        rule: the clock's definition, in a sentence.
        confidence: probability that [low, high] is meant to hold the step, in (0, 1).
        unit: of ``step``, ``low`` and ``high``.
        settings: the numbers of the experiment, by keys such as ``training.learning_rate``; of a pair what both share.
    """

    clock: str
    run: RunKey
    rule: str = ""
    confidence: float = 0.9
    unit: Unit = "steps"
    settings: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)

    @property
    def n_train(self) -> int:
        """Number of training examples P."""
        return self.run.n_train

    @property
    def batch_size(self) -> int:
        """Training examples a step."""
        return self.run.batch_size

    @property
    def seed(self) -> int | None:
        """The run's seed; None where none is known."""
        return self.run.seed

    @property
    def data(self) -> str:
        """The data set's name; empty where none is known."""
        return self.run.data

    @property
    def weights(self) -> str:
        """Which weights were measured, ``raw`` or ``ema``: they are different clocks."""
        return self.run.weights

    @property
    def source(self) -> str:
        """The run or the pair of runs, in words."""
        return str(self.run) if self.run.experiment else ""

    @property
    def examples(self) -> float:
        """Training examples seen at the onset.

        >>> Onset(500, 450, 560, "no", "tau_val", RunKey(n_train=64, batch_size=16)).examples
        8000
        """
        return self.step * self.batch_size if self.unit == "steps" else math.nan

    @property
    def log_bounds(self) -> tuple[float, float]:
        """What is known of the natural logarithm of the step: equal ends if it was located."""
        if self.censored == "no":
            return math.log(self.step), math.log(self.step)
        return math.log(self.low) if self.low > 0 else -math.inf, math.log(self.high)

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file; ``high`` is None where nothing bounds the onset."""
        names = ("clock", "step", "low", "high", "censored", "n_train", "batch_size", "rule", "confidence", "unit")
        facts = {name: getattr(self, name) for name in (*names, "source", "seed", "data", "weights", "examples")}
        return facts | {"high": finite_or_none(self.high), "examples": finite_or_none(self.examples)}
