"""The loss of a training loop of anybody's, on fixed training and held-out items: the gap, membership, and twins."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from taumem.probes.asked_items import AskedItems
from taumem.probes.asked_loss import AskedLoss
from taumem.probes.isolation import undisturbed
from taumem.probes.loss_gap import estimates_of, symmetric_gap
from taumem.record import Reading

__all__ = ["ItemLosses", "TwinGap"]


class ItemLosses:
    """Measures the loss of each set, and of ``train`` and ``heldout`` the gap and membership.

    As :class:`taumem.probes.LossGap` does for taumem's own diffusions: ``S_loss`` for every set named S, over all times
    with the value of each item, and at each time where times are given; ``gap``, 1 - train / held-out, where the losses
    have a ratio; ``membership_auc`` and ``membership_tpr``.

    Args:
        asked: the loss.
        sets: items by name; ``train`` is needed.
    """

    def __init__(self, asked: AskedLoss, sets: Mapping[str, AskedItems]) -> None:
        self.asked = asked
        self.sets = dict(sets)
        self.notes: tuple[str, ...] = ()
        self.is_tried = False

    @property
    def settings(self) -> dict[str, Any]:
        """The times, the seed of the noise, and how many items and draws there are of each set."""
        return {
            "times": list(self.asked.times),
            "timesteps": self.asked.timesteps,
            "seed": self.asked.seed,
            "block": max(len(rows) for items in self.sets.values() for rows in items.rows),
            "n_items": {name: len(items) for name, items in self.sets.items()},
            "n_draws": {name: items.n_draws for name, items in self.sets.items()},
        }

    def try_loss(self, model: Any) -> None:
        """Try the loss on a few items, once; what is worth knowing of it is in ``notes`` then.

        Raises:
            ConfigError: it cannot be used, and what to change.
        """
        if not self.is_tried:
            with undisturbed(model):
                self.notes = tuple(self.asked.try_on(model, self.sets["train"]))
                for items in self.sets.values():
                    self.asked.ask(model, items.few, items.n_few, next(iter(self.asked.times), None), ("one",))
            self.is_tried = True

    def measure(self, model: Any) -> Reading:
        """Measure all sets, under the same noise at every look."""
        self.try_loss(model)
        with undisturbed(model):
            losses = {name: self.asked.of_items(model, items) for name, items in self.sets.items()}
        means = [losses[name].mean(dim=1) for name in ("train", "heldout") if name in losses]
        if all(bool((mean > 0).all()) for mean in means):
            return Reading(tuple(estimates_of(losses, self.asked.times)))
        alone = [estimate for name in losses for estimate in estimates_of({name: losses[name]}, self.asked.times)]
        return Reading(tuple(alone))


class TwinGap:
    """Measures the gap of two models trained on disjoint sets: ``gap_sym``, as :class:`taumem.probes.SymmetricGap`.

    Args:
        asked: the loss.
        ours: training items of the model that is measured.
        twin: the other model; it may be in training too.
        theirs: training items of the other model.
    """

    def __init__(self, asked: AskedLoss, ours: AskedItems, twin: Any, theirs: AskedItems) -> None:
        self.asked, self.twin, self.sets = asked, twin, (ours, theirs)

    @property
    def settings(self) -> dict[str, Any]:
        """The times, the seed of the noise and the numbers of items."""
        n_items = dict(zip(("ours", "theirs"), map(len, self.sets), strict=True))
        return {"times": list(self.asked.times), "seed": self.asked.seed, "n_items": n_items}

    def measure(self, model: Any) -> Reading:
        """Measure both models on both sets, under the same noise at every look."""
        own = [self._by_item(model, self.sets[0]), self._by_item(self.twin, self.sets[1])]
        cross = [self._by_item(self.twin, self.sets[0]), self._by_item(model, self.sets[1])]
        return Reading((symmetric_gap(own, cross),))

    def _by_item(self, model: Any, items: AskedItems) -> Float[Tensor, "n"]:
        with undisturbed(model):
            return self.asked.of_items(model, items).mean(dim=0)
