"""Images small enough to stand in a record or on a page: data URIs, which need no file beside them."""

import base64
import io
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

__all__ = ["EXACT_HEIGHT", "as_data_uri", "difference", "enlarged", "thumbnail"]

LARGEST = 128
"""Pixels: larger images are reduced."""
EXACT_HEIGHT = 32
"""Up to this height, pixels are kept exactly."""


def thumbnail(item: ArrayLike) -> str:
    """An image as a data URI: a small one bit for bit, a larger one reduced.

    Args:
        item: [height, width] or [1 or 3, height, width], in [-1, 1].
    """
    return as_data_uri(_reduced(_image(item)), exact=np.shape(item)[-2] <= EXACT_HEIGHT)


def difference(sample: ArrayLike, near: ArrayLike) -> str:
    """Where two images of one shape differ, as a data URI: black where they agree, on one scale for all pairs.

    The scale is that of a square root, so that differences of a few shades can be seen.

    Args:
        sample: as in :func:`thumbnail`.
        near: the other.
    """
    apart = np.abs(np.asarray(sample, dtype=np.float64) - np.asarray(near, dtype=np.float64)) / 2
    return thumbnail(2 * np.sqrt(np.clip(np.nan_to_num(apart, nan=1.0), 0, 1)) - 1)


def enlarged(item: ArrayLike, height: int) -> Image.Image:
    """An image of at least so many pixels in height: by a whole factor, without smoothing; a large one is reduced."""
    image = _image(item)
    scale = max(1, math.ceil(height / image.height))
    return _reduced(image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST))


def as_data_uri(image: Image.Image, *, exact: bool) -> str:
    """Write an image into a data URI: PNG keeps small ones exact, WebP keeps larger ones light."""
    file = io.BytesIO()
    kind = "png" if exact else "webp"
    image.save(file, format=kind, **({"optimize": True} if exact else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _image(item: ArrayLike) -> Image.Image:
    pixels = _bytes(np.asarray(item))
    if pixels.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _bytes(item: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.round((np.clip(np.nan_to_num(item.astype(np.float64)), -1, 1) + 1) * 127.5).astype(np.uint8)


def _reduced(image: Image.Image) -> Image.Image:
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    return image
