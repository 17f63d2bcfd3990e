"""The loss of a training loop of anybody's, on fixed training and held-out items, under noise that stays the same.

Nothing is known here of the model or of what an item is: the loss is asked as the loop asks it. That the same item
meets the same noise at every look is made sure from outside: by the generator that the loss is given, and by seeding
the global random states that it may draw from instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.data.item_set import ItemSet, digests, map_tensors
from taumem.errors import ConfigError, DataError, TaumemError
from taumem.probes.isolation import device_of, random_states_kept, seed_globally, undisturbed
from taumem.probes.listening import listening
from taumem.probes.loss_gap import estimates_of, symmetric_gap
from taumem.probes.own_loss import ROUNDING, one_per_item
from taumem.probes.processes import agreed, own_share, summed
from taumem.randomness import generator_for
from taumem.record import Reading

Noise = tuple[str | int, ...]
"""Which noise: equal words, equal draws."""

__all__ = ["AskedItems", "AskedLoss", "ItemLosses", "TwinGap"]

MOST_DRAWS = 16
"""Draws of noise for each item, at most, unless a number is given."""
FEW = 8
"""Items that a loss is tried on."""
ONE, OTHER = ("one",), ("other",)
"""Noise that a loss is tried under."""
HOW = "give one loss per item, [n]: average each item's error over its own axes alone, as in "
HOW += "(prediction - target).square().flatten(1).mean(dim=1); from a loss function by reduction='none'"


@dataclass(frozen=True, eq=False)
class AskedItems:
    """Those of a set's items that are asked about, in batches as the loss gets them.

    An item that is asked about under several draws of noise stands in the batches as often.

    Attributes:
        rows: which of the n items stand in each batch, by number.
        batches: of these items, on the CPU or where the items are.
        few: a smaller batch of the first of them, to try a loss on.
        digests: of the items, to tell them apart.
        n: how many items.
        n_draws: of noise, for each item.
    """

    rows: tuple[tuple[int, ...], ...]
    batches: tuple[Any, ...]
    few: Any
    digests: frozenset[str]
    n: int
    n_draws: int

    @classmethod
    def of(
        cls, items: ItemSet, *, n_items: int, n_draws: int | None, n_answers: int, block: int, seed: int
    ) -> "AskedItems":
        """Choose items, and hold them: what a Dataset augments at random stays as it was drawn here.

        Args:
            items: all of them.
            n_items: how many to ask about, at most.
            n_draws: of noise, for each; None takes as many as the answers allow, and at most 16.
            n_answers: of the loss about all of them, at most, unless draws are given; at each time.
            block: items in a batch.
            seed: of the choice.

        Raises:
            ConfigError: no items, draws or block to ask about.
            DataError: items that cannot be picked out, or put into a batch.
        """
        if min(n_items, block, 1 if n_draws is None else n_draws) < 1:
            raise ConfigError(
                f"a look asks about at least 1 item, in batches and draws of at least 1; got n_items = {n_items}, "
                f"block = {block}, n_draws = {n_draws}."
            )
        n = min(len(items), n_items, n_answers if n_draws is None else n_items)
        order = torch.randperm(len(items), generator=generator_for(seed, "items asked about"))
        chosen = sorted(order[:n].tolist())
        draws = min(max(n_answers // n, 1), MOST_DRAWS) if n_draws is None else n_draws
        numbers = [*range(n)] * draws
        rows = tuple(tuple(numbers[k : k + block]) for k in range(0, len(numbers), block))
        with random_states_kept():
            seed_globally(seed, "items asked about")
            few, *batches = (_taken(items, [chosen[k] for k in some]) for some in (numbers[: min(n, FEW)], *rows))
        told_apart = frozenset(digest for batch in batches for digest in digests(batch))
        return cls(rows, tuple(batches), few, told_apart, n, draws)

    def __len__(self) -> int:
        return self.n


@dataclass(frozen=True, eq=False)
class AskedLoss:
    """A loss of anybody's, and how it is asked.

    Attributes:
        loss: (model, items, generator) -> [n]; with times, (model, items, generator, t) -> [n].
        times: diffusion times in (0, 1); empty where the loss draws its own.
        timesteps: into how many whole steps the loss divides time; None where it takes times in (0, 1).
        deterministic: whether the loss has no noise.
        seed: of the noise.
    """

    loss: Callable[..., Any]
    times: tuple[float, ...] = ()
    timesteps: int | None = None
    deterministic: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not callable(self.loss):
            raise ConfigError(f"a loss is called with (model, items, generator); got {type(self.loss).__name__}.")

    def of_items(self, model: Any, items: AskedItems) -> Float[Tensor, "times n"]:
        """The loss of each item at each time, averaged over its draws of noise, float64 on the CPU.

        Where several processes train together, each answers some batches, and all get all answers.

        Raises:
            ConfigError: the loss failed, here or in another process, or gave something else than a loss per item.
        """
        answers = torch.zeros(len(self.times) or 1, len(items), dtype=torch.float64)
        problem, error = "", None
        try:
            for place, counts in own_share(len(items.batches)):
                rows = items.rows[place]
                for k, t in enumerate(self.times or (None,)):
                    losses = self.ask(model, items.batches[place], len(rows), t, ("" if t is None else repr(t), place))
                    answers[k].index_add_(0, torch.tensor(rows), losses * counts / items.n_draws)
        except Exception as raised:
            problem, error = f"{type(raised).__name__}: {raised}", raised
        if told := agreed(problem):
            if error is not None:
                raise error
            raise ConfigError(f"another process could not answer: {told}")
        return summed(answers)

    def ask(self, model: Any, batch: Any, n: int, t: float | None, noise: Noise) -> Float[Tensor, "n"]:
        """Ask about one batch of n items, under a noise.

        Raises:
            ConfigError: the loss failed, or gave something else than a loss per item.
        """
        device = device_of(model) or torch.device("cpu")
        seed_globally(self.seed, "loss of items", *noise)
        moved = map_tensors(lambda x: x.to(device, copy=True), batch)
        given: tuple[Any, ...] = (model, moved, generator_for(self.seed, "loss of items", *noise, device=device))
        if t is not None:
            given += (self._at(t, n, device),)
        try:
            answer = self.loss(*given)
        except TaumemError:
            raise
        except Exception as error:
            raise ConfigError(
                f"the loss raised {type(error).__name__}: {error}. It was called as loss(model, items, generator"
                f"{'' if t is None else ', t'}) with {_described(moved)}"
                + ("" if t is None else f", and t of {given[-1].dtype}")
                + "; it should take the items as they were handed to the guard."
            ) from error
        return one_per_item(answer, n, HOW).double().cpu()

    def try_on(self, model: Any, items: AskedItems) -> Iterator[str]:
        """Ask about a few items in several ways, and say what is worth knowing of a loss that may be used.

        Raises:
            ConfigError: the loss cannot be used: no loss per item, not finite, other answers to the same question, or
                answers that ignore the noise or the time.
        """
        few = partial(self.ask, model, items.few, min(len(items), FEW))
        times = self.times or (None,)
        first = [few(t, ONE) for t in times]
        for t, losses in zip(times, first, strict=True):
            if n_bad := int((~losses.isfinite()).sum()):
                at = "" if t is None else f" at t = {t:g}"
                raise ConfigError(
                    f"the loss of {n_bad} of {len(losses)} items is not finite{at}: the model has diverged, or the "
                    "loss is not defined there."
                )
        if any(_differ(losses, few(t, ONE)) for t, losses in zip(times, first, strict=True)):
            raise ConfigError(
                "asked twice about the same items, the loss gives different numbers: it draws from a source of its "
                "own. Draw all noise, times and masks with the generator that it is given, or from the global random "
                "states of torch, numpy or Python."
            )
        self._try_noise(model, items, first, [few(t, OTHER) for t in times])
        same_at_all_times = len(times) > 1 and all(torch.equal(losses, first[0]) for losses in first[1:])
        if same_at_all_times and _equal(*(self._heard(model, items, t, ONE) for t in (times[0], times[-1]))):
            raise ConfigError(
                "the loss ignores the t it is given: other times change nothing. Use t in it, or leave times out."
            )
        if any(bool((losses < 0).any()) for losses in first):
            yield (
                "The loss is below 0 for some items; the gap relative to the held-out loss is measured only where "
                "mean losses are above 0. A distance, or a bound that cannot be negative, has one everywhere."
            )

    def _try_noise(self, model: Any, items: AskedItems, first: Sequence[Tensor], other: Sequence[Tensor]) -> None:
        """Compare answers under some noise with those under other noise."""
        if self.deterministic:
            if any(map(_differ, first, other)):
                raise ConfigError("the loss has noise, though deterministic=True says that it has none; leave it out.")
            return
        if all(map(torch.equal, first, other)):
            t = self.times[0] if self.times else None
            if _equal(*(self._heard(model, items, t, noise) for noise in (ONE, OTHER))):
                raise ConfigError(
                    "other noise changes nothing: the loss ignores the generator and the global random states, and "
                    "seeds its noise itself. Draw the noise with the generator that it is given; if the loss has none "
                    "(an autoregressive model), say deterministic=True."
                )

    def _heard(self, model: Any, items: AskedItems, t: float | None, noise: Noise) -> list[Tensor]:
        """What the model is asked: one that has learned nothing yet may always say the same."""
        with listening(model) as (asked, heard):
            self.ask(asked, items.few, min(len(items), FEW), t, noise)
        return heard

    def _at(self, t: float, n: int, device: torch.device) -> Tensor:
        if self.timesteps is None:
            return torch.full((n,), t, device=device)
        return torch.full((n,), min(int(t * self.timesteps), self.timesteps - 1), device=device)


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
            "seed": self.asked.seed,
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


def _taken(items: ItemSet, places: Sequence[int]) -> Any:
    try:
        return map_tensors(Tensor.detach, items.take(places))
    except TaumemError:
        raise
    except Exception as error:
        raise DataError(
            f"{items.what} could not be put into a batch ({type(error).__name__}: {error}); hand over the collate "
            "function that your DataLoader uses as collate=."
        ) from error


def _differ(a: Tensor, b: Tensor) -> bool:
    """Whether answers differ by more than devices and low precision make them."""
    return bool(((a - b).abs() > ROUNDING * a.abs().mean()).any())


def _equal(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def _described(batch: Any) -> str:
    """What a batch is, in a few words: shapes, types and devices."""
    if isinstance(batch, Mapping):
        return "{" + ", ".join(f"{key!r}: {_described(part)}" for key, part in batch.items()) + "}"
    if isinstance(batch, tuple | list) and not (batch and isinstance(batch[0], str)):
        return f"{type(batch).__name__}({', '.join(map(_described, batch))})"
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')}{list(batch.shape)} on {batch.device}"
    return type(batch).__name__
