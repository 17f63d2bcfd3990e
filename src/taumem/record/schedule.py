"""The learning rate over training, as a share of its highest: a warm-up, then constant or falling to zero."""

import math
from dataclasses import dataclass
from typing import Literal

from taumem.errors import ConfigError

__all__ = ["RateSchedule"]

Decay = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class RateSchedule:
    """What share of the learning rate a step takes.

    Attributes:
        decay: what the rate does after the warm-up: it stays, or falls to zero by half a cosine or a line.
        warmup: steps over which it rises linearly from 0.
        steps: at which it has fallen to zero, and past which it stays there; of no meaning to a constant rate.

    Raises:
        ConfigError: a decay that is not known, a negative warm-up, or a decay without steps past the warm-up.
    """

    decay: Decay = "constant"
    warmup: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        if self.decay not in ("constant", "cosine", "linear"):
            raise ConfigError(f"a rate stays 'constant', or decays by a 'cosine' or 'linear'; got {self.decay!r}.")
        if self.warmup < 0:
            raise ConfigError(f"the warm-up takes at least 0 steps; got {self.warmup}.")
        if self.decay != "constant" and self.steps <= self.warmup:
            raise ConfigError(
                f"a rate that decays needs the step at which it is zero, past the warm-up of {self.warmup} steps; "
                f"got {self.steps}."
            )

    def at(self, step: int) -> float:
        """The share of the highest rate that a step (from 1) takes.

        >>> schedule = RateSchedule("cosine", warmup=2, steps=6)
        >>> schedule.at(1), schedule.at(2), round(schedule.at(3), 2), schedule.at(7)
        (0.5, 1.0, 0.85, 0.0)
        """
        if step < self.warmup:
            return step / self.warmup
        if self.decay == "constant":
            return 1.0
        gone = min((step - self.warmup) / (self.steps - self.warmup), 1.0)
        return (1 + math.cos(math.pi * gone)) / 2 if self.decay == "cosine" else 1 - gone
