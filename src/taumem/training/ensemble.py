"""Many runs of one architecture, the sizes and seeds of a sweep, trained as one batched program.

::

    members = [Member(learner, items, seed), ...]
    for steps in train_together(members, diffusion, batch_size=32):
        for member, step in zip(tuple(members), steps):
            if step.index == last[member]:
                members.remove(member)

What a small network costs is mostly the handing out of many small operations. Here each operation is handed out once
for all members.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from taumem.diffusion.diffusion import Diffusion
from taumem.diffusion.gaussian import per_item
from taumem.errors import ConfigError
from taumem.record import RateSchedule
from taumem.shapes import Batch, Items, Times
from taumem.training.augmentation import Augmentation
from taumem.training.loop import CONSTANT, NONE, Draws, Learner, Step, check_options, set_learning_rate
from taumem.training.pace import EffectiveTime, gradient_sizes, rate_of

__all__ = ["Member", "train_together"]

OPTIMIZERS = (AdamW, Adam, SGD, RMSprop)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(eq=False)
class Member:
    """One run of an ensemble: what :func:`taumem.training.train` would be given."""

    learner: Learner
    data: Items
    """Its training items [P, ...], on its denoiser's device; each member may have its own P."""
    seed: int
    """Of its batches, times and noise."""


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
    _check(members)
    ensemble: _Ensemble | None = None
    try:
        while members:
            if ensemble is None or ensemble.members != members:
                if ensemble is not None:
                    ensemble.release()
                    ensemble = None
                _check(members)
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
        self.losses = vmap(self._loss)

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

    def _loss(self, parameters: dict[str, Tensor], x0: Batch, t: Times, noise: Tensor) -> Tensor:
        """Give the loss of one member: of the first one's network, with the member's parameters put in."""
        network = self.learners[0].denoiser

        def denoiser(xt: Batch, t: Times) -> Tensor:
            return cast(Tensor, functional_call(network, parameters, (xt, t)))

        return self.diffusion.loss(denoiser, x0, t, noise).mean()

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


def _check(members: Sequence[Member]) -> None:
    if not members:
        raise ConfigError("an ensemble needs at least one member; got none.")
    if len({id(member.learner) for member in members}) < len(members):
        raise ConfigError("two members share a learner, which only one can train; start a learner for each.")
    first = _traits(members[0])
    for k, member in enumerate(members):
        traits = _traits(member)
        for name in first | traits:
            one, other = first.get(name, "missing"), traits.get(name, "missing")
            if one != other:
                raise ConfigError(
                    f"members that train together agree in all but data, seed and weights; their {name} differs: "
                    f"member 0 has {one}, member {k} has {other}. Train those that differ apart."
                )
    learner = members[0].learner
    if any(isinstance(module, DROPOUTS) and module.p > 0 for module in learner.denoiser.modules()):
        raise ConfigError("the denoiser has dropout, whose draws members cannot have each its own; use train() for it.")
    if type(learner.optimizer) not in OPTIMIZERS or len(learner.optimizer.param_groups) != 1:
        raise ConfigError(
            f"members are trained by an optimizer with one group of parameters, as Learner.start makes it; got "
            f"{type(learner.optimizer).__name__} with {len(learner.optimizer.param_groups)}. Use train() for it."
        )
    if learner.average is not None and learner.average.multi_avg_fn is None:
        raise ConfigError("members' weights are averaged by power_average; got another average. Use train() for it.")


def _traits(member: Member) -> dict[str, object]:
    """All that must be equal among members, by what it is called."""
    learner, data = member.learner, member.data
    traits: dict[str, object] = {
        "type of denoiser": type(learner.denoiser).__name__,
        "step": learner.step,
        "items (shape, type, device)": (tuple(data.shape[1:]), data.dtype, data.device),
    }
    for name, p in learner.denoiser.named_parameters():
        traits[f"parameter {name}"] = (tuple(p.shape), p.dtype, p.device, p.requires_grad)
    for name, buffer in learner.denoiser.named_buffers():
        traits[f"buffer {name}"] = buffer.tolist()
    traits["optimizer"] = type(learner.optimizer).__name__
    places = {id(p): name for name, p in learner.denoiser.named_parameters()}
    for group in learner.optimizer.param_groups:
        settings = {"base_lr": group["lr"]} | {name: value for name, value in group.items() if name != "lr"}
        traits |= {f"optimizer's {name}": value for name, value in settings.items() if name != "params"}
        traits["optimizer's parameters"] = [places.get(id(p), "another model's") for p in group["params"]]
    traits["effective time"] = "counted" if learner.time is not None else "not counted"
    average = learner.average
    traits["average"] = None if average is None else (average.multi_avg_fn, int(average.n_averaged))
    return traits
