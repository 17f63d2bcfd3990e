"""How isolated training items are: a fact of the data, kept beside the losses so that records can be asked about it."""

from typing import Any

from taumem.data.items import as_items
from taumem.diffusion import Denoiser
from taumem.errors import ConfigError
from taumem.neighbors import nearest
from taumem.probes.probe import mean
from taumem.record import Reading
from taumem.shapes import Items

__all__ = ["Coverage"]


class Coverage:
    """Says how far each training item is from the nearest others: ``isolation``, with the value of each item.

    The mean distance to the three nearest other training items (fewer where the set is smaller): the root mean square
    over coordinates of numbers, the share of positions that differ of tokens. It asks nothing of the model, and is the
    same at every look.

    Args:
        items: the training items to say it of.
        train: the whole training set, in which they stand first.

    Raises:
        ConfigError: a training set of one item, or items that are not its first.

    Reference: Merger and Goldt 2026, arXiv 2606.14390.
    """

    def __init__(self, items: Items, train: Items, *, n_nearest: int = 3) -> None:
        train = as_items(train, "training items")
        n = len(items)
        if len(train) < 2 or not items.equal(train[:n]):
            raise ConfigError(f"isolation is that of the first items of a training set of 2 or more; got {len(train)}.")
        self.n_nearest = min(n_nearest, len(train) - 1)
        is_numbers = train.is_floating_point()
        flat = train.reshape(len(train), -1)
        # An item is its own nearest: the sum over k + 1 is that over the k others.
        distances, _ = nearest(flat[:n], flat, self.n_nearest + 1, metric="euclidean" if is_numbers else "hamming")
        scale = flat.shape[1] ** 0.5 if is_numbers else flat.shape[1]
        self.isolation = distances.double().sum(1) / self.n_nearest / scale

    @property
    def settings(self) -> dict[str, Any]:
        """How many neighbors count, and of how many items it is said."""
        return {"n_nearest": self.n_nearest, "n_items": len(self.isolation)}

    def measure(self, _: Denoiser | None = None) -> Reading:
        """Say it."""
        return Reading((mean("isolation", self.isolation, keep_items=True),))
