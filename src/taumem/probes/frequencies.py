"""How often motifs (n-grams, blocks, patches) stand in items, and how unlike the frequencies in two sets are."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import entr
from torch import Tensor

from taumem.randomness import generator_for

__all__ = ["Motifs", "counted", "divergence", "surprise"]

Floats = NDArray[np.float64]
Motifs = Int64[Tensor, "n per_item length"]
"""The motifs of each item, each as some whole numbers from 0: those with equal numbers are the same motif."""


def counted(motifs: Motifs) -> csr_array:
    """How often each motif stands in each item: [n, motifs that occur]."""
    values = motifs.long().numpy()
    n, per_item, length = values.shape
    number = np.zeros((n, per_item), np.int64)
    for place in range(length):  # number the beginnings of the motifs, one symbol longer each time
        longer = number * (int(values.max()) + 1) + values[..., place]
        number = np.unique(longer, return_inverse=True)[1].reshape(n, per_item)
    row = np.repeat(np.arange(n), per_item)
    return csr_array((np.ones(row.size), (row, number.ravel())), shape=(n, int(number.max()) + 1))


def divergence(counts: Any, reference: NDArray[Any], n_resamples: int, seed: int) -> tuple[float, float]:
    """Give the Jensen-Shannon divergence of the counts of some items from the reference, in bits, in [0, 1].

    Its standard error is that of a bootstrap over the items, with the same draws for as many items.

    Reference: Lin 1991, IEEE Trans. Inf. Theory 37, 145.
    """
    n = counts.shape[0]
    times = np.vstack([np.ones(n), _resampled(n, n_resamples, seed)])  # the items as they are, then resamples of them
    value, *redrawn = _divergences(times @ counts, reference).tolist()
    return value, float(np.std(redrawn, ddof=1))


def surprise(counts: Any, reference: NDArray[Any]) -> Floats:
    """Give the mean of -log2 q over the motifs that the reference has too, in bits, with q their frequencies there.

    It is a ratio, of bits over motifs of all items together. What comes back are values of single items whose mean it
    is and whose scatter is that of the ratio, to first order [n]; none where no motif is known.
    """
    known = reference > 0
    bits = -np.log2(reference[known] / reference.sum())
    per_item, n_known = counts[:, known] @ bits, counts[:, known].sum(axis=1)
    if n_known.sum() == 0:
        return np.empty(0)
    ratio = per_item.sum() / n_known.sum()
    found: Floats = ratio + (per_item - ratio * n_known) / n_known.mean()
    return found


def _divergences(counts: NDArray[Any], reference: NDArray[Any]) -> Floats:
    """Give the Jensen-Shannon divergence of each row of counts from the reference, in bits.

    H((p + q) / 2) - (H(p) + H(q)) / 2, with p and q the counts scaled to sum to 1, and H the entropy.
    """
    p = counts / counts.sum(axis=1, keepdims=True)
    q = reference / reference.sum()
    nats = entr((p + q) / 2).sum(axis=1) - (entr(p).sum(axis=1) + entr(q).sum()) / 2
    bits: Floats = np.clip(nats / np.log(2), 0, 1)  # rounding leaves equal frequencies a little off 0
    return bits


def _resampled(n: int, n_resamples: int, seed: int) -> Floats:
    """How often each of n items is drawn, with replacement, in each resample [n_resamples, n]."""
    generator = generator_for(seed, "resampled samples")
    drawn = torch.randint(n, (n_resamples, n), generator=generator)
    times = torch.zeros((n_resamples, n), dtype=torch.float64)
    found: Floats = times.scatter_add_(1, drawn, torch.ones_like(times)).numpy()
    return found
