"""How far a denoiser is from total memorization: its distance to the exact optimum on the training set."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from taumem.data.items import as_items, refuse_other_scale
from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError
from taumem.models import EmpiricalDenoiser
from taumem.probes.isolation import undisturbed
from taumem.probes.probe import BLOCK, check_times, in_blocks, items_for, mean
from taumem.randomness import generator_for
from taumem.record import Reading
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = ["EmpiricalGap"]


class EmpiricalGap:
    """Measures E |D(xt) - D_empirical(xt)|^2 / E |x0 - mean x0|^2 on corrupted held-out items.

    ``empirical_gap`` is 0 for a model that has become the optimum on its training set. It is asked on held-out items,
    where a model that generalizes and one that memorizes answer differently.

    Args:
        diffusion: corrupts, and defines the optimum.
        train: training items [P, ...].
        heldout: items to corrupt.
        times: diffusion times in (0, 1); around 0.5 and above, where neither denoiser merely returns its input.
        seed: of the noise.
        block: items that the denoisers look at together.

    Raises:
        ConfigError: no training items, held-out items that are all the same, or a time outside (0, 1).
        DataError: items that are not finite, that the diffusion cannot corrupt, or of another shape or scale.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        train: Items,
        heldout: Items,
        *,
        times: Sequence[float] = (0.55,),
        seed: int = 0,
        block: int = BLOCK,
    ) -> None:
        check_times(times)
        train = items_for(diffusion, train, "training items")
        heldout = as_items(items_for(diffusion, heldout, "held-out items"), "held-out items", like=train)
        refuse_other_scale(heldout, train, "held-out items")
        if len(train) == 0 or not bool((heldout != heldout[:1]).any()):
            raise ConfigError(
                "the empirical gap needs training items, and held-out items that differ from one another; "
                f"got {len(train)} and {len(heldout)}."
            )
        self.diffusion = diffusion
        self.optimum = EmpiricalDenoiser(diffusion, train)
        self.heldout = heldout
        self.times = tuple(times)
        self.seed = seed
        self.block = block
        self.scale = float((heldout - heldout.mean(dim=0)).square().mean())

    @property
    def settings(self) -> dict[str, Any]:
        """The diffusion times, the seed of the noise and the numbers of items."""
        n_items = {"train": len(self.optimum.train), "heldout": len(self.heldout)}
        return {"times": list(self.times), "seed": self.seed, "n_items": n_items}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Measure the distance at each time, under the same noise at every look."""
        x0, estimates = self.heldout, []
        with undisturbed(denoiser):
            for k, t in enumerate(self.times):
                noise = self.diffusion.noise(x0, generator_for(self.seed, "empirical gap", k, device=x0.device))
                at = torch.full((len(x0),), t, device=x0.device)
                distances = in_blocks(partial(self._distances, denoiser), self.block, x0, at, noise)
                estimates.append(mean("empirical_gap", distances / self.scale, t=t))
        return Reading(tuple(estimates))

    def _distances(self, denoiser: Denoiser, x0: Batch, t: Times, noise: Batch) -> PerItem:
        xt = self.diffusion.corrupt(x0, t, noise)
        return (denoiser(xt, t) - self.optimum(xt, t)).square().flatten(1).mean(dim=1)
