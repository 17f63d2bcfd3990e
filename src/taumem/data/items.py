"""What items are, whoever hands them over: a tensor [n, ...] of finite numbers, of one kind and on one scale."""

from collections.abc import Callable, Sized
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from taumem.errors import DataError
from taumem.shapes import Items

__all__ = ["Rescaling", "as_items", "as_symbols", "as_tensor", "other_scale", "refuse_other_scale"]

BELOW = -0.1
"""Items in [0, 1] do not reach below this, though a model's samples may overshoot their range a little."""

MOST = 1.1
"""Items in [0, 1] or [-1, 1] do not reach above this, for the same reason."""

MANY = 16
"""Numbers that an item must have to be an image, perhaps a flat one; vectors of fewer may lie anywhere."""

NEVER = 1e-4
"""So rarely, at most, items of one scale would look like two scales by chance."""


class Rescaling(NamedTuple):
    """From one of the three usual scales of images to another one."""

    source: str
    target: str
    formula: str
    rescale: Callable[[Tensor], Tensor]


BYTES, UNIT, SIGNED = "[0, 255]", "[0, 1]", "[-1, 1]"
WIDTHS = (UNIT, SIGNED, BYTES)
RESCALINGS = {
    (source, target): Rescaling(source, target, formula, rescale)
    for source, target, formula, rescale in (
        (BYTES, UNIT, "x / 255", lambda x: x / 255),
        (BYTES, SIGNED, "x / 127.5 - 1", lambda x: x / 127.5 - 1),
        (UNIT, BYTES, "255 * x", lambda x: 255 * x),
        (UNIT, SIGNED, "2 * x - 1", lambda x: 2 * x - 1),
        (SIGNED, BYTES, "(x + 1) * 127.5", lambda x: (x + 1) * 127.5),
        (SIGNED, UNIT, "(x + 1) / 2", lambda x: (x + 1) / 2),
    )
}


def as_tensor(given: object, what: str) -> Tensor:
    """Take a tensor, an array of numpy or a list of these as a tensor of floats or integers; refuse all else.

    Args:
        given: what came.
        what: its name in messages, in the plural: "samples", "training items".

    Raises:
        DataError: it is none of these, of complex numbers or truth values, or a masked array with masked values.
    """
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise DataError(f"{what} are a masked array with values that are masked; leave out the items that hold them.")
    if isinstance(given, np.ndarray | list | tuple):
        given = _from_arrays(given, what)
    if not isinstance(given, Tensor):
        advice = "for a Dataset, torch.stack([dataset[i] for i in range(len(dataset))])"
        raise DataError(
            f"{what} are one tensor or array [n, ...]; got {_described(given)}. Put them into one: {advice}; for a "
            "DataLoader, torch.cat(list(loader)); without the labels, if there are any."
        )
    if given.is_complex() or given.dtype == torch.bool or given.layout != torch.strided or given.is_quantized:
        raise DataError(f"{what} are floats or integers in an ordinary tensor; got {given.dtype}, {given.layout}.")
    given = given.detach()
    # Types in which torch stores numbers but hardly compares them; symbols often come in 16 bits without a sign.
    if given.dtype in (torch.uint16, torch.uint32, torch.uint64):
        return given.long()
    return given.float() if given.is_floating_point() and given.element_size() == 1 else given


def as_items(given: object, what: str, *, like: Items | None = None, least: int = 0, first: int = 0) -> Items:
    """Take something as items, once it is certain that they can be measured.

    What is not finite is neither a copy nor novel, so no share may be taken of items that hold it: it is refused.

    Args:
        given: a tensor, an array of numpy or a list of these, [n, ...].
        what: their name in messages, in the plural: "samples", "training items".
        like: items that they are to be compared with: of the same shape, and both floats or both integers. The items
            are brought to their device.
        least: how many there must be.
        first: the number of the first of them, where they are a part of more.

    Raises:
        DataError: it is not, and why.
    """
    items = as_tensor(given, what)
    if items.ndim < 2 or 0 in items.shape[1:]:
        raise DataError(f"{what} have at least one axis each, [n, ...]; got shape {tuple(items.shape)}.")
    if len(items) < least:
        raise DataError(f"{what}: got {len(items)}; at least {least} must be there.")
    _refuse_not_finite(items, what, first)
    if like is None:
        return items
    if items.shape[1:] != like.shape[1:]:
        raise DataError(
            f"{what} have shape {tuple(items.shape[1:])}, and what they are compared with "
            f"{tuple(like.shape[1:])}; they must agree."
        )
    if items.is_floating_point() != like.is_floating_point():
        raise DataError(
            f"{what} are {items.dtype}, and what they are compared with {like.dtype}; floats and integers have no "
            "common scale. Bring both to one: images of bytes by x / 127.5 - 1."
        )
    return items.to(like.device)


def as_symbols(given: object, what: str, *, vocabulary: int | None = None, like: Items | None = None) -> Items:
    """Take something as texts or strings: integers from 0.

    Args:
        given: a tensor, an array of numpy or a list of these, [n, ...].
        what: their name in messages, in the plural.
        vocabulary: all symbols are below it.
        like: as in :func:`as_items`.

    Raises:
        DataError: it is not, and why.
    """
    items = as_items(given, what)
    expected = "integers from 0" if vocabulary is None else f"integers from 0 to {vocabulary - 1}"
    if items.is_floating_point():
        raise DataError(f"{what}: symbols are {expected}; got {items.dtype}.")
    if items.numel() and (int(items.min()) < 0 or (vocabulary is not None and int(items.max()) >= vocabulary)):
        raise DataError(f"{what}: symbols are {expected}; got {int(items.min())} to {int(items.max())}.")
    return as_items(items, what, like=like)


def other_scale(items: Items, like: Items) -> Rescaling | None:
    """Say how to bring items to the scale of others where both are on one of the usual scales of images, and differ.

    Items of a narrow scale are told from others of a wider one ([0, 1] in [-1, 1] in [0, 255]) only where it cannot be
    chance that none leaves it: with the share of the others that do, none of so many would happen less often than once
    in 10,000. Dark images, standardized data, latents, counts, and vectors of any range or of few numbers pass.

    Args:
        items: [n, ...]; of integers nothing is said.
        like: others, of the same shape and kind.

    Returns:
        The way from one to the other; None where the scales agree or are unknown.
    """
    way = RESCALINGS.get((_scale(items), _scale(like)))  # type: ignore[arg-type]
    if way is None:
        return None
    narrow, wide = (items, like) if WIDTHS.index(way.source) < WIDTHS.index(way.target) else (like, items)
    return way if _cannot_be_chance(narrow, wide) else None


def refuse_other_scale(items: Items, like: Items, what: str) -> None:
    """Refuse data that are not on the scale of other data.

    Raises:
        DataError: they are not.
    """
    if (way := other_scale(items, like)) is not None:
        raise DataError(
            f"{what} lie in {way.source}, and what they are compared with in {way.target}; "
            f"bring them to one scale: {way.formula}."
        )


def _from_arrays(given: object, what: str) -> Tensor:
    try:
        if isinstance(given, list | tuple) and given and all(isinstance(item, Tensor) for item in given):
            return torch.stack(tuple(given))
        array = np.asarray(given)
        # Copied, since a tensor cannot stand on what is read-only, reversed or of another machine's byte order.
        return torch.tensor(array.astype(array.dtype.newbyteorder("=")))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what} are no numbers in one array [n, ...] ({error}).") from None


def _described(given: object) -> str:
    return f"{type(given).__name__} of {len(given)}" if isinstance(given, Sized) else type(given).__name__


def _refuse_not_finite(items: Items, what: str, first: int) -> None:
    # A sum needs no memory, and is finite only where all its terms are; where it is not, each item is looked at. Terms
    # that are finite may have a sum that is not; less often so, and more slowly, in double precision.
    if not items.is_floating_point() or any(
        bool(torch.isfinite(items.sum(dtype=dtype))) for dtype in (items.dtype, torch.float64)
    ):
        return
    finite = torch.stack([torch.isfinite(item).all() for item in items])
    if not bool(finite.all()):
        bad = (~finite).nonzero()[:, 0].tolist()
        why = " The model or its sampler has diverged." if what == "samples" else ""
        raise DataError(
            f"{len(bad)} of {len(items)} {what} hold NaN or infinite values (the first is number {first + bad[0]}); "
            f"they are neither copies nor novel, and nothing is measured with them.{why}"
        )


def _scale(items: Items) -> str | None:
    if not items.numel() or items[0].numel() < MANY or not items.is_floating_point():
        return None
    low, high = float(items.min()), float(items.max())
    if low >= 0 and 16 < high <= 255:
        return BYTES
    if low >= BELOW and 0.4 <= high <= MOST:
        return UNIT
    return SIGNED if -MOST <= low < BELOW and high <= MOST else None


def _cannot_be_chance(narrow: Items, wide: Items) -> bool:
    """Whether so many items would leave their narrow scale somewhere, if they did it as often as the others."""
    rows = wide.flatten(1)
    leaving = ((rows.amax(dim=1) > MOST) | (rows.amin(dim=1) < (BELOW if _scale(narrow) == UNIT else -MOST))).double()
    return bool((1 - min(float(leaving.mean()), 0.99)) ** len(narrow) < NEVER)
