"""What a model of the data is to everything else: something that predicts the clean data."""

from typing import Protocol

from torch import Tensor

from taumem.shapes import Batch, Times

__all__ = ["Denoiser"]


class Denoiser(Protocol):
    """Predicts the clean data from corrupted data: the posterior mean of ``x0`` given ``xt``.

    For tokens the prediction is one log-probability for each symbol at each position. Networks, the exact optimum on a
    training set, the exact denoiser of a known distribution and the stubs of the tests are all of this kind.
    """

    def __call__(self, xt: Batch, t: Times) -> Tensor:
        """Predict x0 from xt at diffusion times t."""
        ...
