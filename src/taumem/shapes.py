"""Named tensor shapes, so that a signature says what each axis is.

Axes: ``batch`` (items corrupted or denoised together), ``n`` (items of a data set), ``*item`` (the axes of one item:
``channels height width`` for an image, ``positions`` for a text, ``dimensions`` for a vector).
"""

from jaxtyping import Float, Shaped
from torch import Tensor

__all__ = ["Batch", "Items", "PerItem", "Times"]

Batch = Shaped[Tensor, "batch *item"]
"""Items corrupted or denoised together: floats in [-1, 1] for images, integers for tokens."""

Items = Shaped[Tensor, "n *item"]
"""The items of a data set."""

PerItem = Float[Tensor, "batch"]
"""One number for each item of a batch; never reduced before the caller reduces it."""

Times = Float[Tensor, "batch"]
"""Diffusion times in [0, 1]: 0 is data, 1 is noise."""
