"""Samples that are images, each beside its nearest training image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taumem.analysis.wording import number
from taumem.record import DataFacts, RunHeader
from taumem.record.thumbnails import EXACT_HEIGHT, as_data_uri, enlarged
from taumem.report.exhibits.way import Arrays, Way
from taumem.report.items import copies_among

__all__ = ["PICTURES", "SHOWN_HEIGHT", "PictureSample", "are_pictures"]

N_PICTURES = 12
SHOWN_HEIGHT = 64
"""Pixels: images less high are enlarged by a whole factor."""


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


def are_pictures(arrays: Arrays) -> bool:
    """Whether samples were kept that are images: [k, 1 or 3, height, width]."""
    samples = arrays.get("samples")
    if samples is None or samples.ndim != 4 or not len(samples):
        return False
    return samples.shape[1] in (1, 3) and min(samples.shape[2:]) > 1


def _can_show(_: DataFacts, arrays: Arrays) -> bool:
    """Whether these are images and their nearest training images."""
    nearest = arrays.get("nearest")
    return are_pictures(arrays) and nearest is not None and nearest.shape == arrays["samples"].shape


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
    left, right = (enlarged(pixels, SHOWN_HEIGHT).convert("RGB") for pixels in (sample, near))
    gutter = max(2, left.width // 14)
    both = Image.new("RGBA", (left.width + gutter + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width + gutter, 0))
    exact = sample.shape[1] <= EXACT_HEIGHT
    return as_data_uri(both.convert("LA") if exact and len(sample) == 1 else both, exact=exact)


PICTURES = Way("images", _can_show, _show)
