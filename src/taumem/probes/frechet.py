"""How far two sets of vectors are apart, as wholes: the Fréchet distance, and which lie among which."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from taumem.errors import ConfigError
from taumem.neighbors import nearest

__all__ = ["Frechet", "frechet_distance", "lie_among"]


class Frechet(NamedTuple):
    """A Fréchet distance, and what each sample contributes to it: their mean is the distance.

    Their scatter is that of the distance over fresh samples, to first order: its standard error is that of a mean. (It
    is too large by up to a half where there are fewer than some 8 samples for each dimension.)
    """

    value: float
    items: Float[Tensor, "n"]


def frechet_distance(samples: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> Frechet:
    """Compare two sets of vectors by their means and covariances: |a - b|^2 + tr(A + B - 2 (A B)^1/2).

    With the centered vectors as rows of X and Y, tr (A B)^1/2 is the sum of the singular values of X Y^T over
    sqrt((n - 1) (m - 1)), so that neither roots of matrices are needed nor more vectors than dimensions.

    The distance between finite sets is larger than that between what they were drawn from, the more so the fewer they
    are: only distances at equal numbers can be compared.

    Args:
        samples: at least 2.
        reference: at least 2.

    Raises:
        ConfigError: fewer vectors, or of other dimensions.

    Reference: Dowson and Landau 1982, J. Multivariate Anal. 12, 450; Heusel et al. 2017, arXiv 1706.08500 (FID).
    """
    if min(len(samples), len(reference)) < 2 or samples.shape[1:] != reference.shape[1:]:
        raise ConfigError(
            "a Fréchet distance compares two sets of 2 vectors or more, of as many dimensions; got "
            f"{tuple(samples.shape)} and {tuple(reference.shape)}."
        )
    samples, reference = samples.double(), reference.double()
    n, m = len(samples), len(reference)
    apart = samples.mean(0) - reference.mean(0)
    x, y = samples - samples.mean(0), reference - reference.mean(0)
    rows, inner = torch.linalg.qr(x)
    left, values, _ = torch.linalg.svd(inner @ torch.linalg.qr(y).R.T, full_matrices=False)
    scale = ((n - 1) * (m - 1)) ** 0.5
    overlap, spread = values.sum() / scale, x.square().sum() / (n - 1)
    value = apart.square().sum() + spread + y.square().sum() / (m - 1) - 2 * overlap
    # What a sample's weight moves: of the mean, of tr A, and of the singular values (twice the root, half of it moves).
    overlaps = n * ((rows @ left).square() * values).sum(1) / scale
    items = value + 2 * x @ apart + n / (n - 1) * x.square().sum(1) - spread - (overlaps - overlap)
    return Frechet(max(float(value), 0.0), items)


def lie_among(vectors: Float[Tensor, "n d"], others: Float[Tensor, "m d"], *, k: int = 3) -> Bool[Tensor, "n"]:
    """Say which vectors lie in the manifold of others: within the distance of any of these to its k-th neighbor there.

    Args:
        vectors: what is asked about.
        others: at least 2; where there are no more than k, the farthest of them is the neighbor.
        k: at least 1.

    Reference: Kynkäänniemi et al. 2019, arXiv 1904.06991, eq. 2.
    """
    radii = nearest(others, others, min(k + 1, len(others)))[0][:, -1]  # each is its own nearest neighbor
    distances, places = nearest(vectors, others, len(others))
    return (distances <= radii[places]).any(dim=1)
