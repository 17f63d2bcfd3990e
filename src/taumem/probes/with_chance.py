"""Samples compared with the data as a whole, and beside them what new items of the data themselves give: chance."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from taumem.data.items import as_items
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["WithChance", "halves"]


def halves(heldout: Items, seed: int) -> tuple[Items, Items]:
    """Held-out items in two halves, shuffled: those set aside to know chance from, and those to compare with."""
    order = torch.randperm(len(heldout), generator=generator_for(seed, "held-out halves")).to(heldout.device)
    return heldout[order[: len(order) // 2]], heldout[order[len(order) // 2 :]]


class WithChance:
    """Compares samples and, once for each count, as many items that were set aside.

    Args:
        like: an item of the kind that samples must be of, [1, ...].
        aside: the items that chance is known from.
        features: of items.
        compared: the estimates of some features; of those set aside they get the ending ``_chance``, and no items.
    """

    def __init__(
        self,
        like: Items,
        aside: Items,
        features: Callable[[Items], Tensor],
        compared: Callable[[Tensor], Iterable[Estimate]],
    ) -> None:
        self._like = like
        self._aside = features(aside)
        self._features = features
        self._compared = compared
        self._chance: dict[int, tuple[Estimate, ...]] = {}

    def measure(self, samples: Items) -> Reading:
        """Compare samples, as many of them as there are items set aside.

        Raises:
            DataError: fewer than 2, not finite, or of another shape.
        """
        samples = as_items(samples, "samples", like=self._like, least=2)
        n = min(len(samples), len(self._aside))
        if n not in self._chance:
            of_data = self._compared(self._aside[:n])
            self._chance[n] = tuple(
                each.model_copy(update={"quantity": f"{each.quantity}_chance", "items": None}) for each in of_data
            )
        return Reading((*self._compared(self._features(samples[:n])), *self._chance[n]))
