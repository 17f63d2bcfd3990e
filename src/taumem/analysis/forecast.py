"""A forecast of a run that has not been made yet, and how near it came."""

import math
from dataclasses import dataclass
from typing import Any

from taumem.analysis.differences import Difference
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
        differences: in what the run differs from the pilots, as far as it was described.
    """

    clock: str
    n_train: int
    predicted: Interval
    measured: Interval | None = None
    law: Law | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def examples(self) -> Interval | None:
        """In training examples seen, at the pilots' batch size; None where that is not known."""
        return self.predicted.examples

    @property
    def passes(self) -> Interval | None:
        """In passes over the data, at the pilots' batch size; None where that is not known.

        >>> Forecast("tau_val", 400, Interval(1000.0, 900.0, 1100.0, confidence=0.9, batch_size=16)).passes.value
        40.0
        """
        return self.examples and self.examples.times(1 / self.n_train)

    @property
    def supported(self) -> tuple[str, ...]:
        """In which units the pilots speak for the number; in none where the run is known to differ from them."""
        if self.law is None or self._named:
            return ()
        return ("steps",) if self.law.batch_size is not None else ("steps", "passes")

    @property
    def support(self) -> str:
        """For which of steps, examples and passes the pilots speak, a sentence; empty where there are no pilots."""
        if self.law is None:
            return ""
        if self._named:
            return (
                f"The run differs from the pilots ({', '.join(self._named)}): they speak for none of its steps, "
                "examples and passes, and the numbers are those of a run like theirs."
            )
        if self.law.batch_size is None:
            return "The pilots speak for steps with the whole training set, each of which is a pass."
        if self.law.batch_size == 0:
            return "The pilots speak for steps at their batch size, which was not recorded."
        return (
            f"The pilots speak for steps at batch size {self.law.batch_size:,}; examples and passes are these steps "
            "counted otherwise, and hold at no other batch size."
        )

    @property
    def _named(self) -> list[str]:
        return [difference.name for difference in self.differences if difference.pilots is not None]

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
        return {
            "clock": self.clock,
            "n_train": self.n_train,
            "steps": self.predicted.to_json(),
            "examples": self.examples and self.examples.to_json(),
            "passes": self.passes and self.passes.to_json(),
            "supported": list(self.supported),
            "support": self.support,
            "differences": [difference.to_json() for difference in self.differences],
            "law": self.law and self.law.to_json(),
        }
