"""How far a denoiser is from total memorization: its distance to the exact optimum on the training set."""

from collections.abc import Sequence

import torch
from torch import Generator

from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError
from taumem.models import EmpiricalDenoiser
from taumem.probes.probe import check_levels, mean
from taumem.randomness import generator_for
from taumem.record import Reading
from taumem.shapes import Items

__all__ = ["EmpiricalGap"]


class EmpiricalGap:
    """Measures E |D(xt) - D_empirical(xt)|^2 / E |x0 - mean x0|^2 on corrupted held-out items.

    ``empirical_gap`` is 0 for a model that has become the optimum on its training set. It is asked on held-out items,
    where a model that generalizes and one that memorizes answer differently.

    Args:
        diffusion: corrupts, and defines the optimum.
        train: training items [P, ...].
        heldout: items to corrupt.
        levels: diffusion times; around 0.5 and above, where neither denoiser merely returns its input.
        seed: of the noise.

    Raises:
        ConfigError: no training items, held-out items that are all the same, or a level outside (0, 1).
    """

    def __init__(
        self,
        diffusion: Diffusion,
        train: Items,
        heldout: Items,
        *,
        levels: Sequence[float] = (0.55,),
        seed: int = 0,
    ) -> None:
        check_levels(levels)
        if len(train) == 0 or not bool((heldout != heldout[:1]).any()):
            raise ConfigError(
                "the empirical gap needs training items, and held-out items that differ from one another; "
                f"got {len(train)} and {len(heldout)}."
            )
        self.diffusion = diffusion
        self.optimum = EmpiricalDenoiser(diffusion, train)
        self.heldout = heldout
        self.levels = tuple(levels)
        self.seed = seed
        self.scale = float((heldout - heldout.mean(dim=0)).square().mean())

    @torch.no_grad()
    def measure(self, denoiser: Denoiser, generator: Generator) -> Reading:
        """Measure the distance at each level. The noise is the probe's own, fixed; the generator is not used."""
        estimates = []
        for k, t in enumerate(self.levels):
            noise = self.diffusion.noise(
                self.heldout, generator_for(self.seed, "empirical gap", k, device=self.heldout.device)
            )
            times = torch.full((len(self.heldout),), t, device=self.heldout.device)
            xt = self.diffusion.corrupt(self.heldout, times, noise)
            difference = denoiser(xt, times) - self.optimum(xt, times)
            estimates.append(mean("empirical_gap", difference.square().flatten(1).mean(dim=1) / self.scale, t=t))
        return Reading(tuple(estimates))
