"""Which items a guard asks about, held in the form in which the loss of a loop gets them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from taumem.data.item_set import ItemSet, digests, map_tensors
from taumem.errors import ConfigError, DataError, TaumemError
from taumem.probes.isolation import random_states_kept, seed_globally
from taumem.randomness import generator_for

__all__ = ["FEW", "AskedItems"]

FEW = 8
"""Items that a loss is tried on."""
ANSWERS = 256
"""Of the loss about one set at one look, at least where there are as many items, unless a number of draws is given."""
MOST_DRAWS = 16
"""Draws of noise for each item, at most, unless a number is given."""


@dataclass(frozen=True, eq=False)
class AskedItems:
    """Those of a set's items that are asked about, in batches as the loss gets them.

    An item that is asked about under several draws of noise stands in the batches as often; it is held once.

    Attributes:
        items: those asked about; what a Dataset augments at random stays as it was drawn here.
        places: of them in the whole set, ascending.
        rows: which of them stand in each batch, by number.
        digests: of each, to tell them apart; empty where that cannot be told.
        n_draws: of noise, for each item.
    """

    items: ItemSet
    places: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]
    digests: tuple[str, ...]
    n_draws: int

    @classmethod
    def of(
        cls,
        items: ItemSet,
        *,
        n_items: int,
        n_draws: int | None,
        n_times: int,
        block: int,
        seed: int,
        without: Collection[int] = (),
    ) -> "AskedItems":
        """Choose items, and hold them.

        Args:
            items: all of them.
            n_items: how many to ask about, at most.
            n_draws: of noise, for each; None takes as many as give 256 answers about all of them, and at most 16.
            n_times: diffusion times at which each is asked about.
            block: items in a batch.
            seed: of the choice.
            without: places that are not to be chosen.

        Raises:
            ConfigError: no items, draws or block to ask about.
            DataError: items that cannot be picked out, or put into a batch.
        """
        if min(n_items, block, 1 if n_draws is None else n_draws) < 1:
            raise ConfigError(
                f"a look asks about at least 1 item, in batches and draws of at least 1; got n_items = {n_items}, "
                f"block = {block}, n_draws = {n_draws}."
            )
        order = torch.randperm(len(items), generator=generator_for(seed, "items asked about")).tolist()
        chosen = sorted([place for place in order if place not in without][:n_items])
        draws = min(max(ANSWERS // (len(chosen) * n_times), 1), MOST_DRAWS) if n_draws is None else n_draws
        numbers = [*range(len(chosen))] * draws
        rows = tuple(tuple(numbers[k : k + block]) for k in range(0, len(numbers), block))
        with random_states_kept():
            seed_globally(seed, "items asked about")
            held = items.held(chosen)
            told_apart = digests(_taken(held, range(len(chosen))), len(chosen))
        return cls(held, tuple(chosen), rows, tuple(told_apart), draws)

    def batch(self, place: int) -> Any:
        """A batch, as the loss gets it.

        Raises:
            DataError: items that cannot be put into one.
        """
        return _taken(self.items, self.rows[place])

    @property
    def few(self) -> Any:
        """A small batch of the first items, to try a loss on."""
        return _taken(self.items, range(self.n_few))

    @property
    def n_few(self) -> int:
        """How many items are in that."""
        return min(len(self), FEW)

    def __len__(self) -> int:
        return len(self.places)


def _taken(items: ItemSet, places: Sequence[int]) -> Any:
    try:
        return map_tensors(Tensor.detach, items.take(places))
    except TaumemError:
        raise
    except Exception as error:
        raise DataError(
            f"{items.what} could not be put into a batch ({type(error).__name__}: {error}); if your DataLoader has a "
            "collate function, hand it over as collate=."
        ) from error
