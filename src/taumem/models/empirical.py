"""The exact optimum on a finite training set: total memorization."""

import torch

from taumem.data.items import as_items
from taumem.diffusion.autoregressive import AutoregressiveDiffusion
from taumem.diffusion.diffusion import Diffusion
from taumem.shapes import Batch, Items, Times

__all__ = ["EmpiricalDenoiser"]

CANDIDATES_AT_ONCE = 4096
"""Training items that are compared at a time: to compare them takes some of their size in double precision."""


class EmpiricalDenoiser:
    """The posterior mean of x0 given xt when the data are the training items, each with weight 1/P.

    It minimizes the training loss at every diffusion time, and its samples are the training items: what training goes
    toward, if nothing stops it. For every diffusion, tokens included:

        x0_hat = sum_i w_i x_i,    w = softmax_i log q(xt | x_i)

    Autoregressive denoisers answer each position from those before it: there it gives the shares of the symbols by
    which the training items go on that begin so.

    Memory is a few times batch * P numbers.

    Args:
        diffusion: gives log q(xt | x0) and averages candidates.
        train: the training items [P, ...].

    Raises:
        DataError: no training items, or some that are not finite.
    """

    def __init__(self, diffusion: Diffusion, train: Items) -> None:
        self.diffusion = diffusion
        self.train = as_items(train, "training items", least=1)

    def __call__(self, xt: Batch, t: Times) -> Batch:
        """Predict x0 from xt at times t."""
        if isinstance(self.diffusion, AutoregressiveDiffusion):
            return self.diffusion.continuations(xt, self.train, t.dtype)
        parts = torch.split(self.train, CANDIDATES_AT_ONCE)
        log_probs = torch.cat([self.diffusion.log_prob(xt, part, t) for part in parts], dim=1)
        return self.diffusion.average(torch.softmax(log_probs, dim=1), self.train)
