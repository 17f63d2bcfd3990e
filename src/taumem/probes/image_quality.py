"""How much generated images are like those of the distribution, and like the training set: as wholes, not one by one.

Copies of training images pass for good samples. So every number comes twice, against held-out images and against the
training set, and beside each the one that held-out images reach themselves: samples that are nearer to the training set
than held-out images are copy it, as a whole.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.data.items import as_items
from taumem.errors import ConfigError
from taumem.models.random_features import random_features
from taumem.neighbors import distinct_items
from taumem.probes.frechet import frechet_distance, lie_among
from taumem.probes.probe import mean, share
from taumem.probes.with_chance import WithChance, halves
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["ImageQuality"]

PER_COMPONENT = 8
"""Held-out images for each principal component, at least."""


class ImageQuality:
    """Measures the Fréchet distance, precision and recall of images, in features that need no file.

    The features are random convolutions (:func:`taumem.models.random_features.random_features`), brought to the
    principal components of those of held-out images, each in units of its standard deviation there.

    The held-out images are shuffled once and halved. With the second half (the reference) samples are compared, and so
    are as many images of the first half, for what chance gives: fresh images of the distribution, at equal counts.

    ``heldout_frechet``: the Fréchet distance of the samples from the reference. ``train_frechet``: from the training
    set. Between finite sets the distance is never 0; fresh images of the distribution have ``heldout_frechet_chance``
    and ``train_frechet_chance``. Samples below the latter are nearer to the training set than new images are. With the
    contribution of each sample, from which the standard error comes: it is that of drawing samples, not of the
    reference, which is the same at all looks and for chance.

    ``heldout_precision``: the share of samples that lie in the manifold of the reference, ``heldout_recall``: the share
    of the reference that lies in that of the samples; ``train_precision`` and ``train_recall`` likewise, and each with
    its chance. References have as many images as there are samples, at most. With exact 95 % intervals, given the
    manifold.

    Args:
        train: training images [P, 1 or 3, height, width], 2 distinct ones at least.
        heldout: images that the model never saw, 4 at least.
        components: principal components, at most; fewer where held-out images are few.
        k: of the neighbor that says how large a manifold is.
        seed: of the shuffle.

    Raises:
        ConfigError: fewer images, or what came is none; components or k below 1.
        DataError: items or samples that are not finite, or of another shape; fewer than 2 samples.

    Reference: Heusel et al. 2017, arXiv 1706.08500; Kynkäänniemi et al. 2019, arXiv 1904.06991.
    """

    def __init__(self, train: Items, heldout: Items, *, components: int = 32, k: int = 3, seed: int = 0) -> None:
        if components < 1 or k < 1:
            raise ConfigError(f"components and k are at least 1; got {components} and {k}.")
        train = as_items(train, "training items")
        heldout = as_items(heldout, "held-out items", like=train)
        train = train[distinct_items(train)] if len(train) else train
        if len(train) < 2 or len(heldout) < 4:
            raise ConfigError(
                "the quality of images needs 2 distinct training images and 4 held-out ones, half of which are "
                f"compared with the other half; got {len(train)} and {len(heldout)}."
            )
        aside, reference = halves(heldout, seed)
        self.k = k
        self.seed = seed
        features = random_features(reference).double()
        self.components = min(components, max(1, len(reference) // PER_COMPONENT))
        self.center = features.mean(0)
        _, values, axes = torch.linalg.svd(features - self.center, full_matrices=False)
        scale = values[: self.components].clamp_min(1e-9 * float(values[0]) + 1e-12) / (len(reference) - 1) ** 0.5
        self.axes = axes[: self.components].T / scale
        self.references = {"heldout": self._features(reference), "train": self._features(train)}
        self._with_chance = WithChance(train[:1], aside, self._features, self._compared)

    @property
    def settings(self) -> dict[str, Any]:
        """The features, how many of their components there are, k, the seed, and how many items are compared with."""
        return {
            "features": "random convolutions",
            "components": self.components,
            "k": self.k,
            "seed": self.seed,
            "n_items": {name: len(reference) for name, reference in self.references.items()},
        }

    def measure(self, samples: Items) -> Reading:
        """Compare the samples, as many of them as there are held-out images to know chance from."""
        return self._with_chance.measure(samples)

    def _features(self, images: Items) -> Float[Tensor, "n components"]:
        components: Tensor = (random_features(images).double() - self.center) @ self.axes
        return components

    def _compared(self, found: Float[Tensor, "n components"]) -> Iterator[Estimate]:
        for name, reference in self.references.items():
            yield mean(f"{name}_frechet", frechet_distance(found, reference).items, keep_items=True)
            few = reference[: len(found)]
            inside, covered = lie_among(found, few, k=self.k), lie_among(few, found, k=self.k)
            yield share(f"{name}_precision", int(inside.sum()), len(inside))
            yield share(f"{name}_recall", int(covered.sum()), len(covered))
