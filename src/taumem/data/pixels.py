"""Image tensors: from bytes to [-1, 1], to gray, to another size.

One convention holds everywhere behind the readers: float32 of shape [n, channels, height, width], where -1 is
black and 1 is full intensity. Nothing here changes a size or drops a color unless the caller asked for it.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from taumem.errors import ConfigError, DataError, option

__all__ = ["Images", "Pixels", "bring_to_size", "center_crop", "cropped", "from_bytes", "resize", "to_grayscale"]

Images = Float32[Tensor, "n channels height width"]
"""Images in [-1, 1]: -1 is black, 1 is full intensity."""

Pixels = UInt8[Tensor, "n channels height width"]
"""Bytes that stand for them."""

BLACK = -1.0
LUMA = (0.299, 0.587, 0.114)
N_AT_ONCE = 1024
ROWS_AT_ONCE = 256


def from_bytes(values: NDArray[np.uint8]) -> Images:
    """Map bytes to [-1, 1]: x = byte / 127.5 - 1, so that 0 becomes -1 and 255 becomes 1 exactly.

    Args:
        values: bytes, [n, channels, height, width].
    """
    return torch.from_numpy(values.astype(np.float32, order="C")).div_(127.5).sub_(1)


def to_grayscale(images: Images) -> Images:
    """Reduce color images to their luma, 0.299 R + 0.587 G + 0.114 B; gray images come back as they are.

    Args:
        images: [n, 1 or 3, height, width] in [-1, 1].

    Returns:
        [n, 1, height, width] in [-1, 1].

    Raises:
        DataError: the images have neither 1 nor 3 channels.

    Reference: ITU-R Recommendation BT.601, the luma that pillow's mode "L" uses too.
    """
    n_channels = images.shape[1]
    if n_channels == 1:
        return images
    if n_channels != 3:
        raise DataError(f"only images of 1 or 3 channels can be turned to gray; these have {n_channels}.")
    red, green, blue = images.unbind(dim=1)
    # In float64, so that an image with R = G = B keeps its values to the last bit.
    luma = LUMA[0] * red.double() + LUMA[1] * green.double() + LUMA[2] * blue.double()
    return luma.float().unsqueeze(1)


def center_crop(images: Tensor, side: int | None = None) -> Tensor:
    """Cut a square out of the middle (one pixel nearer to the top left where the middle is a half).

    Args:
        images: [n, channels, height, width], floats or bytes.
        side: of the square in pixels; None takes the largest there is, min(height, width).

    Returns:
        [n, channels, side, side].

    Raises:
        DataError: the images are smaller than that.
        ConfigError: a side below 1.
    """
    height, width = images.shape[2:]
    side = min(height, width) if side is None else side
    if side < 1:
        raise ConfigError(f"{option('crop')} is the side of a square, at least 1 pixel; got {side}.")
    if side > min(height, width):
        raise DataError(
            f"images of {height}x{width} pixels hold no square of {side}x{side}; crop to less, or say only that they "
            "are to be cropped, which takes the largest."
        )
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side]


def resize(images: Images, size: int | tuple[int, int], *, pad_to: int | tuple[int, int] | None = None) -> Images:
    """Bring images to a size, without aliasing; pad them with black before, if asked.

    Where the old height and width are whole multiples of the new ones, each new pixel is the mean of a box of
    old ones. Otherwise torch's antialiased bilinear interpolation does it. Either way values stay in [-1, 1].

    ``resize(images, 16, pad_to=32)`` brings Fashion-MNIST's 28x28 pixels to 32x32 by a black border of two,
    then averages boxes of 2x2.

    Args:
        images: [n, channels, height, width] in [-1, 1].
        size: the new height and width in pixels, or one number for both (then the images must be square).
        pad_to: the height and width in pixels to pad to first, evenly on all sides (an odd pixel goes to the
            bottom or the right), or one number for both; None does not pad.

    Returns:
        [n, channels, *size] in [-1, 1].

    Raises:
        ConfigError: a size below 1, or padding to less than the images have.
        DataError: one number is given as the size, and the images are not square.
    """
    return _resize(images, size, pad_to, BLACK)


def bring_to_size(
    pixels: Pixels,
    *,
    grayscale: bool = False,
    crop: bool | int = False,
    size: int | tuple[int, int] | None = None,
    pad_to: int | tuple[int, int] | None = None,
) -> Images:
    """Turn bytes gray, crop and resize them, if asked: the bits that these functions give one after the other.

    What is large is only ever there in bytes: of photographs of many megapixels, the numbers are made strip by strip.

    Args:
        pixels: bytes, which stand for [-1, 1].
        grayscale: whether to reduce colors to one channel.
        crop: as :func:`cropped`.
        size: as in :func:`resize`; None keeps the size.
        pad_to: as in :func:`resize`; only with a size.

    Raises:
        ConfigError: as :func:`resize`.
        DataError: as :func:`resize`.
    """

    def numbers(part: Tensor) -> Images:
        images = from_bytes(part.numpy())
        return to_grayscale(images) if grayscale else images

    pixels = cropped(pixels, crop)
    return numbers(pixels) if size is None else _resize(pixels, size, pad_to, 0, numbers)


def cropped(images: Tensor, crop: bool | int) -> Tensor:
    """Crop images or bytes as asked: not at all, to the largest square in the middle, or to one of so many pixels."""
    if crop is False:
        return images
    return center_crop(images, None if crop is True else crop)


def _resize(
    images: Tensor,
    size: int | tuple[int, int],
    pad_to: int | tuple[int, int] | None,
    black: float,
    numbers: Callable[[Tensor], Images] = lambda part: part,
) -> Images:
    if pad_to is not None:
        images = _pad(images, _height_and_width("pad_to", pad_to), black)
    height, width = images.shape[2:]
    new_height, new_width = _height_and_width("size", size)
    if isinstance(size, int) and height != width:
        raise DataError(
            f"images of {height}x{width} pixels would be distorted to {size}x{size}; crop them to "
            "squares first (crop = true), pad them to squares (pad_to), or give both numbers, size = "
            f"({size}, {size}), to stretch them."
        )
    if (height, width) == (new_height, new_width):
        return numbers(images)
    # In chunks, so that a large data set is not doubled in memory.
    chunks = [
        _scale(images[start : start + N_AT_ONCE], new_height, new_width, numbers)
        for start in range(0, len(images), N_AT_ONCE)
    ]
    return torch.cat(chunks) if chunks else numbers(images).new_empty(0, images.shape[1], new_height, new_width)


def _scale(images: Tensor, new_height: int, new_width: int, numbers: Callable[[Tensor], Images]) -> Images:
    """Resize strip by strip, in float64, rounded once at the end: the order of a sum must not show in the data."""
    height, width = images.shape[2:]
    factors = height // new_height, width // new_width
    boxes = (new_height * factors[0], new_width * factors[1]) == (height, width)
    rows = max(1, ROWS_AT_ONCE // factors[0]) * factors[0] if boxes else ROWS_AT_ONCE
    strips = (numbers(images[:, :, top : top + rows]).double() for top in range(0, height, rows))
    if boxes:
        return torch.cat([functional.avg_pool2d(strip, factors) for strip in strips], dim=2).float()
    narrow = torch.cat([_interpolate(strip, strip.shape[2], new_width) for strip in strips], dim=2)
    return _interpolate(narrow, new_height, new_width).float()


def _interpolate(images: Tensor, height: int, width: int) -> Tensor:
    # Bilinear rather than bicubic: its weights are never negative, so no value leaves [-1, 1].
    return functional.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=True)


def _pad(images: Tensor, size: tuple[int, int], black: float) -> Tensor:
    height, width = images.shape[2:]
    more_rows, more_columns = size[0] - height, size[1] - width
    if more_rows < 0 or more_columns < 0:
        raise ConfigError(
            f"pad_to = {size[0]}x{size[1]} is smaller than the images, {height}x{width}; padding only adds pixels."
        )
    top, left = more_rows // 2, more_columns // 2
    return functional.pad(images, (left, more_columns - left, top, more_rows - top), value=black)


def _height_and_width(name: str, size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ConfigError(f"{name} must be at least 1 pixel each way; got {height}x{width}.")
    return height, width
