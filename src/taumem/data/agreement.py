"""Items of several sources, brought to what they can be compared in: one kind, one shape, one number of channels."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from taumem.data.items import refuse_other_scale
from taumem.data.sources import Kind
from taumem.data.stored import Stored
from taumem.errors import DataError, option
from taumem.shapes import Items

__all__ = ["MANY", "agree"]

IN_WORDS = {
    "images": "images",
    "vectors": "vectors (floats [n, d])",
    "tokens": "tokens (integers [n, positions])",
    "texts": "texts",
}
MANY = 10_000
"""Items by which a scale is told."""

Part = tuple[Tensor | Stored | list[str], Kind]


def agree(parts: Mapping[str, Part]) -> dict[str, Tensor | Stored | list[str]]:
    """Bring items to one kind, or say what stands in the way.

    Gray images become color, three equal channels, where others are in color: the root of a mean square over channels
    stays what it was. Vectors get the type of numbers that holds all of them.

    Args:
        parts: items and their kind, by what they are called in messages.

    Raises:
        DataError: they cannot be compared.
    """
    names = list(parts)
    first, kind = names[0], parts[names[0]][1]
    for name, (_, other) in parts.items():
        if other != kind:
            raise DataError(
                f"{first} are {IN_WORDS[kind]} and {name} {IN_WORDS[other]}; only items of one kind can be compared. "
                "Save both in the same form."
            )
    items = {name: items for name, (items, _) in parts.items()}
    if kind == "texts":
        return items
    arrays: dict[str, Tensor | Stored] = {name: it for name, it in items.items() if not isinstance(it, list)}
    _refuse_other_shapes(arrays, kind)
    if kind == "images":
        n_channels = max(it.shape[1] for it in arrays.values())
        return {name: it if it.shape[1] == n_channels else _changed(it, _in_color) for name, it in arrays.items()}
    if kind == "vectors":
        for name in names[1:]:
            refuse_other_scale(arrays[name][:MANY], arrays[first][:MANY], f"{name}, compared with {first},")
        dtype = torch.float64 if any(it.dtype == torch.float64 for it in arrays.values()) else torch.float32
        return {
            name: it if it.dtype == dtype else _changed(it, lambda rows: rows.to(dtype)) for name, it in arrays.items()
        }
    return dict(arrays)


def _refuse_other_shapes(arrays: Mapping[str, Tensor | Stored], kind: Kind) -> None:
    # Channels are brought together; what is left of an image's shape is its size.
    shapes = {name: tuple(it.shape[2 if kind == "images" else 1 :]) for name, it in arrays.items()}
    if len(set(shapes.values())) == 1:
        return
    told = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    if kind == "images":
        raise DataError(f"the images have different sizes: {told} pixels; bring them all to one by {option('size')}.")
    raise DataError(f"the {kind} have different lengths: {told}; bring them to one length before.")


def _changed(items: Tensor | Stored, change: Callable[[Items], Items]) -> Tensor | Stored:
    return items.then(change) if isinstance(items, Stored) else change(items)


def _in_color(images: Items) -> Items:
    return images.expand(-1, 3, -1, -1).contiguous()
