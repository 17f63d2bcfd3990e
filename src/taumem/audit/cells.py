"""The space that C_T compares items in: principal components of the training set, cut into cells by k-means."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans, vq
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh
from torch import Tensor

from taumem.randomness import generator_for

__all__ = ["centers_of", "projected", "some_of"]

STARTS = 10
"""Of k-means, of which the best is kept."""
ROWS = 4096
"""Training items from which principal components are found; of more, so many are drawn by the seed."""
AT_ONCE = 1024
"""Items that are projected at a time."""

LARGE = 8
"""So many times as many numbers as components make Lanczos' method faster than a full decomposition."""
STILL = 1e-5
"""K-means ends when the mean distance to the centers changes by less, in units of the spread of the items."""

Floats = NDArray[np.float64]


def some_of(rows: Float[Tensor, "n d"], size: int, seed: int, of: str) -> Float[Tensor, "k d"]:
    """At most so many rows, drawn by the seed, in their order."""
    if len(rows) <= size:
        return rows
    return rows[drawn(len(rows), size, seed, "scores", of).to(rows.device)]


def drawn(n: int, size: int, seed: int, *purpose: str) -> Int[Tensor, "size"]:
    """So many places of n, drawn by the seed, ascending."""
    return torch.randperm(n, generator=generator_for(seed, *purpose))[:size].sort().values


def projected(
    train: Float[Tensor, "P d"], sets: Sequence[Float[Tensor, "n d"]], components: int, seed: int
) -> list[Floats]:
    """Put sets on the training set's first principal components, in double precision.

    Rows of no more numbers than components are left as they are. Where both items and their numbers are more than
    4,096, so many items are drawn to find the components.
    """
    if train.shape[1] <= components:
        return [rows.double().cpu().numpy() for rows in sets]
    center, directions = _components(
        some_of(train, ROWS, seed, "components") if _is_large(train) else train, components
    )
    return [torch.cat([(part.double() - center) @ directions for part in _parts(rows)]).cpu().numpy() for rows in sets]


def centers_of(rows: Floats, cells: int, seed: int) -> Floats:
    """Centers of k-means: the best of several starts, each of which spreads its first centers out (k-means++)."""
    found, still = [], STILL * float(rows.std())
    for start in range(STARTS):
        generator = generator_for(seed, "cells", start)
        first = [rows[int(torch.randint(len(rows), (), generator=generator))]]
        while len(first) < cells:
            square = ((rows[:, None] - np.array(first)) ** 2).sum(axis=2).min(axis=1)
            if not square.any():
                break  # there are no more distinct items
            first.append(rows[int(torch.multinomial(torch.as_tensor(square), 1, generator=generator))])
        centers = kmeans(rows, np.array(first), thresh=still)[0]
        found.append((float((vq(rows, centers)[1] ** 2).sum()), centers))
    return np.asarray(min(found, key=lambda one: one[0])[1])


def _is_large(rows: Tensor) -> bool:
    return min(rows.shape) > ROWS


def _components(rows: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """The mean of rows, and the orthonormal directions [d, components] along which they vary most."""
    center = torch.stack([part.double().sum(dim=0) for part in _parts(rows)]).sum(dim=0) / len(rows)
    # Of the two products of the rows with themselves, the smaller one has the same directions.
    if wide := len(rows) < rows.shape[1]:
        slices = [slice(start, start + AT_ONCE) for start in range(0, rows.shape[1], AT_ONCE)]
        product = sum(part @ part.T for part in (rows[:, some].double() - center[some] for some in slices))
    else:
        product = sum(part.T @ part for part in (part.double() - center for part in _parts(rows)))
    assert isinstance(product, Tensor)
    found = torch.as_tensor(_largest(product.cpu().numpy(), components), device=rows.device)
    if not wide:
        return center, found
    along = torch.cat([(rows[:, some].double() - center[some]).T @ found for some in slices])
    return center, torch.linalg.qr(along).Q


def _largest(product: Floats, components: int) -> Floats:
    """Eigenvectors of the largest eigenvalues, largest first; fewer where the others are 0."""
    n = len(product)
    if n > LARGE * components:
        start = torch.randn(n, dtype=torch.float64, generator=generator_for(0, "eigenvectors")).numpy()
        values, vectors = eigsh(product, components, v0=start)
    else:
        values, vectors = eigh(product, subset_by_index=[max(n - components, 0), n - 1])
    order = np.argsort(-values)
    return np.asarray(vectors[:, order[values[order] > 1e-12 * values.max()]])


def _parts(rows: Tensor) -> tuple[Tensor, ...]:
    return torch.split(rows, AT_ONCE)
