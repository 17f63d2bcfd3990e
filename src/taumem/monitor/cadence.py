"""When to look: at logarithmically spaced steps, since everything here happens on a logarithmic scale."""

import math
from dataclasses import dataclass

from taumem.errors import ConfigError

__all__ = ["LogCadence"]


@dataclass(frozen=True)
class LogCadence:
    """Steps ``first * 2^(k / per_doubling)``, rounded, for k = 0, 1, 2, ...

    Args:
        first: the first step to look at.
        per_doubling: looks for each doubling of the step; two looks lie a factor 2^(1 / per_doubling) apart.

    >>> LogCadence(first=10, per_doubling=2).steps(until=60)
    [10, 14, 20, 28, 40, 57]
    """

    first: int = 8
    per_doubling: int = 4

    def __post_init__(self) -> None:
        if self.first < 1 or self.per_doubling < 1:
            raise ConfigError(
                f"a cadence needs a first step and looks per doubling of at least 1; "
                f"got {self.first} and {self.per_doubling}."
            )

    def due(self, step: int, since: int | None = None) -> bool:
        """Say whether a step to look at has come after ``since``, up to this step.

        Args:
            step: optimizer steps taken.
            since: the step of the last look, 0 before the first; None asks about this very step alone.

        >>> cadence = LogCadence(first=10, per_doubling=2)
        >>> cadence.due(50), cadence.due(50, since=30), cadence.due(50, since=40)
        (False, True, False)
        """
        return self._latest(step) > max(step - 1 if since is None else since, 0)

    def after(self, step: int) -> int:
        """Give the first step to look at that comes after this one.

        >>> LogCadence(first=10, per_doubling=2).after(40)
        57
        """
        k = 0 if step < self.first else math.floor(self.per_doubling * math.log2(step / self.first))
        while (found := self._step(k)) <= step:
            k += 1
        return found

    def steps(self, until: int) -> list[int]:
        """Give all steps to look at, up to and including ``until``."""
        found: list[int] = []
        k = 0
        while (step := self._step(k)) <= until:
            if not found or step > found[-1]:
                found.append(step)
            k += 1
        return found

    def _latest(self, step: int) -> int:
        """Give the last step to look at, up to this one; 0 before the first."""
        if step < self.first:
            return 0
        k = math.floor(self.per_doubling * math.log2(step / self.first))
        return step if self._step(k + 1) == step else self._step(k)

    def _step(self, k: int) -> int:
        return round(self.first * 2 ** (k / self.per_doubling))
