"""Which items a guard asks about, held in the form in which the loss of a loop gets them."""

from collections.abc import Sequence
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

    An item that is asked about under several draws of noise stands in the batches as often.

    Attributes:
        rows: which of the n items stand in each batch, by number.
        batches: of these items, on the CPU or where the items are.
        few: a smaller batch of the first of them, to try a loss on.
        digests: of the items, to tell them apart.
        n: how many items.
        n_draws: of noise, for each item.
    """

    rows: tuple[tuple[int, ...], ...]
    batches: tuple[Any, ...]
    few: Any
    digests: frozenset[str]
    n: int
    n_draws: int

    @classmethod
    def of(
        cls, items: ItemSet, *, n_items: int, n_draws: int | None, n_times: int, block: int, seed: int
    ) -> "AskedItems":
        """Choose items, and hold them: what a Dataset augments at random stays as it was drawn here.

        Args:
            items: all of them.
            n_items: how many to ask about, at most.
            n_draws: of noise, for each; None takes as many as give 256 answers about all of them, and at most 16.
            n_times: diffusion times at which each is asked about.
            block: items in a batch.
            seed: of the choice.

        Raises:
            ConfigError: no items, draws or block to ask about.
            DataError: items that cannot be picked out, or put into a batch.
        """
        if min(n_items, block, 1 if n_draws is None else n_draws) < 1:
            raise ConfigError(
                f"a look asks about at least 1 item, in batches and draws of at least 1; got n_items = {n_items}, "
                f"block = {block}, n_draws = {n_draws}."
            )
        n = min(len(items), n_items)
        order = torch.randperm(len(items), generator=generator_for(seed, "items asked about"))
        chosen = sorted(order[:n].tolist())
        draws = min(max(ANSWERS // (n * n_times), 1), MOST_DRAWS) if n_draws is None else n_draws
        numbers = [*range(n)] * draws
        rows = tuple(tuple(numbers[k : k + block]) for k in range(0, len(numbers), block))
        with random_states_kept():
            seed_globally(seed, "items asked about")
            few, *batches = (_taken(items, [chosen[k] for k in some]) for some in (numbers[: min(n, FEW)], *rows))
        told_apart = frozenset(digest for batch in batches for digest in digests(batch))
        return cls(rows, tuple(batches), few, told_apart, n, draws)

    def __len__(self) -> int:
        return self.n


def _taken(items: ItemSet, places: Sequence[int]) -> Any:
    try:
        return map_tensors(Tensor.detach, items.take(places))
    except TaumemError:
        raise
    except Exception as error:
        raise DataError(
            f"{items.what} could not be put into a batch ({type(error).__name__}: {error}); hand over the collate "
            "function that your DataLoader uses as collate=."
        ) from error
