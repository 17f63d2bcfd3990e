"""A forecast of a run that has not been made yet, and how near it came."""

import math
from dataclasses import dataclass
from typing import Any

from taumem.analysis.interval import Interval
from taumem.analysis.law import Law

__all__ = ["Forecast"]


@dataclass(frozen=True)
class Forecast:
    """A clock of a run that has not been made yet, and what was measured once it had.

    Attributes:
        clock: what is forecast.
        n_train: number of training examples of the run.
        predicted: in steps, with its interval.
        measured: in steps; None while it is not known, an infinite upper end if the run ended too early.
        law: what the forecast rests on; None if it came from elsewhere.
    """

    clock: str
    n_train: int
    predicted: Interval
    measured: Interval | None = None
    law: Law | None = None

    @property
    def relative_error(self) -> float | None:
        """Forecast over measurement, less 1; None without a located measurement.

        >>> made = Interval(1100.0, 900.0, 1300.0, confidence=0.9)
        >>> seen = Interval(1000.0, 950.0, 1050.0, confidence=0.9)
        >>> round(Forecast("tau_val", 256, made, seen).relative_error, 3)
        0.1
        """
        if self.measured is None or self.measured.low <= 0 or math.isinf(self.measured.high):
            return None
        return self.predicted.value / self.measured.value - 1

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        examples = self.predicted.examples
        return {
            "clock": self.clock,
            "n_train": self.n_train,
            "steps": self.predicted.to_json(),
            "examples": examples and examples.to_json(),
            "law": self.law and self.law.to_json(),
        }
