"""A number with the interval that goes with it."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

from taumem.errors import ConfigError

__all__ = ["Interval", "check_confidence", "finite_or_none"]

VAGUE = 10.0
"""How far apart, as a factor, the ends of an interval may be for it to say something."""


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence of an interval.

    Raises:
        ConfigError: it is not in (0, 1).
    """
    if not (isinstance(confidence, Real) and 0 < confidence < 1):
        raise ConfigError(f"a confidence is a probability between 0 and 1, such as 0.9; got {confidence!r}.")


def finite_or_none(value: float) -> float | None:
    """Write an unknown or unbounded number as JSON can: None.

    >>> finite_or_none(float("inf")), finite_or_none(2.0)
    (None, 2.0)
    """
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Interval:
    """A value and its two-sided interval at a confidence.

    Attributes:
        value: the median.
        low: lower end.
        high: upper end; infinite where nothing bounds it.
        confidence: probability that the interval is meant to hold, in (0, 1).
        batch_size: training examples a step, where the value counts optimizer steps at one batch size; else
            None, or 0 where it is not known.
    """

    value: float
    low: float
    high: float
    confidence: float
    batch_size: int | None = None

    @property
    def examples(self) -> "Interval | None":
        """The same interval in training examples seen instead of steps; None where no batch size is known.

        >>> Interval(100.0, 80.0, 125.0, confidence=0.9, batch_size=16).examples
        Interval(value=1600.0, low=1280.0, high=2000.0, confidence=0.9, batch_size=None)
        """
        return self.times(self.batch_size) if self.batch_size else None

    def times(self, factor: float) -> "Interval":
        """The same interval in another unit.

        Args:
            factor: how many of the other unit one of this is, above 0.
        """
        return Interval(self.value * factor, self.low * factor, self.high * factor, self.confidence)

    @property
    def spans_much(self) -> bool:
        """Whether its ends are so far apart, more than a factor of 10, that it says next to nothing.

        >>> Interval(100.0, 20.0, 300.0, confidence=0.9).spans_much, Interval(1.0, 0.0, 2.0, confidence=0.9).spans_much
        (True, True)
        """
        return self.low <= 0 or self.high > VAGUE * self.low

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file; None stands for an end that nothing bounds."""
        return {
            "value": finite_or_none(self.value),
            "low": finite_or_none(self.low),
            "high": finite_or_none(self.high),
            "confidence": self.confidence,
        }
