"""Samples before, at and after the onset, each beside its nearest training image."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taumem.analysis import Onset
from taumem.record import RunRecord
from taumem.report.study import Study, curve_of
from taumem.report.wording import number, percent

__all__ = ["COPY_RATIO", "Exhibit", "Moment", "Pair", "gallery", "moments_to_show", "typical_step", "words_of"]

COPY_RATIO = 1 / 3
"""A sample is a copy if its nearest training item is nearer than this share of the way to the second nearest."""
N_PAIRS = 12
BEFORE = 4.0
"""How many times earlier than the onset the first moment lies."""
SHOWN_HEIGHT, LARGEST = 64, 128
"""Pixels: images less high are enlarged by a whole factor, larger ones are reduced."""
EXACT_HEIGHT = 32
"""Up to this height, pixels are kept exactly."""


@dataclass(frozen=True)
class Pair:
    """A sample beside its nearest training image.

    Attributes:
        image: both, side by side, as a data URI.
        gap_ratio: distance to the nearest training image over that to the second nearest; None if not kept.
    """

    image: str
    gap_ratio: float | None

    @property
    def is_copy(self) -> bool:
        """Whether the sample counts as a copy."""
        return self.gap_ratio is not None and self.gap_ratio < COPY_RATIO

    @property
    def description(self) -> str:
        """What the pair shows, for those who do not see it."""
        ratio = "" if self.gap_ratio is None else f", gap ratio {number(self.gap_ratio)}"
        return f"sample and nearest training image{ratio}{' (copy)' if self.is_copy else ''}"


@dataclass(frozen=True)
class Moment:
    """A step at which samples were kept."""

    name: str
    step: int
    words: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Exhibit:
    """The moments of one run."""

    title: str
    moments: tuple[Moment, ...]


def gallery(study: Study) -> list[Exhibit]:
    """Show the run on the fewest training examples, and the one on the most (the held-back one, if any).

    The first 12 samples are shown, whatever they look like: the same noise at each moment.

    Args:
        study: whose samples to show; runs whose samples are not images are passed over.

    Returns:
        At most two exhibits; none where no run kept images.
    """
    with_images = {r.header.data.n_train: r for r in reversed(study.records) if _keeps_images(r)}
    ends = sorted({min(with_images), max(with_images)}) if with_images else []
    return [_exhibit(with_images[n_train], study) for n_train in ends]


def _exhibit(record: RunRecord, study: Study) -> Exhibit:
    n_train = record.header.data.n_train
    clock = study.headline
    tau = typical_step(clock.onsets, n_train) if clock else None
    moments = tuple(_moment(record, name, step) for name, step in moments_to_show(record.array_steps(), tau))
    late = f" · {clock.clock} = {number(tau)} steps" if clock and tau else ""
    return Exhibit(f"P = {n_train:,}{' (held back)' if n_train in study.held_back else ''}{late}", moments)


def typical_step(onsets: Sequence[Onset], n_train: int) -> float | None:
    """The geometric mean of the onsets at a size; None where none was located."""
    steps = [onset.step for onset in onsets if onset.n_train == n_train and onset.usable and onset.step > 0]
    return math.exp(sum(map(math.log, steps)) / len(steps)) if steps else None


def moments_to_show(steps: Sequence[int], tau: float | None) -> list[tuple[str, int]]:
    """Choose the steps to show: before the onset, at it, and the last; or early, middle and late if there is none."""
    steps = [step for step in steps if step > 0]
    if not steps:
        return []
    last = steps[-1]
    if tau is None:
        chosen = [("early", steps[0]), ("midway", steps[len(steps) // 2]), ("late", last)]
    else:
        at = min(steps, key=lambda step: abs(math.log(step / tau)))
        before = min(steps, key=lambda step: abs(math.log(step / (tau / BEFORE))))
        chosen = [("before", before), ("at the onset", at), ("after", last)]
        if before >= at:
            del chosen[0]
        if last <= at and len(chosen) > 1:
            del chosen[-1]
    return [(name, step) for k, (name, step) in enumerate(chosen) if step not in [s for _, s in chosen[:k]]]


def _moment(record: RunRecord, name: str, step: int) -> Moment:
    return Moment(name, step, words_of(record, step), tuple(_pairs(record.arrays(step))))


def words_of(record: RunRecord, step: int) -> str:
    """Say how far along a run is at a step, and how many of its samples are copies there."""
    words = f"{number(step / record.header.data.n_train)} steps an example"
    copies = curve_of(record, "copy_fraction")
    if copies is not None and step in copies.steps:
        k = int(np.searchsorted(copies.steps, step))
        words += f" · copies: {percent(float(copies.values[k]))} of {copies.counts[k]:,}"
    return words


def _pairs(arrays: dict[str, NDArray[Any]]) -> list[Pair]:
    samples, nearest = arrays["samples"][:N_PAIRS], arrays["nearest"][:N_PAIRS]
    ratios = arrays.get("gap_ratio")
    known = ratios is not None and len(ratios) >= len(samples)
    return [
        Pair(_picture(sample, near), float(ratios[k]) if known and ratios is not None else None)
        for k, (sample, near) in enumerate(zip(samples, nearest, strict=True))
    ]


def _keeps_images(record: RunRecord) -> bool:
    """Whether the run kept images and their nearest training images: [k, 1 or 3, height, width]."""
    steps = record.array_steps()
    arrays = record.arrays(steps[-1]) if steps else {}
    samples, nearest = arrays.get("samples"), arrays.get("nearest")
    if samples is None or nearest is None or samples.shape != nearest.shape or samples.ndim != 4:
        return False
    return samples.shape[1] in (1, 3) and len(samples) > 0 and min(samples.shape[2:]) > 1


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
