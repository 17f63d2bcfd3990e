"""Which motifs samples use, and how often: those of held-out items, or the common ones too often."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from taumem.data.items import as_items
from taumem.errors import ConfigError
from taumem.neighbors.patches import windows_of
from taumem.neighbors.views import coarse
from taumem.probes.frequencies import Motifs, counted, divergence, surprise
from taumem.probes.probe import mean
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["MotifUse", "blocks", "ngrams", "patch_kinds"]

N_RESAMPLES = 200
"""Of the bootstrap."""


class MotifUse:
    """Compares how often motifs stand in samples and in held-out items.

    ``motif_divergence[k]``: the Jensen-Shannon divergence between the frequencies of motifs of size k in the samples
    and in held-out items, in bits, from 0 for equal ones to 1. Its standard error is that of a bootstrap over samples.
    ``motif_surprise[k]``: the mean of -log2 q over those motifs of the samples that held-out items have too, with q
    their frequencies there. Samples that use the common ones more often than the data do, which is bland, surprise less
    than held-out items. (What no held-out item has, such as a slip, counts in the divergence alone.)

    Each with its chance, ``motif_divergence_chance[k]`` and ``motif_surprise_chance[k]``, that of as many other
    held-out items from the same ones: the items are shuffled once, as many as there are samples are set aside, and the
    rest is what both are compared with. (If there are more samples than half of the held-out items, only as many
    samples as that are used.) Finite sets differ by chance, the more the more motifs there are: only what is above or
    below it counts.

    Args:
        heldout: items that the model never saw, two at least.
        motifs: for each size, by the name k that it has, what gives the motifs of some items: :func:`ngrams`,
            :func:`blocks`, :func:`patch_kinds`.
        seed: of the shuffle and of the bootstrap.

    Raises:
        ConfigError: fewer than two held-out items.
        DataError: samples that are none of the held-out items' kind.

    Reference: Rodriguez et al. 2026, arXiv 2605.30642 (common motifs in the regime of partial memorization).
    """

    def __init__(self, heldout: Items, motifs: Mapping[str, Callable[[Items], Motifs]], *, seed: int = 0) -> None:
        if len(heldout) < 2:
            raise ConfigError(
                f"motifs of samples are compared with those of 2 or more held-out items; got {len(heldout)}."
            )
        order = torch.randperm(len(heldout), generator=generator_for(seed, "held-out halves"))
        self.heldout = heldout.cpu()[order]
        self.motifs = dict(motifs)
        self.seed = seed
        self._of_heldout = {size: motifs_of(self.heldout) for size, motifs_of in self.motifs.items()}
        self._chance: dict[int, tuple[Estimate, ...]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The sizes of the motifs, the seed, and how many held-out items there are."""
        return {"sizes": list(self.motifs), "seed": self.seed, "n_items": {"heldout": len(self.heldout)}}

    def measure(self, samples: Items) -> Reading:
        """Count the motifs of the samples."""
        samples = as_items(samples, "samples", like=self.heldout, least=1).cpu()
        n = min(len(samples), len(self.heldout) // 2)
        if n not in self._chance:
            aside = {size: motifs[:n] for size, motifs in self._of_heldout.items()}
            self._chance[n] = tuple(self._compared(aside, "_chance"))
        of_samples = {size: motifs_of(samples[:n]) for size, motifs_of in self.motifs.items()}
        return Reading((*self._compared(of_samples, ""), *self._chance[n]))

    def _compared(self, motifs: Mapping[str, Motifs], ending: str) -> Iterator[Estimate]:
        for size, some in motifs.items():
            n = len(some)
            counts = counted(torch.cat([some, self._of_heldout[size][n:]]))
            mine, reference = counts[:n], counts[n:].sum(axis=0)
            value, se = divergence(mine, reference, N_RESAMPLES, self.seed)
            yield Estimate(quantity=f"motif_divergence{ending}[{size}]", value=value, se=se, count=n)
            if len(bits := surprise(mine, reference)):
                yield mean(f"motif_surprise{ending}[{size}]", torch.from_numpy(bits))


def ngrams(n: int) -> Callable[[Items], Motifs]:
    """Motifs of texts: n symbols that stand side by side, wherever they stand."""
    return lambda texts: texts.unfold(1, n, 1)


def blocks(n: int) -> Callable[[Items], Motifs]:
    """Motifs of strings of a grammar: blocks of n tokens, wherever they stand: with n = s^l sub-trees of level l."""
    return lambda strings: strings.reshape(len(strings), -1, n)


def patch_kinds(prototypes: Items, size: float) -> Callable[[Items], Motifs]:
    """Motifs of images: at each place, which of some images has the nearest patch.

    The patches are squares that overlap by half, on at most 16 rows and columns of pixels.

    Args:
        prototypes: images of the same kind that nothing else is compared with [k, channels, height, width].
        size: side of the patches as a share of an image's shorter side, in (0, 1].
    """
    few = coarse(prototypes.cpu())
    height, width = few.shape[2:]
    windows = windows_of(max(1, round(size * min(height, width))), height, width)

    def motifs(images: Items) -> Motifs:
        seen = coarse(images)
        kinds = torch.stack([torch.cdist(window.of(seen), window.of(few)).argmin(dim=1) for window in windows], dim=1)
        places = torch.arange(len(windows)).expand_as(kinds)
        return torch.stack([places, kinds], dim=2)

    return motifs
