"""The share of samples that are copies of training items, beside the share that chance alone would give."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.data.items import as_items, other_scale, refuse_other_scale
from taumem.errors import ConfigError, DataError, TaumemWarning
from taumem.neighbors import distinct_items, near_duplicates
from taumem.neighbors.comparison import NearestComparison
from taumem.neighbors.views import Orbit, orbit
from taumem.probes.probe import chance_of, share
from taumem.record import CopyRule, Reading
from taumem.shapes import Items

__all__ = ["Copies"]


class Copies:
    """Counts copies: samples nearer to a training item than a third of the way to the second nearest distinct one.

    Near-duplicates among the training items count as one, since they would hide copies of each other: the second
    nearest is the nearest item of another group, by :func:`taumem.neighbors.near_duplicates` at the same threshold. The
    settings say how many groups there are; where all items are apart, as many as items.

    ``copy_fraction``: of the samples, with its exact 95 % interval. ``copy_fraction_chance``: of held-out data, which
    copy nothing, under the same rule: the level above which a copy fraction means anything. A held-out item that is a
    near-duplicate of a training item counts there as what it looks like, a copy: new data would look so as often. Where
    pictures of one scene are on both sides, chance is high for that reason; hold out whole scenes.

    It is the count of :func:`taumem.audit`, which says more: which samples are copies, with which certainty.

    Args:
        train: training items [P, ...]; duplicates among them count as one.
        heldout: items of the same distribution that the model never saw.
        threshold: largest gap ratio (nearest over second nearest distance) of a copy, in (0, 1).
        keep: how many samples to keep in the record, with their nearest training items and gap ratios.
        views: of images, in which views they are compared: ``none`` as they are, ``light`` mirrored and relit too,
            ``full`` shifted, turned and cropped too, at some 20 times the cost. Chance is counted in the same views.

    Raises:
        ConfigError: a threshold outside (0, 1), or fewer than two distinct training items.
        DataError: items or samples that are not finite, of another shape or kind, or on another scale.

    Warns:
        TaumemWarning: chance may be above 5 %; or samples seem to be on another scale than the training items.

    Reference: Yoon et al. 2023; Bonnaire et al. 2025, arXiv 2505.17638, eq. 6.
    """

    def __init__(
        self, train: Items, heldout: Items, *, threshold: float = 1 / 3, keep: int = 32, views: Orbit = "none"
    ) -> None:
        if not 0 < threshold < 1:
            raise ConfigError(f"the gap ratio of a copy lies between 0 and 1; got a threshold of {threshold}.")
        train = as_items(train, "training items")
        heldout = as_items(heldout, "held-out items", like=train)
        refuse_other_scale(heldout, train, "held-out items")
        self.places = distinct_items(train) if len(train) else torch.empty(0, dtype=torch.long)
        self.train = train[self.places]
        if len(self.train) < 2:
            raise ConfigError(f"the gap ratio needs at least 2 distinct training items; got {len(self.train)}.")
        self.threshold = threshold
        self.keep = keep
        self.views = views
        self.groups = near_duplicates(self.train, threshold)
        self.comparison = NearestComparison(self.train, groups=self.groups, views=orbit(views))
        self.chance = chance_of("copy_fraction_chance", self._count(heldout)[0], len(heldout)) if len(heldout) else None

    @property
    def copy_rule(self) -> CopyRule:
        """A copy's gap ratio is below the threshold, near-duplicates counted as one."""
        views = None if self.views == "none" else self.views
        return CopyRule(measure="gap_ratio", threshold=self.threshold, near_duplicates="one", views=views)

    @property
    def settings(self) -> dict[str, Any]:
        """The threshold, how many distinct training and held-out items there are, and groups of near-duplicates."""
        n_items = {"train": len(self.train), "heldout": self.chance.count if self.chance else 0}
        seen = {} if self.views == "none" else {"views": self.views}  # a record of before is what it was
        return {"threshold": self.threshold, "n_items": n_items, "n_groups": len(torch.unique(self.groups)), **seen}

    def measure(self, samples: Items) -> Reading:
        """Count the copies among the samples."""
        samples = as_items(samples, "samples", like=self.train, least=1)
        count, ratios, places = self._count(samples)
        self._check_scale(samples, count)
        found = share("copy_fraction", count, len(samples))
        return Reading(
            (found,) if self.chance is None else (found, self.chance),
            {
                "samples": _half(samples[: self.keep]).cpu().numpy(),
                "nearest": _half(self.train[torch.from_numpy(places[: self.keep])]).cpu().numpy(),
                "gap_ratio": ratios[: self.keep],
                "place": self.places[torch.from_numpy(places[: self.keep])].int().cpu().numpy(),
            },
        )

    def _count(self, items: Items) -> tuple[int, NDArray[np.float64], NDArray[np.int64]]:
        """How many are copies, the gap ratio of each, and the place of its nearest training item."""
        found = self.comparison.compare(items)
        return int((found.score < self.threshold).sum()), found.ratio, found.nearest

    def _check_scale(self, samples: Items, count: int) -> None:
        if (way := other_scale(samples, self.train)) is None:
            return
        seen = f"the samples lie in {way.source}, and the training items in {way.target}"
        advice = f"bring them to one scale: {way.formula}."
        if self._count(way.rescale(samples))[0] > count:
            raise DataError(f"{seen}; {advice}")
        # A model that has not learned much yet may make such samples too.
        warnings.warn(f"{seen}. If that is no accident, {advice}", TaumemWarning, stacklevel=3)


def _half(items: Items) -> Items:
    """In half precision, which is enough to be looked at; as they are, where it cannot hold them."""
    is_small = not items.numel() or bool(items.abs().max() < torch.finfo(torch.half).max)
    return items.half() if is_small else items.float()
