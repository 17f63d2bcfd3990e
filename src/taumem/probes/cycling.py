"""The stress test: samples are corrupted a little and denoised again, over and over, and drift towards what is known.

A model that draws no copies at one go may hold basins around its training items all the same. A sample that passes near
one is caught by it within a few cycles, and is counted as a copy then.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError, DataError, option
from taumem.probes.isolation import undisturbed
from taumem.probes.probe import SampleProbe, Sampler, draw_samples
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["CYCLES", "CYCLE_TIME", "Cycling", "Restore", "check_cycling", "cycle", "cycled_by"]

Restore = Callable[[Denoiser, Items, float, Generator], Items]
"""Brings corrupted items back to data: (denoiser, xt, t, generator) -> x0."""

CYCLES = 8
CYCLE_TIME = 0.2
"""How often samples are sent around, and from which diffusion time, unless said."""


@torch.no_grad()
def cycle(
    samples: Tensor,
    corrupt: Callable[[Tensor, float], Tensor],
    denoise: Callable[[Tensor, float], Tensor],
    *,
    t: float = CYCLE_TIME,
    cycles: int = CYCLES,
) -> Tensor:
    """Corrupt samples of any model and denoise them again, several times: a stress test for copies.

    The model is asked to be in evaluation mode; nothing is recorded for gradients. What comes out is to be audited as
    samples are: ``taumem.audit(samples, train, heldout, stress=cycled)``.

    Args:
        samples: what the model has drawn [n, ...].
        corrupt: brings data to a diffusion time, with fresh noise: (x0, t) -> xt.
        denoise: brings them back by the model: (xt, t) -> x0.
        t: the diffusion time, in (0, 1): a share of the process. A tenth to a fifth shows most; from half of it on
            samples are drawn anew.
        cycles: how many times, at least 1.

    Raises:
        ConfigError: a time or a number of cycles out of its range.
        DataError: a cycle gives items of another shape, or numbers that are not finite.

    Reference: Verma et al. 2026, "Early Signatures of Memorization" (cyclic denoising).
    """
    check_cycling(t, cycles)
    for k in range(cycles):
        found = denoise(corrupt(samples, t), t)
        same = found.shape == samples.shape
        if not same or not bool(torch.isfinite(found).all()):
            raise DataError(
                f"cycle {k + 1} gives shape {tuple(found.shape)}{', not all finite' if same else ''}; expected finite "
                f"items of shape {tuple(samples.shape)}: does denoise(xt, t) give back clean samples?"
            )
        samples = found
    return samples


def check_cycling(t: float, cycles: int) -> None:
    """Refuse numbers by which no sample can be sent around.

    Raises:
        ConfigError: one of them, by name.
    """
    if not 0 < t < 1:
        raise ConfigError(f"{option('t', 'time')} is the time that samples are sent to, between 0 and 1; got {t}.")
    if cycles < 1:
        raise ConfigError(f"{option('cycles')} is how often samples are sent around, at least once; got {cycles}.")


def cycled_by(
    diffusion: Diffusion, denoiser: Denoiser, restore: Restore, samples: Items, *, t: float, cycles: int, seed: int
) -> Items:
    """Send samples around by a diffusion of taumem's; the noise belongs to the seed, and the model stays as it is."""
    generator = generator_for(seed, "cycling", device=samples.device)

    def corrupt(x0: Tensor, t: float) -> Tensor:
        times = torch.full((len(x0),), t, device=x0.device)
        return diffusion.corrupt(x0, times, diffusion.noise(x0, generator))

    with undisturbed(denoiser):
        return cycle(samples, corrupt, lambda xt, t: restore(denoiser, xt, t, generator), t=t, cycles=cycles)


class Cycling:
    """Counts copies among samples that were sent around: corrupted to a share of the process, and denoised again.

    ``cycled_copies``: of these the share that are copies of training items, by the rule of the probe that counts them.
    ``cycled_copies_chance``: the share that are copies of held-out items by the same rule, which the model never saw:
    what drifting towards likely items gives by itself. Where fewer held-out items stand in than there are training
    items, chance is as many times as large as the count (which is too much where one sample meets several; a gap ratio
    does not depend on the number of items, and is taken as it is).

    Samples and noise are the same at every look.

    Args:
        diffusion: what corrupts.
        sampler: draws the samples to start from.
        restore: brings corrupted samples back.
        copies: counts copies of training items: ``Copies``, ``TextCopies``, ``GrammarLevels``.
        phantoms: counts copies of held-out items, likewise.
        times_more: training items for each held-out one that stands in, by which chance is multiplied; at least 1.
        t: diffusion time, in (0, 1): a share of the process.
        cycles: how many times samples are sent around, at least 1.
        seed: of samples and noise.

    Raises:
        ConfigError: a number out of its range.

    Reference: Verma et al. 2026, "Early Signatures of Memorization" (cyclic denoising).
    """

    def __init__(
        self,
        diffusion: Diffusion,
        sampler: Sampler,
        restore: Restore,
        copies: SampleProbe,
        phantoms: SampleProbe,
        *,
        times_more: float = 1.0,
        t: float = CYCLE_TIME,
        cycles: int = CYCLES,
        seed: int = 0,
    ) -> None:
        check_cycling(t, cycles)
        if not times_more >= 1:
            raise ConfigError(f"times_more multiplies chance by 1 or more; got {times_more}.")
        self.diffusion = diffusion
        self.sampler = sampler
        self.restore = restore
        self.copies, self.phantoms = copies, phantoms
        self.times_more = times_more
        self.t, self.cycles = t, cycles
        self.seed = seed

    @property
    def settings(self) -> dict[str, Any]:
        """How often, from which time, the seed, and what was counted against."""
        facts = {"t": self.t, "cycles": self.cycles, "seed": self.seed, "times_more": self.times_more}
        return facts | {"copies": self.copies.settings, "phantoms": self.phantoms.settings}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Draw samples, send them around, and count."""
        return self.measure_from(denoiser, draw_samples(self.sampler, denoiser, self.seed))

    def measure_from(self, denoiser: Denoiser, samples: Items) -> Reading:
        """Send samples around that were drawn already, and count."""
        cycled = cycled_by(
            self.diffusion, denoiser, self.restore, samples, t=self.t, cycles=self.cycles, seed=self.seed
        )
        found, phantom = (_count(probe, cycled) for probe in (self.copies, self.phantoms))
        chance = {end: min(1.0, self.times_more * (getattr(phantom, end) or 0.0)) for end in ("value", "low", "high")}
        return Reading(
            (
                found.model_copy(update={"quantity": "cycled_copies"}),
                phantom.model_copy(update={"quantity": "cycled_copies_chance", **chance}),
            )
        )


def _count(probe: SampleProbe, samples: Items) -> Estimate:
    """The share of copies, as the probe counts it."""
    for estimate in probe.measure(samples).estimates:
        if estimate.quantity == "copy_fraction":
            return estimate
    raise ConfigError(f"{type(probe).__name__} counts no copies; give one that measures copy_fraction, such as Copies.")
