"""The time that looks take, kept within a share of the time that training takes."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from taumem.errors import ConfigError

__all__ = ["Budget"]


class Budget:
    """Counts the time of looks, and says whether another one can be afforded.

    The first look of a kind may cost more than expected; later ones wait until it is paid for.

    Args:
        share: largest share of wall time that looks may take, in (0, 1]; None for no limit.
        clock: gives seconds.

    Attributes:
        spent: seconds of looks so far.
        waits: looks that had to wait.

    Raises:
        ConfigError: a share out of its range.
    """

    def __init__(self, share: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if share is not None and not 0 < share <= 1:
            raise ConfigError(
                f"budget is the largest share of wall time that looks may take, above 0 and at most 1, or None for no "
                f"limit; got {share}."
            )
        self.share = share
        self.spent = 0.0
        self.waits = 0
        self._clock = clock
        self._before = 0.0
        self._began: tuple[float, int] | None = None
        self._costs: dict[str, float] = {}

    def begin(self, step: int) -> None:
        """Start the clock at a step, if it does not run yet."""
        if self._began is None:
            self._began = (self._clock(), step)

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, looks included; those before an interruption too."""
        return self._before + (self._clock() - self._began[0] if self._began else 0.0)

    def affords(self, *kinds: str) -> bool:
        """Whether a look at these kinds of things leaves the share as it should be."""
        if self.share is None:
            return True
        cost = sum(self._costs.get(kind, 0.0) for kind in kinds)
        return self.spent + cost <= self.share * (self.elapsed + cost)

    def steps_to_wait(self, step: int, *kinds: str) -> int:
        """In how many steps a look can be afforded, at the pace of training so far; at least 1."""
        self.waits += 1
        if self.share is None or self._began is None or step <= self._began[1]:
            return 1
        cost = sum(self._costs.get(kind, 0.0) for kind in kinds)
        missing = (self.spent + cost) / self.share - cost - self.elapsed
        pace = (self._clock() - self._began[0]) / (step - self._began[1])
        return max(1, math.ceil(missing / pace)) if pace > 0 else 1

    @contextmanager
    def spending(self, *kinds: str) -> Iterator[None]:
        """Count what is done inside as a look at these kinds of things, the last one the dearest.

        Of several kinds the former are taken to cost what they did before.
        """
        began = self._clock()
        try:
            yield
        finally:
            took = self._clock() - began
            self.spent += took
            if kinds:
                *known, last = kinds
                self._costs[last] = max(took - sum(self._costs.get(kind, 0.0) for kind in known), 0.0)

    def state(self) -> dict[str, Any]:
        """What another process needs to go on counting."""
        return {"spent": self.spent, "elapsed": self.elapsed, "waits": self.waits, "costs": dict(self._costs)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from where another process was."""
        self.spent, self._before = float(state["spent"]), float(state["elapsed"])
        self.waits, self._costs = int(state["waits"]), dict(state["costs"])
        self._began = None
