"""A forecast of a run that has not been made yet, and how near it came."""

import math
from dataclasses import dataclass
from typing import Any

from taumem.analysis.differences import Difference
from taumem.analysis.interval import Interval
from taumem.analysis.law import Law
from taumem.analysis.reach import carried

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
        """In training examples seen, at the run's batch size; None where that is not known."""
        return self.predicted.examples

    @property
    def passes(self) -> Interval | None:
        """In passes over the data, at the run's batch size; None where that is not known.

        >>> Forecast("tau_val", 400, Interval(1000.0, 900.0, 1100.0, confidence=0.9, batch_size=16)).passes.value
        40.0
        """
        return self.examples and self.examples.times(1 / self.n_train)

    @property
    def supported(self) -> tuple[str, ...]:
        """In which units the pilots speak for the number; in none where the run is known to differ from them.

        A run at another batch size, to which the law was carried, does not differ by that.
        """
        if self.law is None or self._named:
            return ()
        return ("steps", "passes") if self._takes_whole_sets else ("steps",)

    @property
    def support(self) -> str:
        """For which of steps, examples and passes the pilots speak, a sentence; empty where there are no pilots."""
        law, batch_size = self.law, self.predicted.batch_size
        if law is None:
            return ""
        if self._named:
            return (
                f"The run differs from the pilots ({', '.join(self._named)}): they speak for none of its steps, "
                "examples and passes, and the numbers are those of a run like theirs."
            )
        if law.unit != "steps":
            return "The pilots speak for effective time, which is taken not to depend on the batch size."
        if self._takes_whole_sets:
            return "The pilots speak for steps with the whole training set, each of which is a pass."
        if not batch_size:
            return "The pilots speak for steps at their batch size, which was not recorded."
        if law.batch_sizes == (batch_size,):
            return (
                f"The pilots speak for steps at batch size {batch_size:,}; examples and passes are these steps counted "
                "otherwise, and hold at no other batch size."
            )
        return f"S{carried(law, batch_size)[1:]}; examples and passes are these steps counted otherwise."

    @property
    def _takes_whole_sets(self) -> bool:
        """Whether the run does as all pilots did."""
        return self.law is not None and self.law.takes_whole_sets and self.predicted.batch_size == self.n_train

    @property
    def _named(self) -> list[str]:
        return [each.name for each in self.differences if each.pilots is not None and not each.is_carried]

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
