"""A loss of anybody's, asked under noise that stays the same, and tried before it is believed.

Nothing is known here of the model or of what an item is: the loss is asked as its loop asks it. That the same item
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

from taumem.data.item_set import map_tensors
from taumem.errors import ConfigError, TaumemError
from taumem.probes.asked_items import AskedItems
from taumem.probes.isolation import device_of, modules_of, seed_globally
from taumem.probes.listening import listening
from taumem.probes.own_loss import ROUNDING, one_per_item
from taumem.processes import own_share, summed, together
from taumem.randomness import generator_for

__all__ = ["AskedLoss"]

Noise = tuple[str | int, ...]
"""Which noise: equal words, equal draws."""
ONE, OTHER = ("one",), ("other",)
"""Noise that a loss is tried under."""
HOW = "give one loss per item, [n]: average each item's error over its own axes alone, as in "
HOW += "(prediction - target).square().flatten(1).mean(dim=1); from a loss function by reduction='none'"


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
        with together("could not answer"):
            for place, counts in own_share(len(items.rows)):
                rows = items.rows[place]
                for k, t in enumerate(self.times or (None,)):
                    losses = self.ask(model, items.batch(place), len(rows), t, ("" if t is None else repr(t), place))
                    answers[k].index_add_(0, torch.tensor(rows), losses * counts / items.n_draws)
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
                + f"; the model is {_type_of(model)}. Hand over items as the model takes them."
            ) from error
        return one_per_item(answer, n, HOW).double().cpu()

    def try_on(self, model: Any, items: AskedItems) -> Iterator[str]:
        """Ask about a few items in several ways, and say what is worth knowing of a loss that may be used.

        Raises:
            ConfigError: the loss cannot be used: no loss per item, not finite, other answers to the same question, or
                answers that ignore the noise or the time.
        """
        few = partial(self.ask, model, items.few, items.n_few)
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
            self.ask(asked, items.few, items.n_few, t, noise)
        return heard

    def _at(self, t: float, n: int, device: torch.device) -> Tensor:
        if self.timesteps is None:
            return torch.full((n,), t, device=device)
        return torch.full((n,), min(int(t * self.timesteps), self.timesteps - 1), device=device)


def _differ(a: Tensor, b: Tensor) -> bool:
    """Whether answers differ by more than devices and low precision make them."""
    return bool(((a - b).abs() > ROUNDING * a.abs().mean()).any())


def _equal(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) and all(map(torch.equal, a, b))


def _type_of(model: Any) -> str:
    """The type and the device of a model's weights."""
    for module in modules_of(model):
        for parameter in module.parameters(recurse=False):
            return f"{str(parameter.dtype).removeprefix('torch.')} on {parameter.device}"
    return type(model).__name__


def _described(batch: Any) -> str:
    """What a batch is, in a few words: shapes, types and devices."""
    if isinstance(batch, Mapping):
        return "{" + ", ".join(f"{key!r}: {_described(part)}" for key, part in batch.items()) + "}"
    if isinstance(batch, tuple | list) and not (batch and isinstance(batch[0], str)):
        return f"{type(batch).__name__}({', '.join(map(_described, batch))})"
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')}{list(batch.shape)} on {batch.device}"
    return type(batch).__name__
