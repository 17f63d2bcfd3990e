"""What stands in a set more than once, or almost: equal items, near-duplicates, and groups that somebody names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from taumem.data.gathered import Gathered
from taumem.data.item_set import digests
from taumem.data.near_duplicates import text_groups
from taumem.data.stored import Together
from taumem.neighbors import near_duplicates

__all__ = ["MOST_COMPARED", "NEAR_RULE", "joined", "marks_of", "near_groups", "numbered", "with_content", "with_kin"]

AT_ONCE = 1024
NEAR_RULE = (
    "near-duplicates count as one: items much nearer to each other than fresh items are to theirs (images, vectors), "
    "or texts that share a fifth of their passages of 8 symbols"
)
MOST_COMPARED = 50_000
"""Items up to which near-duplicates are looked for: all are compared with one another."""

Groups = NDArray[np.int64]


def marks_of(part: Gathered) -> list[str]:
    """A mark for each item, equal where items are."""
    if isinstance(part.items, list):
        return part.items
    parts = (torch.as_tensor(part.items[k : k + AT_ONCE]) for k in range(0, len(part), AT_ONCE))
    return [mark for rows in parts for mark in digests(rows, len(rows))]


def near_groups(*parts: Gathered, memory: int) -> Groups | None:
    """Groups of near-duplicates among the items of one set or two together; None of tokens, or of too many items."""
    if sum(map(len, parts)) > MOST_COMPARED or parts[0].kind == "tokens":
        return None
    if parts[0].kind == "texts":
        texts = [part.items for part in parts if isinstance(part.items, list)]
        return text_groups([text for part in texts for text in part])
    items: list[Any] = [part.items for part in parts]
    groups: Groups = near_duplicates(items[0] if len(items) == 1 else Together(*items), memory=memory).numpy()
    return groups


def numbered(names: Sequence[str]) -> Groups:
    """A number for each name: the place at which it stands first."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(name, place) for place, name in enumerate(names)], np.int64)


def joined(*groupings: Groups | None) -> Groups:
    """What any of some groupings takes for one: of each item, the first item of its group."""
    given = [grouping for grouping in groupings if grouping is not None]
    n = len(given[0])
    rows, columns = np.concatenate([np.arange(n)] * len(given)), np.concatenate(given)
    part = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n)), directed=False)[1]
    return np.unique(part, return_index=True)[1][part].astype(np.int64)


def with_kin(groups: Groups, units: Groups, n_train: int) -> NDArray[np.bool_]:
    """Say of each item, training items first, whether its group holds a training item of another unit.

    Args:
        groups: of training items and held-out ones, as near-duplicates make them.
        units: what is one by nature, of each: an item, or a patient, scene, author where somebody named these.
        n_train: how many are training items.
    """
    pairs = np.unique(np.stack([groups[:n_train], units[:n_train]]), axis=1)
    n_units = np.bincount(pairs[0], minlength=int(groups.max()) + 1)[groups]
    return n_units > (np.arange(len(groups)) < n_train)


def with_content(part: Gathered, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some items that vary (in a channel, for images): all that are flat are alike by nature."""

    def varies(item: Any) -> bool:
        if isinstance(item, str):
            return len(set(item)) > 1
        numbers = np.asarray(item)
        return bool((np.ptp(numbers.reshape(len(numbers), -1) if numbers.ndim > 1 else numbers, axis=-1) > 0).any())

    return np.array([place for place in places.tolist() if varies(part.items[place])], np.int64)
