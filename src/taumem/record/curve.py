"""One quantity over training, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taumem.record.estimate import Measurement

__all__ = ["Curve"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity over training, as columns of equal length, in the order of the steps.

    ``se``, ``low``, ``high`` and ``confidence`` hold NaN where the probe gave none. ``items`` is the value of each item
    at each step (None where items were not kept): the same items, corrupted by the same noise, at every step.
    """

    quantity: str
    steps: NDArray[np.int64]  # [looks]
    examples: NDArray[np.int64]  # [looks]
    values: Floats  # [looks]
    se: Floats  # [looks]
    low: Floats  # [looks]
    high: Floats  # [looks]
    counts: NDArray[np.int64]  # [looks]
    confidence: Floats | None = None  # [looks], of [low, high]; None where no look has an interval
    items: Floats | None = None  # [looks, items]

    def __len__(self) -> int:
        return len(self.steps)

    def at_steps(self, steps: NDArray[np.int64]) -> "Curve":
        """The part that was measured at these steps."""
        kept = np.isin(self.steps, steps)
        columns = {name: column[kept] for name, column in self.__dict__.items() if isinstance(column, np.ndarray)}
        return Curve(quantity=self.quantity, **columns)

    @classmethod
    def from_measurements(cls, quantity: str, rows: Sequence[Measurement]) -> "Curve":
        """Gather measurements of one quantity into columns."""
        rows = sorted(rows, key=lambda row: row.step)
        items = [row.items for row in rows]
        kept = bool(items) and all(row is not None and len(row) == len(items[0] or ()) for row in items)

        def floats(name: str) -> Floats:
            return np.array([np.nan if (v := getattr(row, name)) is None else v for row in rows], dtype=float)

        def integers(name: str) -> NDArray[np.int64]:
            return np.array([getattr(row, name) for row in rows], dtype=np.int64)

        return cls(
            quantity=quantity,
            steps=integers("step"),
            examples=integers("examples"),
            values=floats("value"),
            se=floats("se"),
            low=floats("low"),
            high=floats("high"),
            counts=integers("count"),
            confidence=confidence if np.isfinite(confidence := floats("confidence")).any() else None,
            items=np.array(items, dtype=float) if kept else None,
        )
