"""U-turns: an item is corrupted to a time and denoised again. Does it come back to itself?

Every model brings items back from little noise. One that has learned a training item by heart brings it back from
further away than items that it never saw: the item lies in a basin of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from torch import Tensor

from taumem.analysis.resampling import resampled_means, shares
from taumem.analysis.shares import exact_interval
from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError
from taumem.neighbors import near_duplicates
from taumem.neighbors.comparison import NearestComparison
from taumem.probes.cycling import Restore
from taumem.probes.isolation import undisturbed
from taumem.probes.probe import check_times, items_for
from taumem.randomness import generator_for
from taumem.record import CopyRule, Estimate, Reading
from taumem.shapes import Items

__all__ = ["UTURN_TIMES", "UTurns", "basin_of"]

UTURN_TIMES = (0.2, 0.4, 0.6, 0.8)
"""Diffusion times from which items are sent back, unless said."""
HALF = 0.5
"""Share of the items that come back from the edge of the basin."""
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


class UTurns:
    """Sends training items and held-out items out into noise and back, and counts those that come back to themselves.

    ``uturn_returns``: at each time, the share of the training items that come back; without a time, on average over the
    times. ``uturn_returns_chance``: of held-out items, under the same noise. ``basin`` and ``basin_heldout``: the
    largest time from which half of them come back, in (0, 1), between two times by interpolation; at most the last
    time, and counted from 0, from where all do; with a 95 % bootstrap interval over items.

    An item comes back by the rule of a copy. By a gap ratio, what comes back is nearer to the item than the threshold's
    share of the way to the second nearest one of its set (near-duplicates count as one; the sets are of one size). Of
    symbols, at most the threshold's share of the positions differ. The interval of the average over times is that of
    as many items as there are, which is too wide rather than too narrow.

    Args:
        diffusion: what corrupts.
        train: training items [P, ...]; the first ``n_items`` are asked about, among as many as there are held-out ones.
        heldout: items that the model never saw; likewise.
        restore: brings corrupted items back.
        rule: when an item has come back.
        times: diffusion times, in (0, 1).
        n_items: how many items of each set, at most.
        seed: of the noise, the same for both sets and at every look.

    Raises:
        ConfigError: times out of their range, no items, or fewer than two that are apart under a gap ratio.
        DataError: items that the diffusion cannot corrupt.

    Reference: Garnier-Brun et al. 2026, arXiv 2603.03469 (U-turns of training against held-out items); Verma et al.
    2026 (basins).
    """

    def __init__(
        self,
        diffusion: Diffusion,
        train: Items,
        heldout: Items,
        restore: Restore,
        *,
        rule: CopyRule,
        times: Sequence[float] = UTURN_TIMES,
        n_items: int = 64,
        seed: int = 0,
    ) -> None:
        check_times(times)
        train, heldout = items_for(diffusion, train, "training items"), items_for(diffusion, heldout, "held-out items")
        n = min(len(train), len(heldout))
        if n < 1 or n_items < 1 or train.shape[1:] != heldout.shape[1:]:
            raise ConfigError(
                "U-turns need training and held-out items of one shape, and at least 1 of each to ask about; got "
                f"shapes {tuple(train.shape)} and {tuple(heldout.shape)}, and n_items = {n_items}."
            )
        self.diffusion = diffusion
        self.restore = restore
        self.rule = rule
        self.times = tuple(sorted(times))
        self.n_items = min(n, n_items)
        self.seed = seed
        self.sets = (_Home(train[:n], rule), _Home(heldout[:n], rule))

    @property
    def settings(self) -> dict[str, Any]:
        """The times, the rule, the seed, and how many items of each set are asked about, among how many."""
        n_items = {"asked": self.n_items, "among": len(self.sets[0].items)}
        return {"times": list(self.times), "rule": self.rule.model_dump(), "seed": self.seed, "n_items": n_items}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Send the items of both sets out and back."""
        with undisturbed(denoiser):
            returned = [self._returned(denoiser, home) for home in self.sets]
        names = (("uturn_returns", "basin"), ("uturn_returns_chance", "basin_heldout"))
        return Reading(
            tuple(
                estimate
                for (returns, basin), back in zip(names, returned, strict=True)
                for estimate in (
                    *(_share(returns, row, t) for t, row in zip(self.times, back, strict=True)),
                    _share(returns, back.mean(axis=0)),
                    _basin(basin, back, self.times),
                )
            )
        )

    def _returned(self, denoiser: Denoiser, home: "_Home") -> Floats:
        """1 for each item that comes back from each time, else 0 [times, items]."""
        items = home.items[: self.n_items]
        noise = self.diffusion.noise(items, generator_for(self.seed, "u-turns", device=items.device))
        rows = []
        for place, t in enumerate(self.times):
            xt = self.diffusion.corrupt(items, torch.full((len(items),), t, device=items.device), noise)
            generator = generator_for(self.seed, "u-turns", place, device=items.device)
            rows.append(home.is_back(self.restore(denoiser, xt, t, generator)).cpu().numpy())
        return np.array(rows, dtype=float)


class _Home:
    """Items, and when one of the first has come back."""

    def __init__(self, items: Items, rule: CopyRule) -> None:
        self.items, self.threshold = items, rule.threshold
        self.comparison: NearestComparison | None = None
        if rule.measure == "gap_ratio":
            self.groups = near_duplicates(items, rule.threshold)
            self.comparison = NearestComparison(items, groups=self.groups)

    def is_back(self, returned: Items) -> Bool[Tensor, "n"]:
        n = len(returned)
        if self.comparison is None:
            return (returned != self.items[:n]).flatten(1).double().mean(dim=1) <= self.threshold
        found = self.comparison.compare(returned)
        at_home = self.groups[torch.from_numpy(found.nearest)] == self.groups[:n]
        return at_home.cpu() & torch.from_numpy(found.ratio < self.threshold)


def basin_of(returns: Floats, times: Sequence[float]) -> float:
    """The largest time from which half of the items come back, when fewer come back from further away.

    Args:
        returns: share that comes back from each time [times].
        times: ascending.

    >>> round(basin_of(np.array([1.0, 0.8, 0.2]), [0.2, 0.4, 0.6]), 3)
    0.5
    """
    x = np.array([0.0, *times])
    falling = np.array([1.0, *isotonic_regression(returns, increasing=False).x])
    inside = int((falling >= HALF).sum()) - 1
    if inside == len(x) - 1:
        return float(x[-1])
    above, below = falling[inside], falling[inside + 1]
    return float(x[inside] + (above - HALF) / (above - below) * (x[inside + 1] - x[inside]))


def _share(quantity: str, back: Floats, t: float | None = None) -> Estimate:
    low, high = exact_interval(float(back.sum()), len(back), CONFIDENCE)
    value = float(back.mean())
    return Estimate(quantity=quantity, t=t, value=value, low=low, high=high, confidence=CONFIDENCE, count=len(back))


def _basin(quantity: str, back: Floats, times: Sequence[float]) -> Estimate:
    drawn = [basin_of(row, times) for row in resampled_means(back, shares(back.shape[1]))]
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(
        quantity=quantity,
        value=basin_of(back.mean(axis=1), times),
        low=float(low),
        high=float(high),
        confidence=CONFIDENCE,
        count=back.shape[1],
    )
