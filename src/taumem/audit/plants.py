"""Copies of training items that an audit makes itself, to see which it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional

from taumem.audit.sides import taken
from taumem.data.gathered import Gathered
from taumem.randomness import generator_for

__all__ = ["Plants", "planted"]

N_PLANTED, N_OTHERS = 64, 32
"""Planted copies of the first kind, and of each other one."""
NOISE = 8 / 127.5
"""Of images in [-1, 1]: 8 of 255 shades."""
MISSPELLED = (0.05, 0.2)
"""Shares of the symbols of texts that are changed."""
ALPHABET = "abcdefghijklmnopqrstuvwxyz"

Change = Callable[[Any, Generator], Any]


@dataclass(frozen=True, eq=False)
class Plants:
    """Copies of training items that were made on purpose.

    Attributes:
        items: the copies.
        groups: that of the training item which each is a copy of.
        how: how they were changed, in words.
        name: of the control that they are for.
    """

    items: Tensor | list[str]
    groups: NDArray[np.int64]
    how: str
    name: str


def planted(train: Gathered, groups: NDArray[np.int64], seed: int) -> tuple[Plants, ...]:
    """Copy some training items, not quite, in each of some ways; the first is hardly to be told from its source."""
    places = np.unique(groups, return_index=True)[1]
    made = []
    for number, (how, change) in enumerate(_changes(train)):
        drawn = torch.randperm(len(places), generator=generator_for(seed, "audit plants", 2 * number)).numpy()
        chosen = places[drawn[: N_OTHERS if number else N_PLANTED]]
        copies = change(taken(train, chosen), generator_for(seed, "audit plants", 2 * number + 1))
        made.append(Plants(copies, groups[chosen], how, f"positive, {how}" if number else "positive"))
    return tuple(made)


def _changes(train: Gathered) -> tuple[tuple[str, Change], ...]:
    """The ways of copying items of a kind, in words; the last of images is one that no view undoes."""
    if train.kind == "images":
        return (
            ("with noise of 8 of 255 shades", lambda images, g: (images + _noise(images, NOISE, g)).clamp(-1, 1)),
            ("mirrored", lambda images, _: images.flip(3)),
            ("darkened by 30 %", lambda images, _: 0.7 * (images + 1) - 1),
            ("shifted by a sixteenth", lambda images, _: _shifted(images, max(1, images.shape[3] // 16))),
            ("cropped to 80 %", lambda images, _: _cropped(images, 0.8)),
            ("upside down", lambda images, _: images.flip(2)),
        )
    if train.kind == "texts":
        return tuple(
            (f"with {share:.0%} of their symbols changed", partial(_misspelled, share=share)) for share in MISSPELLED
        )
    if train.kind == "tokens":
        return (("as they are", lambda items, _: items),)
    return (("with noise of a tenth of their spread", lambda items, g: items + _noise(items, 0.1 * _spread(items), g)),)


def _noise(items: Tensor, size: float | Tensor, generator: Generator) -> Tensor:
    return size * torch.randn(items.shape, generator=generator)


def _spread(items: Tensor) -> Tensor:
    return items.std(dim=0, keepdim=True) if len(items) > 1 else torch.ones_like(items)


def _shifted(images: Tensor, pixels: int) -> Tensor:
    """Move images to the right; the edge is repeated."""
    return images[..., (torch.arange(images.shape[3]) - pixels).clamp_min(0)]


def _cropped(images: Tensor, share: float) -> Tensor:
    """The middle of images, enlarged to their size."""
    size = images.shape[2:]
    top, left = (round(length * (1 - share) / 2) for length in size)
    middle = images[:, :, top : size[0] - top, left : size[1] - left]
    return functional.interpolate(middle, size=size, mode="bilinear")


def _misspelled(texts: list[str], generator: Generator, share: float) -> list[str]:
    return [_changed(text, int(share * len(text)), generator) for text in texts]


def _changed(text: str, n: int, generator: Generator) -> str:
    symbols = list(text)
    for place in torch.randperm(len(symbols), generator=generator)[:n].tolist():
        other = int(torch.randint(len(ALPHABET) - 1, (), generator=generator))
        symbols[place] = ALPHABET.replace(symbols[place], "")[other % (len(ALPHABET) - 1)]
    return "".join(symbols)
