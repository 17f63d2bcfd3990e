"""The share of samples that are copies of training items, beside the share that chance alone would give."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from taumem.errors import ConfigError
from taumem.neighbors import distinct_items, gap_ratio, nearest
from taumem.probes.probe import share
from taumem.record import CopyRule, Reading
from taumem.shapes import Items

__all__ = ["Copies"]


class Copies:
    """Counts copies: samples nearer to a training item than a third of the way to the second nearest distinct one.

    ``copy_fraction``: of the samples, with its exact 95 % interval. ``copy_fraction_chance``: of held-out data, which
    copy nothing, under the same rule: the level above which a copy fraction means anything.

    Args:
        train: training items [P, ...]; duplicates among them count as one.
        heldout: items of the same distribution that the model never saw.
        threshold: largest gap ratio (nearest over second nearest distance) of a copy, in (0, 1).
        keep: how many samples to keep in the record, with their nearest training items and gap ratios.

    Raises:
        ConfigError: a threshold outside (0, 1), or fewer than two distinct training items.

    Reference: Yoon et al. 2023; Bonnaire et al. 2025, arXiv 2505.17638, eq. 6.
    """

    def __init__(self, train: Items, heldout: Items, *, threshold: float = 1 / 3, keep: int = 32) -> None:
        if not 0 < threshold < 1:
            raise ConfigError(f"the gap ratio of a copy lies between 0 and 1; got a threshold of {threshold}.")
        self.train = train[distinct_items(train)] if len(train) else train
        if len(self.train) < 2:
            raise ConfigError(f"the gap ratio needs at least 2 distinct training items; got {len(self.train)}.")
        self.threshold = threshold
        self.keep = keep
        self.chance = share("copy_fraction_chance", self._count(heldout)[0], len(heldout)) if len(heldout) else None

    @property
    def copy_rule(self) -> CopyRule:
        """A copy's gap ratio is below the threshold."""
        return CopyRule(measure="gap_ratio", threshold=self.threshold)

    @property
    def settings(self) -> dict[str, Any]:
        """The threshold, and how many distinct training items and held-out items there are."""
        n_items = {"train": len(self.train), "heldout": self.chance.count if self.chance else 0}
        return {"threshold": self.threshold, "n_items": n_items}

    def measure(self, samples: Items) -> Reading:
        """Count the copies among the samples."""
        count, ratios, places = self._count(samples)
        found = share("copy_fraction", count, len(samples))
        return Reading(
            (found,) if self.chance is None else (found, self.chance),
            {
                "samples": samples[: self.keep].half().cpu().numpy(),
                "nearest": self.train[places[: self.keep]].half().cpu().numpy(),
                "gap_ratio": ratios[: self.keep].cpu().numpy(),
            },
        )

    def _count(self, items: Items) -> tuple[int, Float[Tensor, "n"], Int[Tensor, "n"]]:
        """How many are copies, the gap ratio of each, and the place of its nearest training item."""
        distances, places = nearest(items, self.train, k=2)
        ratios = gap_ratio(distances)
        return int((ratios < self.threshold).sum()), ratios, places[:, 0]
