"""A loss of one's own, looked at before it is believed: one finite number per item, and of the noise and time given.

A loss that draws its noise itself, or that ignores the t it is given, makes every gap meaningless, and no number shows
it. Asking twice does.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from taumem.data.items import as_tensor
from taumem.diffusion import Denoiser, Diffusion, GaussianDiffusion, MaskedDiffusion, UniformDiffusion
from taumem.errors import ConfigError, DataError
from taumem.probes.probe import ItemLoss, undisturbed
from taumem.randomness import generator_for
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = ["OwnLoss", "checked_loss"]

HOW = "write loss(denoiser, x0, t, noise) -> [batch]: corrupt x0 with the given noise at the given t, and average each "
HOW += "item's error over its own axes alone, as in (prediction - target).square().flatten(1).mean(dim=1)"

FEW = 8
"""Items that a loss is tried on."""

ROUNDING = 1e-3
"""Relative difference of two answers to one question that devices and low precision may make."""


def checked_loss(diffusion: Diffusion, loss: ItemLoss | None, times: Sequence[float]) -> ItemLoss:
    """Take the diffusion's loss, or the caller's own, which is tried when it is first asked.

    Args:
        diffusion: draws the noise, and gives the loss unless ``loss`` does.
        loss: the caller's; None takes the diffusion's.
        times: diffusion times at which it will be asked.

    Raises:
        ConfigError: it cannot be called.
    """
    loss = diffusion.loss if loss is None else loss
    if isinstance(loss, OwnLoss):
        return loss
    if not callable(loss):
        raise ConfigError(f"a loss is called; got {type(loss).__name__}. {_sentence(HOW)}")
    if isinstance(getattr(loss, "__self__", None), GaussianDiffusion | MaskedDiffusion | UniformDiffusion):
        return loss  # taumem's own keep all of this, also where a time is so early that nothing is corrupted
    return OwnLoss(diffusion, loss, times)


class OwnLoss:
    """A caller's loss: tried on a few items before its first answer, and each answer checked for its shape.

    Args:
        diffusion: draws the noise.
        loss: (denoiser, x0, t, noise) -> one number per item; a tensor, an array of numpy or a list.
        times: diffusion times at which it will be asked.
    """

    def __init__(self, diffusion: Diffusion, loss: ItemLoss, times: Sequence[float]) -> None:
        self.diffusion = diffusion
        self.loss = loss
        # Of a single time nothing can be told; any other one will do.
        self.times = tuple(times) if len(set(times)) > 1 else (times[0], (times[0] + 1) / 2)
        self._tried = False

    def __call__(self, denoiser: Denoiser, x0: Batch, t: Times, noise: Tensor) -> PerItem:
        """Give the loss of each item.

        Raises:
            ConfigError: it is not one number per item, or it ignores what it is given.
        """
        if not self._tried:
            with undisturbed(denoiser):
                self._try(denoiser, x0[:FEW])
            self._tried = True
        return self.per_item(self.loss(denoiser, x0, t, noise), len(x0))

    def per_item(self, answer: object, n: int) -> PerItem:
        """Take an answer as one number for each of n items.

        Raises:
            ConfigError: it is not.
        """
        try:
            losses = as_tensor(answer, "losses")
        except DataError:
            raise ConfigError(f"the loss returned {type(answer).__name__}; {HOW}.") from None
        if losses.shape == (n, 1):
            losses = losses[:, 0]
        if losses.shape != (n,):
            kind = "a mean or sum over the batch" if losses.numel() == 1 else "not one number per item"
            raise ConfigError(f"the loss of {n} items has shape {tuple(losses.shape)}, {kind}; {HOW}.")
        return losses if losses.is_floating_point() else losses.double()

    def _try(self, denoiser: Denoiser, x0: Items) -> None:
        """Ask the same twice, with other noise, at other times, and about fewer items."""
        one, other = (self.diffusion.noise(x0, generator_for(0, "own loss", k, device=x0.device)) for k in (0, 1))
        first = [_Question(self, denoiser, x0, t, one) for t in self.times]
        for question in first:
            if n_bad := int((~question.losses.isfinite()).sum()):
                raise ConfigError(
                    f"at t = {question.t:g} the loss of {n_bad} of {len(x0)} items is not finite: the model has "
                    "diverged, or the loss is not defined there; take an earlier checkpoint, or ask at other times."
                )
        again = [_Question(self, denoiser, x0, t, one) for t in self.times]  # at all: one may have no weight
        if any(question.differs_from(same) for question, same in zip(again, first, strict=True)):
            raise ConfigError(
                "asked twice about the same items, times and noise, the loss gives different numbers: it draws noise, "
                f"times or dropout itself. {_sentence(HOW)}"
            )
        if all(_Question(self, denoiser, x0, q.t, other).is_as(q) for q in first):
            raise ConfigError(f"the loss ignores the noise it is given: other noise changes nothing. {_sentence(HOW)}")
        if all(question.is_as(first[0]) for question in first[1:]):
            raise ConfigError(f"the loss ignores the t it is given: other times change nothing. {_sentence(HOW)}")
        half = len(x0) // 2
        fewer = [_Question(self, denoiser, x0[:half], t, one[:half]) for t in self.times if half]
        if any(question.differs_from(same) for question, same in zip(fewer, first, strict=False)):
            raise ConfigError(
                "the loss of an item depends on the items it is asked about with: it averages or sorts over the batch. "
                f"{_sentence(HOW)}"
            )


class _Question:
    """What a loss is asked, and its answer."""

    def __init__(self, loss: OwnLoss, denoiser: Denoiser, x0: Items, t: float, noise: Tensor) -> None:
        self.loss, self.denoiser, self.x0, self.t, self.noise = loss, denoiser, x0, t, noise
        self.losses = self._asked_of(denoiser)

    def differs_from(self, other: "_Question") -> bool:
        """Whether answers about the same items, all or the first of the other's, differ by more than rounding."""
        theirs = other.losses[: len(self.losses)]
        return bool(((self.losses - theirs).abs() > ROUNDING * other.losses.abs().mean()).any())

    def is_as(self, other: "_Question") -> bool:
        """Whether answers and what the model was asked are equal: one that has learned nothing always says the same."""
        if not torch.equal(self.losses, other.losses):
            return False
        ours, theirs = self._asked_of_the_model(), other._asked_of_the_model()
        return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))

    def _asked_of(self, denoiser: Denoiser) -> PerItem:
        at = torch.full((len(self.x0),), self.t, device=self.x0.device)
        x0, noise = self.x0.clone(), self.noise.clone()
        losses = self.loss.per_item(self.loss.loss(denoiser, x0, at, noise), len(x0)).double()
        if not (torch.equal(x0, self.x0) and torch.equal(noise, self.noise)):
            raise ConfigError(f"the loss changes in place the items or the noise it is given. {_sentence(HOW)}")
        return losses

    def _asked_of_the_model(self) -> list[Tensor]:
        with _listening(self.denoiser) as (denoiser, heard):
            self._asked_of(denoiser)
        return heard


class _Heard:
    """A denoiser that is no module, and what it was asked."""

    def __init__(self, denoiser: Denoiser, heard: list[Tensor]) -> None:
        self._denoiser, self._heard = denoiser, heard

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        self._heard += _tensors((args, kwargs))
        return self._denoiser(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)


@contextmanager
def _listening(denoiser: Denoiser) -> Iterator[tuple[Denoiser, list[Tensor]]]:
    """Note what a model is asked; where only a part of it is called, such as ``denoiser.unet``, what that is asked."""
    heard: list[Tensor] = []
    if not isinstance(denoiser, nn.Module):
        yield _Heard(denoiser, heard), heard
        return
    parts_of_heard = set[nn.Module]()

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        if module not in parts_of_heard:
            heard.extend(_tensors((args, kwargs)))
            parts_of_heard.update(part for part in module.modules() if part is not module)

    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in denoiser.modules()]
    try:
        yield denoiser, heard
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(given: object) -> list[Tensor]:
    """All tensors in what a model is given, also inside lists and dictionaries."""
    if isinstance(given, Tensor):
        return [given.detach().clone()]
    inside = given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else ()
    return [tensor for part in inside for tensor in _tensors(part)]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
