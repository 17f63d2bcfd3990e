"""The gap ratio of copies, and items without their duplicates, which would hide them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from taumem.data.items import as_items
from taumem.errors import DataError
from taumem.shapes import Items

__all__ = ["distinct_items", "gap_ratio"]


def gap_ratio(distances: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
    """Distance to the nearest over distance to the second nearest, in [0, 1]: small for a copy.

    Where both are 0 (two equal references) the ratio is 0: the query is a copy. Search among
    :func:`distinct_items` and this does not arise.

    Raises:
        DataError: distances of another shape, negative ones, or ones that are not finite: what is no number is neither
            a copy nor novel.

    Reference: Yoon et al. 2023; Bonnaire et al. 2025, arXiv 2505.17638, eq. 6 (a copy: ratio below 1/3).
    """
    distances = as_items(distances, "distances")
    if distances.shape[1:] != (2,) or not distances.is_floating_point() or bool((distances < 0).any()):
        raise DataError(
            "the gap ratio takes the distances to the nearest and the second nearest, [n, 2], at least 0; got "
            f"{tuple(distances.shape)}, {distances.dtype}."
        )
    first, second = distances[:, 0], distances[:, 1]
    return torch.where(second == 0, torch.zeros_like(first), first / second)


def distinct_items(items: Items) -> Int[Tensor, "m"]:
    """Give the positions at which each distinct item stands first, ascending.

    Among duplicates the second nearest neighbor is as near as the nearest: the gap ratio is 1 and a copy goes unseen.

    Raises:
        DataError: items that are not finite.
    """
    items = as_items(items, "items")
    _, group = torch.unique(items.flatten(1), dim=0, return_inverse=True)
    first = torch.full((len(items),), len(items), device=items.device)
    first.scatter_reduce_(0, group, torch.arange(len(items), device=items.device), reduce="amin")
    return first[first < len(items)].sort().values
