"""What is kept of a run, wherever it is kept: the seam between a run's record and the disk."""

from collections.abc import Collection
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from taumem.record.curve import Curve
from taumem.record.estimate import Measurement

__all__ = ["Arrays", "Kept", "Series"]

Series: TypeAlias = tuple[str, float | None]
"""What a curve is of: a quantity, and its diffusion time; None where it belongs to no single time."""

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by name, such as samples and their nearest training items."""


class Kept(Protocol):
    """The measurements of a run, and the arrays kept beside them."""

    @property
    def measurements(self) -> list[Measurement]:
        """All that was measured, in the order in which it was written."""
        ...

    @property
    def steps(self) -> list[int]:
        """The steps at which something was measured, ascending."""
        ...

    @property
    def series(self) -> Collection[Series]:
        """The quantities that were measured, each with its diffusion times."""
        ...

    def curve(self, quantity: str, t: float | None) -> Curve:
        """One of the series over training."""
        ...

    def array_steps(self) -> list[int]:
        """The steps at which arrays were kept, ascending."""
        ...

    def arrays(self, step: int) -> Arrays:
        """The arrays kept at one of these steps."""
        ...
