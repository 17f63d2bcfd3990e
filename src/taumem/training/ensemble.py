"""Many runs of one architecture, the sizes and seeds of a sweep, trained as one batched program.

::

    members = [Member(learner, items, seed), ...]
    for steps in train_together(members, diffusion, batch_size=32):
        for member, step in zip(tuple(members), steps):
            if step.index == last[member]:
                members.remove(member)

What a small network costs is mostly the handing out of many small operations. Here each operation is handed out once
for all members: of U-Nets with their channels side by side (:mod:`taumem.training.side_by_side`), of any other network
by torch's ``vmap``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.optim import Optimizer

from taumem.diffusion.diffusion import Diffusion
from taumem.diffusion.gaussian import per_item
from taumem.record import RateSchedule
from taumem.shapes import Batch, Times
from taumem.training.augmentation import Augmentation
from taumem.training.loop import CONSTANT, NONE, Draws, Step, check_options, set_learning_rate
from taumem.training.members import Member, check_members
from taumem.training.pace import EffectiveTime, gradient_sizes, rate_of
from taumem.training.side_by_side import can_stand_side_by_side, side_by_side

__all__ = ["Member", "train_together"]

Losses = Callable[[dict[str, Tensor], Batch, Times, Tensor], Tensor]
"""Of the members' parameters, x0, t and noise, each stacked along a first axis of E members: E losses."""


def train_together(
    members: list[Member],
    diffusion: Diffusion,
    *,
    batch_size: int,
    schedule: RateSchedule = CONSTANT,
    clip: float | None = None,
    augmentation: Augmentation = NONE,
) -> Iterator[tuple[Step, ...]]:
    """Train all members at once, one step at a time, until none is left.

    Each member draws what :func:`taumem.training.train` would draw for it, and ends where that would end, to within
    rounding. At each yield every learner is up to date, and may be looked at, saved or changed; its tensors are views
    of the ensemble's. The list stays the caller's: a member that is taken out leaves. As the loop goes on (or is
    closed), its learner gets tensors of its own and may be trained further by any means; the others notice nothing.

    Args:
        members: the runs; all of one architecture, at one step, with one kind of optimizer, and with the same options
            of it and of the average.
        diffusion: gives the loss.
        batch_size: examples per step, for each member.
        schedule: of the learning rate, for each member; constant if not said.
        clip: largest norm of the gradient of one member, or None.
        augmentation: of images, drawn for each member by its own seed; none if not said.

    Yields:
        A Step for each member, in the list's order, after each update.

    Raises:
        ConfigError: no members to begin with, members that do not agree (in which thing, the message says), dropout,
            another optimizer than the laboratory's or another average than :func:`taumem.training.power_average`, an
            empty data set, a batch size below 1, a clip that is not positive, or an augmentation of what is no image.
    """
    check_members(members)
    ensemble: _Ensemble | None = None
    try:
        while members:
            if ensemble is None or ensemble.members != members:
                if ensemble is not None:
                    ensemble.release()
                    ensemble = None
                check_members(members)
                for member in members:
                    check_options(len(member.data), batch_size, clip)
                ensemble = _Ensemble(members, diffusion, batch_size, augmentation)
            yield ensemble.step(schedule, clip)
    finally:
        if ensemble is not None:
            ensemble.release()


class _Ensemble:
    """The members' tensors, each stacked along a new first axis of E members, and the program that trains them."""

    def __init__(
        self, members: Sequence[Member], diffusion: Diffusion, batch_size: int, augmentation: Augmentation
    ) -> None:
        self.members = list(members)
        self.learners = [member.learner for member in members]
        self.diffusion = diffusion
        self.batch_size = batch_size
        self.draws = [Draws(diffusion, member.data, batch_size, member.seed, augmentation) for member in members]
        for learner in self.learners:
            learner.denoiser.train()
        self.own = _across(learner.denoiser for learner in self.learners)
        self.stacks = {name: _stack(own).requires_grad_(own[0].requires_grad) for name, own in self.own.items()}
        self.own_averages = _across(learner.average.module for learner in self.learners if learner.average is not None)
        self.averages = {name: _stack(own) for name, own in self.own_averages.items()}
        for own, stacks in ((self.own, self.stacks), (self.own_averages, self.averages)):
            for name, stack in stacks.items():
                for p, row in zip(own[name], _turned(stack.detach()), strict=True):
                    p.data = row
        self.optimizer = self._joined_optimizer()
        self.losses = self._losses()

    def step(self, schedule: RateSchedule, clip: float | None) -> tuple[Step, ...]:
        """Take one step of every member."""
        index = self.learners[0].step + 1
        drawn = zip(*(draws.at(index) for draws in self.draws), strict=True)
        parameters = {name: _turned(stack) for name, stack in self.stacks.items()}
        losses = self.losses(parameters, *(torch.stack(parts) for parts in drawn))

        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            _clip_each([p.grad for p in self.stacks.values() if p.grad is not None], clip)
        for optimizer in (self.optimizer, *(learner.optimizer for learner in self.learners)):
            set_learning_rate(optimizer, schedule.at(index))
        self.optimizer.step()
        if not self.learners[0].optimizer.state:
            self._share_moments()
        self._count_time(index)
        self._update_averages()

        for learner in self.learners:
            learner.step = index
            learner.examples += self.batch_size
        by_member = zip(self.learners, losses.detach().unbind(), strict=True)
        return tuple(Step(index, learner.examples, loss) for learner, loss in by_member)

    def release(self) -> None:
        """Give every learner tensors of its own."""
        for own in (*self.own.values(), *self.own_averages.values()):
            for p in own:
                p.data = _owned(p.data)
        for learner in self.learners:
            for slots in learner.optimizer.state.values():
                slots.update({name: _owned(value) for name, value in slots.items()})

    def _losses(self) -> Losses:
        """Choose how the losses of all members are computed at once, or that of one by itself."""
        n, network, diffusion = len(self.learners), self.learners[0].denoiser, self.diffusion

        def loss(parameters: dict[str, Tensor], x0: Batch, t: Times, noise: Tensor) -> Tensor:
            """Give the loss of one member: of the first one's network, with the member's parameters put in."""

            def denoiser(xt: Batch, t: Times) -> Tensor:
                return cast(Tensor, functional_call(network, parameters, (xt, t)))

            return diffusion.loss(denoiser, x0, t, noise).mean()

        def loss_of_one(parameters: dict[str, Tensor], x0: Batch, t: Times, noise: Tensor) -> Tensor:
            own = {name: stack[0] for name, stack in parameters.items()}
            return loss(own, x0[0], t[0], noise[0])[None]

        if n == 1:
            return loss_of_one
        if not can_stand_side_by_side(network):
            return vmap(loss)
        joined = side_by_side(network, n)

        def losses(parameters: dict[str, Tensor], x0: Batch, t: Times, noise: Tensor) -> Tensor:
            items, times, noises = (part.transpose(0, 1).flatten(0, 1) for part in (x0, t, noise))
            each = diffusion.loss(partial(joined, parameters), items, times, noises)
            return each.reshape(-1, n).mean(dim=0)

        return losses

    def _count_time(self, index: int) -> None:
        times = [learner.time for learner in self.learners if learner.time is not None]
        if times and EffectiveTime.reads(index):
            sizes = gradient_sizes(self.optimizer, len(self.learners))
            for learner, time, size in zip(self.learners, times, sizes, strict=True):
                time.read(learner.optimizer, size, index)
        rate = rate_of(self.optimizer) if times else 0.0
        for time in times:
            time.count(rate)

    def _joined_optimizer(self) -> Optimizer:
        """Make one optimizer that goes on from where the members' own ones stand."""
        first = self.learners[0].optimizer
        trained = {id(p) for p in first.param_groups[0]["params"]}
        self.trained = [name for name, own in self.own.items() if id(own[0]) in trained]
        optimizer = cast(Callable[..., Optimizer], type(first))([self.stacks[name] for name in self.trained])
        optimizer.param_groups[0].update({k: v for k, v in first.param_groups[0].items() if k != "params"})
        for name in self.trained:
            slots = [
                learner.optimizer.state.get(p, {}) for learner, p in zip(self.learners, self.own[name], strict=True)
            ]
            for slot, value in slots[0].items():
                # All stand at the same step: its count is one number for all.
                joined = value.clone() if slot == "step" else _stack([of_one[slot] for of_one in slots])
                optimizer.state[self.stacks[name]][slot] = joined
        self.optimizer = optimizer
        self._share_moments()
        return optimizer

    def _share_moments(self) -> None:
        """Let each learner's optimizer look at its share of the joined one's state."""
        for name in self.trained:
            for slot, value in self.optimizer.state[self.stacks[name]].items():
                rows = [value] * len(self.learners) if slot == "step" else _turned(value)
                for learner, p, row in zip(self.learners, self.own[name], rows, strict=True):
                    learner.optimizer.state[p][slot] = row

    def _update_averages(self) -> None:
        averages = [learner.average for learner in self.learners if learner.average is not None]
        if averages:
            update = cast(Callable[..., None], averages[0].multi_avg_fn)
            update(list(self.averages.values()), list(self.stacks.values()), averages[0].n_averaged)
            for average in averages:
                average.n_averaged += 1


def _across(modules: Iterable[nn.Module]) -> dict[str, list[nn.Parameter]]:
    """Give each parameter of all modules, by name."""
    named = [dict(module.named_parameters()) for module in modules]
    return {name: [of_one[name] for of_one in named] for name in named[0]} if named else {}


def _stack(rows: Sequence[Tensor]) -> Tensor:
    """Copy tensors into one, along a new first axis, turned."""
    return _turned(torch.stack([row.detach() for row in rows])).contiguous()


def _turned(stack: Tensor) -> Tensor:
    """Transpose matrices, and undo it: the gradient of a batched product lies so in memory, and need not be copied."""
    return stack.mT if stack.ndim == 3 else stack


def _owned(row: Tensor) -> Tensor:
    return row.clone(memory_format=torch.contiguous_format)


def _clip_each(gradients: Sequence[Tensor], clip: float) -> None:
    """Scale each member's gradient to a norm of at most ``clip``, as ``nn.utils.clip_grad_norm_`` does."""
    parts = [torch.linalg.vector_norm(gradient.reshape(len(gradient), -1), dim=1) for gradient in gradients]
    norms = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    scale = (clip / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(per_item(scale, gradient))
