"""The loss on training items against the loss on held-out items: the earliest sign of memorization.

The two losses are compared on fixed items, at fixed diffusion times, under fixed noise, and the noise is the same for
both sets. What is left of the difference then is the items': and it is paired over training, since the same items meet
the same noise at every step.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.data.items import as_items, refuse_other_scale
from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError
from taumem.probes.isolation import undisturbed
from taumem.probes.membership_inference import membership
from taumem.probes.own_loss import checked_loss
from taumem.probes.probe import (
    BLOCK,
    ItemLoss,
    check_times,
    in_blocks,
    items_for,
    mean,
    variance_of_sum,
)
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["LossGap", "SymmetricGap", "estimates_of", "paired_losses", "symmetric_gap"]

TIMES = (0.15, 0.35, 0.55)
"""Diffusion times of the probe. Early in training the gap sits below t = 0.7; items matter more than times do."""


class LossGap:
    """Measures the loss of each set at each diffusion time, the relative gap 1 - train / held-out, and membership.

    For every set named S, ``S_loss`` at each time t, and over all times (t None) with the value of each item.
    ``gap`` likewise, between the sets ``train`` and ``heldout``.

    Where the exact optimum on the distribution is known, losses are measured from it too, under the same noise and
    over all times: ``train_loss_above_exact``, ``heldout_loss_above_exact``, and the gap without the difference in
    difficulty of the two sets,

        gap_exact = heldout_loss_above_exact - train_loss_above_exact.

    ``train_loss_above_empirical`` is the loss above that of the exact optimum on the training set. An excess over an
    optimum is the mean distance to it: the Kullback-Leibler divergence for tokens, the squared distance for images.

    Args:
        diffusion: draws the noise, and gives the loss unless ``loss`` does.
        sets: items of each set by name; ``train`` and ``heldout`` are needed, others (such as ``twin``: the training
            items of another model) are measured too.
        times: diffusion times in (0, 1), the same at every look.
        seed: of the noise.
        block: items that a model looks at together.
        loss: the loss of each item, (denoiser, x0, t, noise) -> [batch]; None takes the diffusion's. One of your own is
            tried on a few items when it is first asked: the same question must have the same answer, and other noise
            and other times other ones.
        exact: the optimum on the distribution of the data, where it is known.
        empirical: the optimum on the whole training set: :class:`taumem.models.EmpiricalDenoiser`.

    Raises:
        ConfigError: a missing set, an empty one, or a time outside (0, 1); when it measures, a loss that is not one
            number per item, that ignores its noise or its t, or that is below 0.
        DataError: items that are not finite, or that the diffusion cannot corrupt; sets of another shape or scale.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        sets: Mapping[str, Items],
        *,
        times: Sequence[float] = TIMES,
        seed: int = 0,
        block: int = BLOCK,
        loss: ItemLoss | None = None,
        exact: Denoiser | None = None,
        empirical: Denoiser | None = None,
    ) -> None:
        self.sets = {name: items_for(diffusion, items, f"items of '{name}'") for name, items in sets.items()}
        for name in ("train", "heldout", *sets):
            if len(self.sets.get(name, ())) == 0:
                raise ConfigError(f"the loss gap needs items in the set '{name}'; got {sorted(sets)}.")
        for name, items in self.sets.items():
            self.sets[name] = as_items(items, f"items of '{name}'", like=self.sets["train"])
        refuse_other_scale(self.sets["heldout"], self.sets["train"], "held-out items")
        check_times(times)
        self.diffusion = diffusion
        self.times = tuple(times)
        self.seed = seed
        self.block = block
        self.loss = checked_loss(diffusion, loss, times)
        self._exact = {name: self._losses(exact, self.sets[name]).mean(dim=0) for name in ("train", "heldout") if exact}
        # On held-out tokens the empirical optimum is surprised without bound.
        self._empirical = self._losses(empirical, self.sets["train"]).mean(dim=0) if empirical else None

    @property
    def settings(self) -> dict[str, Any]:
        """The diffusion times, the seed of the noise and the numbers of items."""
        n_items = {name: len(items) for name, items in self.sets.items()}
        return {"times": list(self.times), "seed": self.seed, "n_items": n_items}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Measure all sets, under the same noise at every look."""
        losses = {name: self._losses(denoiser, items) for name, items in self.sets.items()}
        train, heldout = (losses[name].mean(dim=0) for name in ("train", "heldout"))
        above = self._above_the_optima(train, heldout)
        return Reading((*estimates_of(losses, self.times), *above))

    def _losses(self, denoiser: Denoiser, items: Items) -> Float[Tensor, "times n"]:
        return paired_losses(
            self.diffusion, denoiser, items, self.times, seed=self.seed, block=self.block, loss=self.loss
        )

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
        times: as in :class:`LossGap`, and so are ``seed``, ``block``, ``loss`` and the errors.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        ours: Items,
        twin: Denoiser,
        theirs: Items,
        *,
        times: Sequence[float] = TIMES,
        seed: int = 0,
        block: int = BLOCK,
        loss: ItemLoss | None = None,
    ) -> None:
        check_times(times)
        self.diffusion = diffusion
        ours, theirs = items_for(diffusion, ours, "our items"), items_for(diffusion, theirs, "their items")
        self.sets = (ours, as_items(theirs, "their items", like=ours))
        if not all(map(len, self.sets)):
            raise ConfigError(f"the symmetric gap needs items of both models; got {len(ours)} and {len(theirs)}.")
        refuse_other_scale(theirs, ours, "their items")
        self.twin = twin
        self.times = tuple(times)
        self.seed = seed
        self.block = block
        self.loss = checked_loss(diffusion, loss, times)

    @property
    def settings(self) -> dict[str, Any]:
        """The diffusion times, the seed of the noise and the numbers of items."""
        n_items = dict(zip(("ours", "theirs"), map(len, self.sets), strict=True))
        return {"times": list(self.times), "seed": self.seed, "n_items": n_items}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Measure both models on both sets, under the same noise at every look."""
        own = [self._by_item(denoiser, self.sets[0]), self._by_item(self.twin, self.sets[1])]
        cross = [self._by_item(self.twin, self.sets[0]), self._by_item(denoiser, self.sets[1])]
        return Reading((symmetric_gap(own, cross),))

    def _by_item(self, model: Denoiser, items: Items) -> Float[Tensor, "n"]:
        table = paired_losses(
            self.diffusion, model, items, self.times, seed=self.seed, block=self.block, loss=self.loss
        )
        return table.double().mean(dim=0)


def paired_losses(
    diffusion: Diffusion,
    denoiser: Denoiser,
    items: Items,
    times: Sequence[float],
    *,
    seed: int,
    block: int = BLOCK,
    loss: ItemLoss | None = None,
) -> Float[Tensor, "times n"]:
    """Give the loss of each item at each time, under noise that depends on (seed, time, shape of the items) alone.

    So two sets of equal size meet the same noise, item by item, whatever the block. The model stays as it is.
    """
    loss = checked_loss(diffusion, loss, times)
    rows = []
    with undisturbed(denoiser):
        for k, t in enumerate(times):
            noise = diffusion.noise(items, generator_for(seed, "paired noise", k, device=items.device))
            at = torch.full((len(items),), t, device=items.device)
            rows.append(in_blocks(partial(loss, denoiser), block, items, at, noise))
    return torch.stack(rows)


def estimates_of(losses: Mapping[str, Float[Tensor, "times n"]], times: Sequence[float]) -> Iterator[Estimate]:
    """Give the loss of each set, at each time and over all of them, the gap, and membership.

    Args:
        losses: of each item at each time, by the name of the set; a gap needs ``train`` and ``heldout``.
        times: diffusion times; empty where the loss belongs to none: its rows are then averaged alone.

    Raises:
        ConfigError: a mean loss below 0, or unseen items without any loss: there is no relative gap.
    """
    for name, table in losses.items():
        yield from (mean(f"{name}_loss", row, t=t) for t, row in zip(times, table, strict=False))
        yield mean(f"{name}_loss", table.mean(dim=0), keep_items=True)
    if {"train", "heldout"} <= losses.keys():
        train, heldout = losses["train"], losses["heldout"]
        yield from (_gap(a, b, t) for t, a, b in zip(times, train, heldout, strict=False))
        yield _gap(train.mean(dim=0), heldout.mean(dim=0), None)
        if bool(torch.isfinite(train).all() and torch.isfinite(heldout).all()):
            yield from membership(train.mean(dim=0), heldout.mean(dim=0))


def symmetric_gap(own: Sequence[Float[Tensor, "n"]], cross: Sequence[Float[Tensor, "n"]]) -> Estimate:
    """Estimate 1 - (L_A(A) + L_B(B)) / (L_B(A) + L_A(B)), with L_M(S) the loss of model M on the items S.

    Args:
        own: the losses of each item of A by model A, and of B by B.
        cross: those of A by model B, and of B by A, under the same noise.

    Raises:
        ConfigError: a mean loss below 0, or none on unseen items.
    """
    above, below = (sum(float(losses.mean()) for losses in pair) for pair in (own, cross))
    _check_ratio(above, below, "")
    ratio = above / below
    # The error of a ratio of sums, item by item: an item's own loss and its cross loss go together.
    variance = variance_of_sum(*(o - ratio * c for o, c in zip(own, cross, strict=True)))
    return Estimate(
        quantity="gap_sym",
        value=1 - ratio,
        se=None if variance is None else variance**0.5 / below,
        count=sum(len(losses) for losses in own),
    )


def _gap(train: Float[Tensor, "n"], heldout: Float[Tensor, "m"], t: float | None) -> Estimate:
    """Estimate 1 - train / held-out; its error by the delta method."""
    above, below = float(train.double().mean()), float(heldout.double().mean())
    _check_ratio(above, below, "" if t is None else f" at t = {t:g}")
    ratio = above / below
    variance = variance_of_sum(train, -ratio * heldout)
    se = None if variance is None else variance**0.5 / below
    return Estimate(quantity="gap", t=t, value=1 - ratio, se=se, count=len(train) + len(heldout))


def _check_ratio(seen_loss: float, unseen_loss: float, where: str) -> None:
    if seen_loss < 0 or unseen_loss < 0:
        raise ConfigError(
            f"the mean loss is {seen_loss:.4g} on items that the model trained on, {unseen_loss:.4g} on others{where};"
            " a gap relative to it needs losses of at least 0. Give a distance or a bound that cannot be negative "
            "instead, such as the squared error, or the same loss above its least value."
        )
    if unseen_loss == 0:
        raise ConfigError(
            f"the loss of unseen items is 0{where}, so there is no gap relative to it: the noise may be too weak to "
            "hide anything there; ask at a later time, or about more items."
        )
