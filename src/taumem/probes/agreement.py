"""Do two models, trained on disjoint sets, draw the same samples from the same noise?

Models that have learned the distribution do; models that have learned their training sets do not.

Reference: Kadkhodaie et al. 2024, arXiv 2310.02557.
"""

from typing import Any

from taumem.analysis import agreement, agreement_chance
from taumem.data.items import as_items
from taumem.diffusion import Denoiser
from taumem.probes.probe import Sampler, draw_samples
from taumem.record import Reading
from taumem.shapes import Items

__all__ = ["Agreement"]


class Agreement:
    """Measures how alike two models' samples from the same initial noise are.

    ``agreement`` is the mean cosine similarity of images, in [-1, 1], and the mean share of positions with equal
    symbols of tokens, in [0, 1]; ``agreement_chance`` is the same for pairs from different noise.

    Args:
        twin: the other model; it may be in training too.
        sampler: draws samples from a denoiser and a generator; the measured model's samples come from it too.
        seed: of the noise that the samples start from: the monitor's, so that both models start from the same.
    """

    def __init__(self, twin: Denoiser, sampler: Sampler, *, seed: int = 0) -> None:
        self.twin = twin
        self.sampler = sampler
        self.seed = seed

    @property
    def settings(self) -> dict[str, Any]:
        """The seed."""
        return {"seed": self.seed}

    def measure(self, samples: Items) -> Reading:
        """Draw the twin's samples from the same noise and compare.

        Raises:
            ConfigError: fewer than 2 samples, or the twin's are of another shape or kind.
            DataError: samples that are not finite.
        """
        samples = as_items(samples, "samples")
        drawn = draw_samples(self.sampler, self.twin, self.seed)
        ours, theirs = (items.float() if items.is_floating_point() else items for items in (samples, drawn))
        pair = ours.cpu().numpy(), theirs.cpu().numpy()
        return Reading((agreement(*pair), agreement_chance(*pair)))
