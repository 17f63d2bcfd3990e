"""The cells over which the posterior of a law is integrated: scatter, floor, and likeness of twins."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIGMA_HIGHEST", "SIGMA_LOWEST", "Grid"]

SIGMA_LOWEST, SIGMA_HIGHEST = 0.01, 2.0
"""The scatter of log tau that the prior admits."""

Floats = NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of sigma, the floor's share of the smallest size's tau, and rho."""

    log_sigma: Range
    floor: Range
    within: Range  # scatter within a pair, as a share of all
    counts: tuple[int, int, int]

    @property
    def size(self) -> float:
        """The volume of all cells."""
        sides = (high - low for low, high in (self.log_sigma, self.floor, self.within) if high > low)
        return math.prod(sides)

    def nodes(self) -> Floats:
        """The middles of the cells, [cells, 3]."""
        return self.inside(np.arange(math.prod(self.counts)), np.full(3, 0.5))

    def where(self, log_mass: Floats) -> "Grid":
        """Over the part of each range in whose cells the mass is."""
        mass = log_mass.reshape(self.counts)
        log_sigma, floor, within = (
            _where_the_mass_is(side, np.moveaxis(mass, axis, 0).reshape(count, -1).max(axis=1))
            for axis, (side, count) in enumerate(
                zip((self.log_sigma, self.floor, self.within), self.counts, strict=True)
            )
        )
        return Grid(log_sigma, floor, within, self.counts)

    def inside(self, cell: NDArray[np.intp], place: Floats) -> Floats:
        """What lies at a place within a cell, from 0 to 1 on each axis: [..., 3]."""
        at = (np.stack(np.unravel_index(cell, self.counts), axis=-1) + place) / self.counts
        low, high = np.array([self.log_sigma, self.floor, self.within]).T
        log_sigma, floor, within = np.moveaxis(low + (high - low) * at, -1, 0)
        # Twins are not closer than half the least scatter, or equal ones would say that there is none of any kind.
        apart = np.clip(SIGMA_LOWEST / 2 / np.exp(log_sigma), within, 1)
        return np.stack([np.exp(log_sigma), floor, 1 - apart**2], axis=-1)


def _where_the_mass_is(within: Range, log_mass: Floats) -> Range:
    """The part of a range in whose cells the mass is, and a cell more on either side."""
    kept = np.flatnonzero(log_mass > log_mass.max() - 16)
    cell = (within[1] - within[0]) / len(log_mass)
    return max(within[0] + cell * (kept[0] - 1), within[0]), min(within[0] + cell * (kept[-1] + 2), within[1])
