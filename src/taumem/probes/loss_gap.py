"""The loss on training items against the loss on held-out items: the earliest sign of memorization.

The two losses are compared on fixed items, at fixed diffusion times, under fixed noise, and the noise is the same for
both sets. What is left of the difference then is the items': and it is paired over training, since the same items meet
the same noise at every step.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError
from taumem.probes.membership import membership
from taumem.probes.probe import ItemLoss, check_levels, mean, undisturbed, variance_of_sum
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["LossGap", "SymmetricGap", "paired_losses"]

LEVELS = (0.15, 0.35, 0.55)
"""Diffusion times of the probe. Early in training the gap sits below t = 0.7; items matter more than levels do."""


class LossGap:
    """Measures the loss of each set at each level, the relative gap 1 - train / held-out, and membership.

    For every set named S, ``S_loss`` at each level t, and over all levels (t None) with the value of each item.
    ``gap`` likewise, between the sets ``train`` and ``heldout``.

    Where the exact optimum on the distribution is known, losses are measured from it too, under the same noise and
    over all levels: ``train_loss_above_exact``, ``heldout_loss_above_exact``, and the gap without the difference in
    difficulty of the two sets,

        gap_exact = heldout_loss_above_exact - train_loss_above_exact.

    ``train_loss_above_empirical`` is the loss above that of the exact optimum on the training set. An excess over an
    optimum is the mean distance to it: the Kullback-Leibler divergence for tokens, the squared distance for images.

    Args:
        diffusion: draws the noise, and gives the loss unless ``loss`` does.
        sets: items of each set by name; ``train`` and ``heldout`` are needed, others (such as ``twin``: the training
            items of another model) are measured too.
        levels: diffusion times in (0, 1), the same at every step.
        seed: of the noise.
        loss: the loss of each item, (denoiser, x0, t, noise) -> [batch]; None takes the diffusion's.
        exact: the optimum on the distribution of the data, where it is known.
        empirical: the optimum on the whole training set: :class:`taumem.models.EmpiricalDenoiser`.

    Raises:
        ConfigError: a missing set, an empty one, or a level outside (0, 1).
    """

    def __init__(
        self,
        diffusion: Diffusion,
        sets: Mapping[str, Items],
        *,
        levels: Sequence[float] = LEVELS,
        seed: int = 0,
        loss: ItemLoss | None = None,
        exact: Denoiser | None = None,
        empirical: Denoiser | None = None,
    ) -> None:
        for name in ("train", "heldout", *sets):
            if len(sets.get(name, ())) == 0:
                raise ConfigError(f"the loss gap needs items in the set '{name}'; got {sorted(sets)}.")
        check_levels(levels)
        self.diffusion = diffusion
        self.sets = dict(sets)
        self.levels = tuple(levels)
        self.seed = seed
        self.loss = diffusion.loss if loss is None else loss
        self._exact = {name: self._losses(exact, self.sets[name]).mean(dim=0) for name in ("train", "heldout") if exact}
        # On held-out tokens the empirical optimum is surprised without bound.
        self._empirical = self._losses(empirical, self.sets["train"]).mean(dim=0) if empirical else None

    def measure(self, denoiser: Denoiser, generator: Generator) -> Reading:
        """Measure all sets. The noise is the probe's own, fixed; the generator is not used."""
        losses = {name: self._losses(denoiser, items) for name, items in self.sets.items()}
        estimates: list[Estimate] = []
        for name, table in losses.items():
            estimates += [mean(f"{name}_loss", row, t=t) for t, row in zip(self.levels, table, strict=True)]
            estimates.append(mean(f"{name}_loss", table.mean(dim=0), keep_items=True))
        train, heldout = losses["train"], losses["heldout"]
        estimates += [_gap(a, b, t) for t, a, b in zip(self.levels, train, heldout, strict=True)]
        estimates.append(_gap(train.mean(dim=0), heldout.mean(dim=0), None))
        estimates += membership(train.mean(dim=0), heldout.mean(dim=0))
        estimates += self._above_the_optima(train.mean(dim=0), heldout.mean(dim=0))
        return Reading(tuple(estimates))

    def _losses(self, denoiser: Denoiser, items: Items) -> Float[Tensor, "levels n"]:
        return paired_losses(self.diffusion, denoiser, items, self.levels, seed=self.seed, loss=self.loss)

    def _above_the_optima(self, train: Float[Tensor, "n"], heldout: Float[Tensor, "m"]) -> Iterator[Estimate]:
        if self._exact:
            above, held = train - self._exact["train"], heldout - self._exact["heldout"]
            yield mean("train_loss_above_exact", above)
            yield mean("heldout_loss_above_exact", held)
            variance = variance_of_sum(held, -above)
            yield Estimate(
                quantity="gap_exact",
                value=float(held.double().mean() - above.double().mean()),
                se=None if variance is None else variance**0.5,
                count=len(train) + len(heldout),
            )
        if self._empirical is not None:
            yield mean("train_loss_above_empirical", train - self._empirical)


class SymmetricGap:
    """Measures the gap of two models A and B trained on disjoint sets, without any held-out data.

        gap_sym = 1 - (L_A(A) + L_B(B)) / (L_B(A) + L_A(B)),    L_M(S): loss of model M on the items S, same noise

    Which set happens to be harder cancels, since each set stands above and below the line.

    Args:
        diffusion: draws the noise, and gives the loss unless ``loss`` does.
        ours: training items of the model that is measured.
        twin: the other model; it may be in training too.
        theirs: training items of the other model.
        levels, seed, loss: as in :class:`LossGap`.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        ours: Items,
        twin: Denoiser,
        theirs: Items,
        *,
        levels: Sequence[float] = LEVELS,
        seed: int = 0,
        loss: ItemLoss | None = None,
    ) -> None:
        check_levels(levels)
        self.diffusion = diffusion
        self.sets = (ours, theirs)
        self.twin = twin
        self.levels = tuple(levels)
        self.seed = seed
        self.loss = diffusion.loss if loss is None else loss

    def measure(self, denoiser: Denoiser, generator: Generator) -> Reading:
        """Measure both models on both sets. The noise is the probe's own, fixed; the generator is not used."""

        def by_item(model: Denoiser, items: Items) -> Float[Tensor, "n"]:
            with undisturbed(model):
                table = paired_losses(self.diffusion, model, items, self.levels, seed=self.seed, loss=self.loss)
            return table.double().mean(dim=0)

        own = [by_item(denoiser, self.sets[0]), by_item(self.twin, self.sets[1])]
        cross = [by_item(self.twin, self.sets[0]), by_item(denoiser, self.sets[1])]
        below = sum(float(losses.mean()) for losses in cross)
        _refuse_none(below, "")
        ratio = sum(float(losses.mean()) for losses in own) / below
        # The error of a ratio of sums, item by item: an item's own loss and its cross loss go together.
        variance = variance_of_sum(*(o - ratio * c for o, c in zip(own, cross, strict=True)))
        estimate = Estimate(
            quantity="gap_sym",
            value=1 - ratio,
            se=None if variance is None else variance**0.5 / below,
            count=sum(len(losses) for losses in own),
        )
        return Reading((estimate,))


@torch.no_grad()
def paired_losses(
    diffusion: Diffusion,
    denoiser: Denoiser,
    items: Items,
    levels: Sequence[float],
    *,
    seed: int,
    loss: ItemLoss | None = None,
) -> Float[Tensor, "levels n"]:
    """Give the loss of each item at each level, under noise that depends on (seed, level, shape of the items) alone.

    So two sets of equal size meet the same noise, item by item.
    """
    loss = diffusion.loss if loss is None else loss
    rows = []
    for k, t in enumerate(levels):
        noise = diffusion.noise(items, generator_for(seed, "paired noise", k, device=items.device))
        times = torch.full((len(items),), t, device=items.device)
        rows.append(loss(denoiser, items, times, noise))
    return torch.stack(rows)


def _gap(train: Float[Tensor, "n"], heldout: Float[Tensor, "m"], t: float | None) -> Estimate:
    """Estimate 1 - train / held-out; its error by the delta method."""
    above, below = float(train.double().mean()), float(heldout.double().mean())
    _refuse_none(below, "" if t is None else f" at the level t = {t:g}")
    ratio = above / below
    variance = variance_of_sum(train, -ratio * heldout)
    se = None if variance is None else variance**0.5 / below
    return Estimate(quantity="gap", t=t, value=1 - ratio, se=se, count=len(train) + len(heldout))


def _refuse_none(unseen_loss: float, where: str) -> None:
    if unseen_loss == 0:
        raise ConfigError(
            f"the loss of unseen items is 0{where}, so there is no gap relative to it: the noise may be too weak to "
            "hide anything there; ask at a higher level, or about more items."
        )
