"""Membership where the distribution is known: what an attacker gains who knows how hard every item is, exactly."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.data.items import as_items
from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError
from taumem.probes.attacks import AveragedLoss
from taumem.probes.isolation import undisturbed
from taumem.probes.loss_gap import TIMES
from taumem.probes.membership_inference import membership
from taumem.probes.probe import BLOCK, items_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["TrueMembership", "advantage"]

FEWEST = 4
"""Items of a set: two of each half, from which a threshold is chosen and on which it is tried."""


class TrueMembership:
    """Measures membership by the loss above that of the exact optimum, against as many fresh items as wanted.

        excess = loss of the model - loss of the optimum on the distribution, same item, same noise

    How hard an item is, which blurs every attack on single losses, cancels; and fresh draws of the distribution are
    non-members without number. ``membership_auc[exact]`` and ``membership_tpr[exact]``, as
    :func:`taumem.probes.membership` gives them; ``membership_advantage[exact]``, the true less the false positives at
    the best threshold (:func:`advantage`). All are at chance for the optimum itself: its excess is 0.

    Args:
        diffusion: draws the noise, and gives the loss.
        train: training items; as many as there are.
        fresh: other draws from the distribution, that the model never saw.
        exact: the optimum on the distribution, such as :class:`taumem.models.MixtureDenoiser`.
        times: diffusion times in (0, 1).
        n_draws: of the noise at each time, at least 1.
        seed: of the noise.
        block: items that a model looks at together.

    Raises:
        ConfigError: fewer than 4 items of a set, a time out of (0, 1), or no draw.
        DataError: items that the diffusion cannot corrupt, or of two shapes.

    Reference: Yeom et al. 2018, arXiv 1709.01604 (the advantage); Watson et al. 2022, arXiv 2111.08440 (calibration by
    the difficulty of an item).
    """

    def __init__(
        self,
        diffusion: Diffusion,
        train: Items,
        fresh: Items,
        exact: Denoiser,
        *,
        times: Sequence[float] = TIMES,
        n_draws: int = 4,
        seed: int = 0,
        block: int = BLOCK,
    ) -> None:
        train = items_for(diffusion, train, "training items")
        fresh = as_items(items_for(diffusion, fresh, "fresh items"), "fresh items", like=train)
        if min(len(train), len(fresh)) < FEWEST:
            raise ConfigError(
                f"true membership needs {FEWEST} or more training and fresh items; got {len(train)} and {len(fresh)}."
            )
        self.loss = AveragedLoss(diffusion, tuple(times), n_draws, seed)
        self.sets, self.block = (train, fresh), block
        self._exact = [self.loss.errors(exact, items, block) for items in self.sets]

    @property
    def settings(self) -> dict[str, Any]:
        """The times, how the noise is drawn, and the numbers of items."""
        n_items = dict(zip(("train", "fresh"), map(len, self.sets), strict=True))
        return {**self.loss.settings, "n_items": n_items}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Measure both sets, under the same noise at every look."""
        with undisturbed(denoiser):
            train, fresh = (
                self.loss.errors(denoiser, items, self.block) - exact
                for items, exact in zip(self.sets, self._exact, strict=True)
            )
        told = (*membership(train, fresh), advantage(train, fresh))
        return Reading(tuple(e.model_copy(update={"quantity": f"{e.quantity}[exact]"}) for e in told))


def advantage(train: Float[Tensor, "n"], other: Float[Tensor, "m"]) -> Estimate:
    """Say by how much true positives exceed false ones, where all below a threshold are taken for members.

    The threshold is the best one of half the items, tried on the other half, and the two halves change places: so that
    what was chosen is not what is measured, and chance is 0 for any number of items.

    Args:
        train: an error of each training item, 4 or more, lower for members.
        other: the same of items that are none, 4 or more.

    Returns:
        ``membership_advantage``, from -1 to 1, with its binomial standard error.

    Reference: Yeom et al. 2018, arXiv 1709.01604, definition 4.
    """
    shares = torch.zeros(2, dtype=torch.float64)
    for half in (0, 1):
        threshold = _best_threshold(train[half::2], other[half::2])
        tried = (train[1 - half :: 2], other[1 - half :: 2])
        shares += torch.stack([(errors < threshold).double().mean() for errors in tried]) / 2
    true, false = shares.tolist()
    variance = true * (1 - true) / len(train) + false * (1 - false) / len(other)
    return Estimate(
        quantity="membership_advantage",
        value=true - false,
        se=math.sqrt(variance),
        count=len(train) + len(other),
    )


def _best_threshold(train: Float[Tensor, "n"], other: Float[Tensor, "m"]) -> float:
    """The threshold below which the shares of the two sets differ most: just above a training error, or below all."""
    candidates, others = train.sort().values, other.sort().values
    below = torch.searchsorted(candidates, candidates, right=True) / len(candidates)
    mistaken = torch.searchsorted(others, candidates, right=True) / len(others)
    best = int((below - mistaken).argmax())
    if below[best] <= mistaken[best]:
        return -math.inf
    above = torch.cat([train, other])
    above = above[above > candidates[best]]
    # Halfway to the next error, whichever set it is of.
    return float((candidates[best] + above.min()) / 2) if len(above) else math.inf
