"""A loss of one's own, looked at before it is believed: one finite number per item, and of the noise and time given.

A loss that draws its noise itself, or that ignores the t it is given, makes every gap meaningless, and no number shows
it. Asking twice does.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from taumem.data.items import as_tensor
from taumem.diffusion import Denoiser, Diffusion, GaussianDiffusion, TokenDiffusion
from taumem.errors import ConfigError, DataError
from taumem.probes.isolation import undisturbed
from taumem.probes.listening import listening
from taumem.probes.probe import ItemLoss
from taumem.randomness import generator_for
from taumem.shapes import Batch, Items, PerItem, Times

__all__ = ["ROUNDING", "OwnLoss", "checked_loss", "one_per_item"]

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
    if isinstance(getattr(loss, "__self__", None), GaussianDiffusion | TokenDiffusion):
        return loss  # taumem's own keep all of this, also where a time is so early that nothing is corrupted
    return OwnLoss(diffusion, loss, times)


def one_per_item(answer: object, n: int, how: str) -> PerItem:
    """Take the answer of a loss as one number for each of n items.

    Args:
        answer: what it returned.
        n: how many items it was asked about.
        how: what a loss should do instead, for the message.

    Raises:
        ConfigError: it is something else.
    """
    try:
        losses = as_tensor(answer, "losses")
    except DataError:
        raise ConfigError(f"the loss returned {type(answer).__name__}; {how}.") from None
    if losses.shape == (n, 1):
        losses = losses[:, 0]
    if losses.shape != (n,):
        kind = "a mean or sum over the batch" if losses.numel() == 1 else "not one number per item"
        raise ConfigError(f"the loss of {n} items has shape {tuple(losses.shape)}, {kind}; {how}.")
    return losses if losses.is_floating_point() else losses.double()


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
        return one_per_item(self.loss(denoiser, x0, t, noise), len(x0), HOW)

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
        losses = one_per_item(self.loss.loss(denoiser, x0, at, noise), len(x0), HOW).double()
        if not (torch.equal(x0, self.x0) and torch.equal(noise, self.noise)):
            raise ConfigError(f"the loss changes in place the items or the noise it is given. {_sentence(HOW)}")
        return losses

    def _asked_of_the_model(self) -> list[Tensor]:
        with listening(self.denoiser) as (denoiser, heard):
            self._asked_of(denoiser)
        return heard


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
