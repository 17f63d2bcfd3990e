"""Samples that are images, each beside its nearest training image."""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taumem.analysis.wording import number
from taumem.record import DataFacts, RunHeader
from taumem.report.exhibits.way import Arrays, Way
from taumem.report.items import copies_among

__all__ = ["PICTURES", "PictureSample"]

N_PICTURES = 12
SHOWN_HEIGHT, LARGEST = 64, 128
"""Pixels: images less high are enlarged by a whole factor, larger ones are reduced."""
EXACT_HEIGHT = 32
"""Up to this height, pixels are kept exactly."""


@dataclass(frozen=True)
class PictureSample:
    """A sample beside its nearest training image.

    Attributes:
        image: both, side by side, as a data URI.
        copied: whether the sample counts as a copy.
        gap_ratio: distance to the nearest training image over that to the second nearest; None if unknown.
    """

    image: str
    copied: bool
    gap_ratio: float | None

    @property
    def description(self) -> str:
        """What the picture shows, for those who do not see it."""
        ratio = "" if self.gap_ratio is None else f", gap ratio {number(self.gap_ratio)}"
        return f"sample and nearest training image{ratio}{' (copy)' if self.copied else ''}"


def _can_show(_: DataFacts, arrays: Arrays) -> bool:
    """Whether these are images and their nearest training images: [k, 1 or 3, height, width]."""
    samples, nearest = arrays["samples"], arrays.get("nearest")
    if nearest is None or samples.shape != nearest.shape or samples.ndim != 4:
        return False
    return samples.shape[1] in (1, 3) and len(samples) > 0 and min(samples.shape[2:]) > 1


def _show(run: RunHeader, looks: Sequence[Arrays]) -> Iterator[tuple[PictureSample, ...]]:
    for arrays in looks:
        samples, unknown = arrays["samples"], np.full(len(arrays["samples"]), np.nan)
        ratios = arrays.get("gap_ratio", unknown)
        ratios = ratios if len(ratios) >= len(samples) else unknown
        of_look = zip(samples[:N_PICTURES], arrays["nearest"], ratios, copies_among(run, arrays), strict=False)
        yield tuple(
            PictureSample(_picture(sample, near), bool(copied), float(ratio) if np.isfinite(ratio) else None)
            for sample, near, ratio, copied in of_look
        )


def _picture(sample: NDArray[Any], near: NDArray[Any]) -> str:
    """Draw two images [C, H, W] in [-1, 1] side by side, as a data URI."""
    left, right = (_image(pixels) for pixels in (sample, near))
    gutter = max(2, left.width // 14)
    both = Image.new("RGBA", (left.width + gutter + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width + gutter, 0))
    file = io.BytesIO()
    # PNG keeps small images exact; larger ones would make the page too heavy for mail.
    kind = "png" if sample.shape[1] <= EXACT_HEIGHT else "webp"
    if kind == "png" and len(sample) == 1:
        both = both.convert("LA")
    both.save(file, format=kind, **({"optimize": True} if kind == "png" else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _image(item: NDArray[Any]) -> Image.Image:
    """One image, small ones enlarged without smoothing, large ones reduced."""
    pixels = np.clip(np.round((np.nan_to_num(item) + 1) * 127.5), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)).convert("RGB")
    scale = max(1, math.ceil(SHOWN_HEIGHT / image.height))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    return image


PICTURES = Way("images", _can_show, _show)
