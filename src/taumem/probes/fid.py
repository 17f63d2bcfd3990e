"""FID and KID, by torchmetrics (the extra ``fid``), in the features of a network that the user brings as a file.

The customary network is Inception v3. Its file is not part of taumem, and nothing is downloaded.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from taumem.data.items import as_items
from taumem.errors import ConfigError
from taumem.models.extractors import extractor_at
from taumem.probes.frechet import frechet_distance
from taumem.probes.isolation import random_states_kept
from taumem.probes.probe import in_blocks
from taumem.probes.with_chance import WithChance, halves
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["FIDAndKID"]

BLOCK = 64
"""Images that the network looks at together."""

Features = Float[Tensor, "n d"]


class FIDAndKID:
    """Measures FID and KID of samples, from held-out images and from the training set.

    ``heldout_fid``, ``heldout_kid``, ``train_fid``, ``train_kid``, each with the value that held-out images reach
    (``..._chance``), at equal counts: held-out images are shuffled and halved, as in
    :class:`taumem.probes.ImageQuality`. FID is larger the fewer the images are, so that it can be compared with its
    chance and with other looks, and not with published numbers, which are of 10,000 images or more; KID has no such
    bias (of both sets as many are taken). Standard errors are those of drawing the samples, to first order.

    Args:
        train: training images [P, 1 or 3, height, width], at least 2.
        heldout: images that the model never saw, at least 4.
        network: where it is: ``FILE.pt[:SCALE][:SIZE]`` or the like, as for :func:`taumem.audit`'s features.
        seed: of the shuffle.

    Raises:
        ConfigError: torchmetrics is not installed; no network is at that place, or it gives no vectors; fewer images.
        DataError: items or samples that are not finite, or of another shape; fewer than 2 samples.

    Reference: Heusel et al. 2017, arXiv 1706.08500 (FID); Binkowski et al. 2018, arXiv 1801.01401 (KID).
    """

    def __init__(self, train: Items, heldout: Items, network: str, *, seed: int = 0) -> None:
        _metrics()
        self.network, self.seed = network, seed
        self.sentence, self.digest, self.extractor = extractor_at(network)
        train = as_items(train, "training items")
        heldout = as_items(heldout, "held-out items", like=train)
        if len(train) < 2 or len(heldout) < 4:
            raise ConfigError(f"FID needs 2 training and 4 held-out images; got {len(train)} and {len(heldout)}.")
        aside, reference = halves(heldout, seed)
        self.references = {"heldout": self._features(reference), "train": self._features(train)}
        self._with_chance = WithChance(train[:1], aside, self._features, self._compared)

    @property
    def settings(self) -> dict[str, Any]:
        """The network and the digest of its file, the seed, and how many items are compared with."""
        n_items = {name: len(reference) for name, reference in self.references.items()}
        return {"network": self.sentence, "sha256": self.digest, "seed": self.seed, "n_items": n_items}

    def measure(self, samples: Items) -> Reading:
        """Compare the samples, as many of them as there are held-out images to know chance from."""
        return self._with_chance.measure(samples)

    @torch.no_grad()
    def _features(self, images: Items) -> Features:
        features: Tensor = in_blocks(lambda block: torch.as_tensor(self.extractor(block)).float(), BLOCK, images.cpu())
        if features.ndim != 2:
            raise ConfigError(f"{self.network}: a vector for each image is wanted; got {tuple(features.shape)}.")
        return features

    def _compared(self, found: Features) -> Iterator[Estimate]:
        n = len(found)
        for name, reference in self.references.items():
            errors = frechet_distance(found, reference).items.std() / n**0.5
            yield Estimate(quantity=f"{name}_fid", value=_fid(found, reference), se=float(errors), count=n)
            k = min(n, len(reference))
            value, se = _kid(found[:k], reference[:k])
            yield Estimate(quantity=f"{name}_kid", value=value, se=se, count=k)


class _Given(nn.Module):
    """Features that are there already, where torchmetrics wants a network that makes them."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Features) -> Features:
        return features


def _metrics() -> tuple[Any, Any]:
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.kid import KernelInceptionDistance
    except ImportError as error:
        raise ConfigError("FID and KID are measured by torchmetrics: pip install 'taumem[fid]'.") from error
    return FrechetInceptionDistance, KernelInceptionDistance


def _fid(found: Features, reference: Features) -> float:
    metric = _metrics()[0](feature=_Given(found.shape[1]))
    metric.update(reference, real=True)
    metric.update(found, real=False)
    return float(metric.compute())


def _kid(found: Features, reference: Features) -> tuple[float, float]:
    """KID of two sets of one size, and its standard error over samples: of a U-statistic, to first order."""
    n = len(found)
    with random_states_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all features in memory
        metric = _metrics()[1](feature=_Given(found.shape[1]), subsets=1, subset_size=n)
        metric.update(reference, real=True)
        metric.update(found, real=False)
        value = float(metric.compute()[0])
    x, y = found.double(), reference.double()
    among, between = ((x @ other.T / x.shape[1] + 1) ** 3 for other in (x, y))
    parts = 2 * ((among.sum(1) - among.diagonal()) / (n - 1) - between.mean(1))
    return value, float(parts.std() / n**0.5)
