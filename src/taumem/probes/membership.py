"""Can a training item be told from a held-out one by its loss? A membership test that costs nothing extra."""

import math

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from taumem.probes.probe import share
from taumem.record import Estimate

__all__ = ["membership"]

FALSE_POSITIVES = 0.01
"""The share of held-out items that the test may take for members."""


def membership(train_losses: Float[Tensor, "n"], heldout_losses: Float[Tensor, "m"]) -> tuple[Estimate, Estimate]:
    """Take a low loss for a sign of membership, and say how well that works.

    Args:
        train_losses: loss of each training item.
        heldout_losses: loss of each held-out item, under the same noise levels.

    Returns:
        ``membership_auc``: the probability that a training item has the lower loss; 0.5 is chance, 1 certainty.
        ``membership_tpr``: the share of training items found when at most 1 % of the held-out items may be taken for
        members (below 100 held-out items: none may), with its exact 95 % interval.

    Reference: Carlini et al. 2022, arXiv 2112.03570 (report true positives at few false ones); Hanley & McNeil 1982
    (standard error of the AUC).
    """
    n, m = len(train_losses), len(heldout_losses)
    ranks = torch.from_numpy(stats.rankdata(torch.cat([-train_losses, -heldout_losses]).double().cpu().numpy()))
    auc = (float(ranks[:n].sum()) - n * (n + 1) / 2) / (n * m)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n - 1) * (q1 - auc**2) + (m - 1) * (q2 - auc**2)) / (n * m)

    allowed = math.floor(FALSE_POSITIVES * m)
    threshold = heldout_losses.sort().values[allowed]
    found = int((train_losses < threshold).sum())
    return (
        Estimate(quantity="membership_auc", value=auc, se=math.sqrt(max(variance, 0.0)), count=n + m),
        share("membership_tpr", found, n),
    )
