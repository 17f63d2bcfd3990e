"""When something set in, by one clock, in one run (or one pair of runs)."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from taumem.analysis.interval import finite_or_none

__all__ = ["Censoring", "Onset"]

Censoring = Literal["no", "interval", "left", "right"]


@dataclass(frozen=True)
class Onset:
    """When something set in: a step, or the bounds that the checks put on it.

    ``censored`` says how much is known:

    - ``no``: the step was located; [low, high] is its interval at ``confidence``.
    - ``interval``: it lies between two checks, low < onset <= high; ``step`` is their geometric mean.
    - ``left``: it had set in by the first check; low is 0 and ``step`` equals high.
    - ``right``: it had not set in when the run ended; ``step`` equals low and high is infinite. A result, no failure.

    Attributes:
        clock: what was timed, such as ``tau_val`` or ``tau_gap_sym[0.2]``.
        step: optimizer steps.
        low: lower end, in steps.
        high: upper end, in steps; infinite where nothing bounds it.
        censored: see above.
        n_train: number of training examples P.
        batch_size: training examples a step.
        rule: the clock's definition, in a sentence.
        confidence: probability that [low, high] is meant to hold the step, in (0, 1).
        source: the run or runs it was found in.
        seed: their seed; None where none is known.
        data: the data set's name; empty where none is known.
        weights: which weights were measured, ``raw`` or ``ema``: they are different clocks.
    """

    clock: str
    step: float
    low: float
    high: float
    censored: Censoring
    n_train: int
    batch_size: int
    rule: str = ""
    confidence: float = 0.9
    source: str = ""
    seed: int | None = None
    data: str = ""
    weights: str = "raw"

    @property
    def examples(self) -> float:
        """Training examples seen at the onset.

        >>> Onset("tau_val", 500, 450, 560, "no", n_train=64, batch_size=16).examples
        8000
        """
        return self.step * self.batch_size

    @property
    def usable(self) -> bool:
        """Whether the onset has a location, rather than a bound on one side."""
        return self.censored in ("no", "interval")

    @property
    def log_bounds(self) -> tuple[float, float]:
        """What is known of the natural logarithm of the step: equal ends if it was located."""
        if self.censored == "no":
            return math.log(self.step), math.log(self.step)
        return math.log(self.low) if self.low > 0 else -math.inf, math.log(self.high)

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file; ``high`` is None where nothing bounds the onset."""
        return {**self.__dict__, "high": finite_or_none(self.high), "examples": self.examples}
