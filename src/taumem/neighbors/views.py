"""Ways of looking at two images that make a copy of one out of the other: mirrored, shifted, cropped, rotated, relit.

A view is a change of the query (mirror it, shift it, ...), and which pixels both then have. Each view is a search of
its own, with its own nearest and second nearest training image: distances of different views need no common scale, and
a near-duplicate that only another view would take for one hides nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

__all__ = ["ORBITS", "Orbit", "View", "coarse", "orbit", "standardized"]

Orbit = Literal["none", "light", "full"]
ORBITS = ("none", "light", "full")

COARSE = 16
"""Rows and columns at which changed images are compared, at most: details matter less where they may be off by half."""
HANDICAP = 1.2
"""By how much the ratio in a view that only the full orbit has must be smaller to count as much: there are 112 of
these, in which something happens to look alike more often than in the first four, and they are needed more seldom."""
SHIFTS = (-1 / 16, -1 / 32, 0.0, 1 / 32, 1 / 16)
"""Of a picture's height and width: up to 2 of 32 pixels."""
ROTATIONS = (-6.0, -3.0, 3.0, 6.0)
"""Degrees; between them lies at most a pixel and a half at the edge of 32."""
CROPS = (0.9, 0.8, 0.7)
"""How much of its height and width a sample may be of a training image, enlarged."""
ROUNDING = 1e-6
FLATTEST = 0.05
"""Contrast (of images in [-1, 1]) below which an image is taken as flat, and is not scaled up any further."""

Pictures = Float[Tensor, "n channels height width"]


@dataclass(frozen=True)
class View:
    """One way to look at a query.

    Attributes:
        name: in words.
        mirrored: whether it is mirrored, left to right, first.
        relit: whether brightness and contrast are taken out of both images.
        is_coarse: whether both are averaged to at most 16x16 pixels.
        rotation: degrees by which the query is turned back.
        scale: how much of the training image's height and width the query shows.
        offset: right and down, where it shows it: from the middle, as a share of half the size.
        handicap: what a gap ratio in it is multiplied by before views are held against each other, at least 1.
    """

    name: str
    mirrored: bool = False
    relit: bool = False
    is_coarse: bool = False
    rotation: float = 0.0
    scale: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    handicap: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether it shows the items as they are."""
        return self == View(self.name)

    def of(self, queries: Pictures) -> tuple[Float[Tensor, "n numbers"], Bool[Tensor, "height width"]]:
        """Give the numbers of the queries to compare, and of which pixels of a training image they are."""
        images, inside = self._moved(queries)
        if self.is_coarse:
            images = coarse(images)
            inside = coarse(inside[None, None].float())[0, 0] == 1
        numbers = images[:, :, inside].flatten(1)
        return (standardized(numbers) if self.relit else numbers), inside

    def onto(self, queries: Pictures, near: Pictures) -> Pictures:
        """Give the queries as this view lays them on their training images, for somebody to look at.

        They are as large as they were; what is relit gets the brightness and contrast of the training image. A pixel
        that the query has not is NaN.
        """
        images, inside = self._moved(queries)
        if self.relit:
            rows, others = (part[:, :, inside].flatten(1) for part in (images, near))
            spread = others.std(dim=1, correction=0) / rows.std(dim=1, correction=0).clamp_min(FLATTEST)
            images = (images - _each(rows.mean(dim=1))) * _each(spread) + _each(others.mean(dim=1))
        return images.clamp(-1, 1).masked_fill(~inside, math.nan)

    def _moved(self, queries: Pictures) -> tuple[Pictures, Bool[Tensor, "height width"]]:
        """Mirror the queries and put them where they would lie on a training image, and say which pixels they cover."""
        images = queries.flip(3) if self.mirrored else queries
        if self.rotation or self.scale != 1 or any(self.offset):
            return self._placed(images)
        return images, torch.ones(images.shape[2:], dtype=torch.bool, device=images.device)

    def _placed(self, images: Pictures) -> tuple[Pictures, Bool[Tensor, "height width"]]:
        """Put each query where it would lie on a training image, and say which of that image's pixels it covers."""
        height, width = images.shape[2:]
        angle, (right, down) = math.radians(self.rotation), self.offset
        # Of a point of the training image, the place in the query; both from -1 to 1, so that the sides' ratio counts.
        turn = [
            [math.cos(angle), -math.sin(angle) * height / width],
            [math.sin(angle) * width / height, math.cos(angle)],
        ]
        rows = [[a / self.scale, b / self.scale, -(a * right + b * down) / self.scale] for a, b in turn]
        grid = functional.affine_grid(
            torch.tensor([rows], device=images.device), [1, 1, height, width], align_corners=False
        )
        everywhere = grid.expand(len(images), -1, -1, -1)
        placed = functional.grid_sample(images, everywhere, padding_mode="border", align_corners=False)
        return placed, (grid.abs() <= 1 + ROUNDING).all(dim=3)[0]


def orbit(kind: Orbit) -> tuple[View, ...]:
    """The views of an orbit, the plain one first: ``none`` has it alone, ``light`` 4, ``full`` 116."""
    return tuple(_views(kind))


def _each(numbers: Float[Tensor, "n"]) -> Float[Tensor, "n 1 1 1"]:
    return numbers[:, None, None, None]


def _views(kind: Orbit) -> Iterator[View]:
    yield View("as it is")
    if kind == "none":
        return
    yield View("relit", relit=True)
    yield View("mirrored", mirrored=True)
    yield View("mirrored, relit", mirrored=True, relit=True)
    if kind == "light":
        return
    for mirrored in (False, True):
        first = "mirrored, " if mirrored else ""

        def view(name: str, **how: Any) -> View:
            return View(first + name, mirrored, relit=True, is_coarse=True, handicap=HANDICAP, **how)  # noqa: B023 (called at once)

        for right, down in product(SHIFTS, SHIFTS):
            there = _places(right, down, "left", "right", "up", "down", share=100)
            yield view(f"shifted{there}" if there else "coarse", offset=(2 * right, 2 * down))
        for degrees in ROTATIONS:
            yield view(f"turned {'right' if degrees > 0 else 'left'} by {abs(degrees):g} degrees", rotation=degrees)
        for scale, right, down in product(CROPS, (-1, 0, 1), (-1, 0, 1)):
            there = _places(right, down, "right", "left", "bottom", "top") or " middle"
            yield view(
                f"cropped to {100 * scale:g} %,{there}", scale=scale, offset=(right * (1 - scale), down * (1 - scale))
            )


def _places(right: float, down: float, *words: str, share: float = 0) -> str:
    """Say where something went: what lies to the right on a training image was shifted to the left."""
    ways = [(right, words[1], words[0]), (down, words[3], words[2])]
    amounts = [
        (f" {share * abs(by):.0f} %" if share else "", before if by < 0 else behind, by) for by, before, behind in ways
    ]
    return ",".join(f" {word}{amount}" for amount, word, by in amounts if by)


def coarse(images: Pictures) -> Pictures:
    """Average images over the smallest boxes that leave at most 16 rows and columns."""
    height, width = (length // math.ceil(length / COARSE) for length in images.shape[2:])
    return functional.adaptive_avg_pool2d(images, (height, width))


def standardized(numbers: Float[Tensor, "n numbers"]) -> Float[Tensor, "n numbers"]:
    """Take each image's mean off, and divide by its contrast: brightness and contrast change nothing any more."""
    centered = numbers - numbers.mean(dim=1, keepdim=True)
    return centered / centered.square().mean(dim=1, keepdim=True).sqrt().clamp_min(FLATTEST)
