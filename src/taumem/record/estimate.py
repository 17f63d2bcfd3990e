"""What a probe answers (Estimate) and what a run remembers of it (Measurement)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

__all__ = ["Estimate", "Measurement", "Reading"]


class Estimate(BaseModel):
    """One number with its error and its count.

    A number comes with a standard error where it is an average, and with an exact interval where it is a share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: str
    """What was measured, such as ``train_loss`` or ``copy_fraction``."""
    value: float
    t: float | None = Field(default=None, ge=0, le=1)
    """The diffusion time it was measured at; None where it belongs to no single time."""
    se: float | None = None
    """Standard error of the value."""
    low: float | None = None
    """Lower end of an exact interval."""
    high: float | None = None
    """Upper end of that interval."""
    confidence: float | None = Field(default=None, gt=0, lt=1, validate_default=True)
    """Probability that the interval is meant to hold; 0.95 where an interval comes without one."""
    count: int = Field(default=1, ge=0, lt=2**63)
    """How many items the value rests on."""
    items: tuple[float, ...] | None = None
    """The value of each item, where the items are worth keeping (for a bootstrap over items)."""

    @field_validator("se")
    @classmethod
    def _refuse_a_negative_error(cls, se: float | None) -> float | None:
        # NaN passes: that training has diverged is for the record to say.
        if se is not None and se < 0:
            raise ValueError(f"a standard error is at least 0; got {se}")
        return se

    @field_validator("confidence")
    @classmethod
    def _intervals_are_of_95_percent_unless_said(cls, confidence: float | None, info: ValidationInfo) -> float | None:
        # Schema 1 did not write it down, and had no other.
        is_interval = any(info.data.get(end) is not None for end in ("low", "high"))
        return 0.95 if is_interval and confidence is None else confidence

    @property
    def is_finite(self) -> bool:
        """Whether all its numbers are finite: JSON has no others."""
        numbers = (number for number in (self.value, self.se, self.low, self.high) if number is not None)
        return all(map(math.isfinite, numbers)) and all(map(math.isfinite, self.items or ()))


class Measurement(Estimate):
    """An estimate, and when in training it was made: one line of ``measurements.jsonl``."""

    step: int = Field(ge=0, lt=2**63)
    """Optimizer steps taken."""
    examples: int = Field(ge=0, lt=2**63)
    """Training examples seen: the sum of the batch sizes."""
    seconds: float = Field(ge=0)
    """Seconds of wall clock since the run began."""

    @property
    def is_finite(self) -> bool:
        """Whether all its numbers are finite: JSON has no others."""
        return math.isfinite(self.seconds) and super().is_finite

    @property
    def key(self) -> tuple[int, str, float | None]:
        """What makes this line one fact: a run holds each (step, quantity, t) once."""
        return self.step, self.quantity, self.t

    @classmethod
    def of(cls, estimate: Estimate, *, step: int, examples: int, seconds: float) -> "Measurement":
        """Place an estimate in training time."""
        return cls(**estimate.model_dump(), step=step, examples=examples, seconds=seconds)


@dataclass(frozen=True)
class Reading:
    """All that a probe says at one step: its estimates, and arrays worth keeping beside them (such as samples)."""

    estimates: tuple[Estimate, ...]
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict[str, Any])
