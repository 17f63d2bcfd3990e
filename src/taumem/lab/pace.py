"""When a run is saved: often enough that a kill loses little, seldom enough that it costs next to nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["SavingPace"]

SHARE = 0.02
"""Of a run's time that saving may cost."""
SECONDS_AT_LEAST = 10.0
"""Between two checkpoints."""


class SavingPace:
    """Says when to save again: once the time since the last saving is so long that another one is a small share of it.

    Args:
        clock: gives the time in seconds, from whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._ended = clock()
        self._took = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self.clock() - self._ended > max(SECONDS_AT_LEAST, self._took / SHARE)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Time what is done inside: the saving."""
        began = self.clock()
        yield
        self._ended = self.clock()
        self._took = self._ended - began
