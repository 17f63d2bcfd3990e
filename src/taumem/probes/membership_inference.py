"""Can a training item be told from a held-out one by its loss? A membership test that costs nothing extra."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.data.items import as_tensor
from taumem.errors import ConfigError, DataError
from taumem.probes.probe import share, variance_of_sum
from taumem.record import Estimate

__all__ = ["members_found", "membership"]

FALSE_POSITIVES = 0.01
"""The share of held-out items that the test may take for members."""


def membership(train_losses: Float[Tensor, "n"], heldout_losses: Float[Tensor, "m"]) -> tuple[Estimate, Estimate]:
    """Take a low loss for a sign of membership, and say how well that works.

    Args:
        train_losses: loss of each training item.
        heldout_losses: loss of each held-out item, at the same diffusion times.

    Returns:
        ``membership_auc``: the probability that a training item has the lower loss; 0.5 is chance, 1 certainty.
        ``membership_tpr``: the share of training items found when at most 1 % of the held-out items may be taken for
        members (below 100 held-out items: none may), with its exact 95 % interval.

    Raises:
        DataError: losses that are not one finite number per item, or none.

    Reference: Carlini et al. 2022, arXiv 2112.03570 (report true positives at few false ones); DeLong et al. 1988,
    Biometrics 44, 837 (standard error of the AUC; here with the covariance of items that share their noise).
    """
    train_losses, heldout_losses = _checked(train_losses, "training"), _checked(heldout_losses, "held-out")
    n, m = len(train_losses), len(heldout_losses)
    losses = torch.cat([train_losses, heldout_losses])
    above = len(losses) - _ranks(losses)  # how many of all lie above each loss, and half of those that equal it
    # Against each item, the share of the other set that falls on the right side of it; either averages to the AUC.
    found = (above[:n] - (n - _ranks(losses[:n]))) / m
    spared = 1 - (above[n:] - (m - _ranks(losses[n:]))) / n
    variance = variance_of_sum(found, spared)
    auc = float(found.mean())

    return (
        Estimate(
            quantity="membership_auc", value=auc, se=None if variance is None else math.sqrt(variance), count=n + m
        ),
        share("membership_tpr", members_found(train_losses, heldout_losses), n),
    )


def members_found(
    train_losses: Float[Tensor, "n"], heldout_losses: Float[Tensor, "m"], false_positives: float = FALSE_POSITIVES
) -> int:
    """Count the training items that are found by their low loss, at a share of false positives.

    Args:
        train_losses: loss of each training item.
        heldout_losses: loss of each held-out item, at the same diffusion times.
        false_positives: the share of held-out items that may be taken for members, in [0, 1); of too few to make one
            item of it, none may.

    Raises:
        DataError: losses that are not one finite number per item, or none.
        ConfigError: the share is out of its range.
    """
    if not 0 <= false_positives < 1:
        raise ConfigError(f"a share of held-out items to be mistaken lies between 0 and 1; got {false_positives!r}.")
    train_losses, heldout_losses = _checked(train_losses, "training"), _checked(heldout_losses, "held-out")
    # So many of m, and no rounding of the product may take one away: 0.29 * 100 is 28.999...
    allowed = math.floor(false_positives * len(heldout_losses) * (1 + 1e-12))
    return int((train_losses < heldout_losses.sort().values[allowed]).sum())


def _checked(losses: object, of: str) -> Float[Tensor, "n"]:
    values = as_tensor(losses, f"losses of {of} items").double().cpu()
    if values.ndim != 1 or not len(values) or not bool(torch.isfinite(values).all()):
        n_bad = int((~torch.isfinite(values)).sum())
        raise DataError(
            f"membership takes one finite loss of each {of} item, [n], at least one; got shape {tuple(values.shape)}, "
            f"with {n_bad} that are not finite."
        )
    return values


def _ranks(values: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Ranks from 1, ascending; equal values share their mean rank, and NaN makes all ranks NaN."""
    _, place, count = torch.unique(values, return_inverse=True, return_counts=True)
    ranks = (count.cumsum(0) - (count - 1) / 2).to(values.dtype)[place]
    return ranks if not values.isnan().any() else torch.full_like(ranks, torch.nan)
