"""Augmentation: images that a training step sees mirrored or shifted, so that each counts for several."""

from dataclasses import dataclass

import torch
from torch import Tensor

from taumem.errors import ConfigError
from taumem.randomness import generator_for
from taumem.shapes import Batch, Items

__all__ = ["Augmentation"]


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to the images of a batch, before they are corrupted.

    Each image is drawn for anew at each step, from a generator of its own: nothing else that a run draws changes, and
    runs of one seed are shifted alike whether they are mirrored too or not.

    Attributes:
        flips: whether an image is mirrored left-right, with probability 1/2.
        shifts: an image moves by up to so many pixels, 0 for none, in both directions; each whole number is equally
            probable. Where it leaves an edge free, the border's pixels are repeated.

    Raises:
        ConfigError: ``shifts`` is no whole number of at least 0.
    """

    flips: bool = False
    shifts: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.shifts, int) or isinstance(self.shifts, bool) or self.shifts < 0:
            raise ConfigError(f"shifts is a number of pixels, 0 for none; got {self.shifts!r}.")

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self.flips or self.shifts > 0

    def check(self, data: Items) -> None:
        """Refuse items that it cannot change.

        Args:
            data: the training items [P, channels, height, width].

        Raises:
            ConfigError: they are no images, or smaller than the shifts.
        """
        if not self:
            return
        if data.ndim != 4 or not data.is_floating_point():
            raise ConfigError(
                "augmentation (flips, shifts) is for images, [n, channels, height, width], in floating-point numbers; "
                f"got items of shape {list(data.shape[1:])} in {data.dtype}."
            )
        if self.shifts >= min(data.shape[2:]):
            raise ConfigError(
                f"shifts of up to {self.shifts} pixels push images of {data.shape[2]} x {data.shape[3]} out of sight; "
                "choose fewer."
            )

    def of(self, x0: Batch, seed: int, step: int) -> Batch:
        """Give the images as a training step sees them.

        Args:
            x0: the batch [batch, channels, height, width].
            seed: of the run.
            step: of the training, from 1.
        """
        if not self:
            return x0
        device, n = x0.device, len(x0)
        generator = generator_for(seed, "augment", step, device=device)
        mirrored = torch.rand(n, generator=generator, device=device) < 0.5
        offsets = torch.randint(-self.shifts, self.shifts + 1, (2, n, 1), generator=generator, device=device)
        if self.flips:
            x0 = torch.where(mirrored[:, None, None, None], x0.flip(3), x0)
        if self.shifts:
            rows, columns = (_moved(length, by) for length, by in zip(x0.shape[2:], offsets, strict=True))
            x0 = x0.gather(2, rows[:, None, :, None].expand_as(x0)).gather(3, columns[:, None, None, :].expand_as(x0))
        return x0


def _moved(length: int, by: Tensor) -> Tensor:
    """For each place of a moved axis, the place that its pixel comes from: [batch, length]."""
    return (torch.arange(length, device=by.device) + by).clamp(0, length - 1)
