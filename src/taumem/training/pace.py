"""The pace of training: how far an optimizer's steps move weights along a lasting gradient, and how hot they are.

A step of Adam is not lr times the gradient but lr times the gradient over sqrt(v), v its running mean of squares. Most
of a small batch's gradient is noise, so sqrt(v) is the noise's size, proportional to B^-1/2: Adam itself makes larger
batches faster. In the effective time that is taken out:

    T = sum over steps of mu        mu = lr / mean(sqrt(v))  for Adam, AdamW and RMSprop,   lr / (1 - momentum)  for SGD

with the mean over all N parameters. A lasting gradient moves weights as far per T whatever optimizer and batch size.
The noise of the gradient heats them: a weight of mobility mu whose gradient has the mean square v has the temperature
mu v, which is lr sqrt(v) with Adam. Half of it, added up over the weights,

    heat = N lr mean(sqrt(v)) / 2   with Adam,    N lr / (1 - momentum) mean(g^2) / 2   with SGD

is the loss that equipartition would add if each of them was a stiff direction. ``docs/unit.md`` says how onsets depend
on the two, and where that ends.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from taumem.errors import ConfigError
from taumem.record import Estimate, Reading

__all__ = ["EffectiveTime", "OptimizerState"]

SECOND_MOMENTS = ("max_exp_avg_sq", "exp_avg_sq", "square_avg")
"""What optimizers call their running mean of squared gradients: Adam with amsgrad, Adam and its kin, RMSprop. The
first that there is is what the step is divided by."""
RAREST = 256
"""Steps between two readings of v, at most: far fewer than its memory."""
MEMORY = 1000
"""Steps over which the squared gradients of SGD are averaged, as those of Adam with beta_2 = 0.999 are."""


class EffectiveTime:
    """Counts the effective time of a training, from its optimizer's state after each step.

    The rate is read at every step; v at every one of the first 31, then at every second, fourth, ... of each doubling,
    at least every 256th, and taken to stay in between. Steps at which all of v is zero count nothing: nothing
    moves.

    Attributes:
        value: T so far, in units of the weights over the gradient; NaN where it is not known: an optimizer took a step
            that has neither v nor the settings of SGD, or training went back.
        heat: at the last reading, in units of the loss; NaN where it is not known: SGD whose gradients were gone.
        step: optimizer steps counted.
    """

    def __init__(self) -> None:
        self.value = 0.0
        self.heat = math.nan
        self.step = 0
        self._divisor = math.nan
        self._size = math.nan
        self._read_at = 0

    @staticmethod
    def reads(step: int) -> bool:
        """Whether v is read after this step (from 1)."""
        return step % min(RAREST, 1 << max(step.bit_length() - 5, 0)) == 0

    def after(self, optimizer: Optimizer, step: int) -> None:
        """Count the steps that led to ``step``; cheap enough to be called after every one.

        Args:
            optimizer: as it stands after them; what was passed over is taken to have been like it.
            step: optimizer steps taken.
        """
        passed = step - self.step
        if passed < 0:
            self.value = self.heat = math.nan
        if passed and not math.isnan(self.value):
            try:
                if passed > 1 or self.reads(step) or math.isnan(self._divisor):
                    self.read(optimizer, gradient_sizes(optimizer)[0], step)
                self.count(rate_of(optimizer), passed)
            except Exception:  # it is built in another way, and a training does not die of that
                self.value = self.heat = math.nan
        self.step = step

    def read(self, optimizer: Optimizer, size: float, step: int) -> None:
        """Take what an optimizer divides by, and the heat, from what :func:`gradient_sizes` gives."""
        if divides(optimizer):
            self._size = size
            self._divisor = size + eps_of(optimizer) if size else 0.0
        elif is_sgd(optimizer):
            size = size or math.nan  # gradients that were set to zero say nothing
            share = min(1.0, (step - self._read_at) / min(step, MEMORY))  # it stands for all steps since the last
            self._size = size if math.isnan(self._size) else self._size + share * (size - self._size)
            self._read_at = step
            self._divisor = 1.0
        else:
            self._divisor = math.nan
        self.heat = n_trained(optimizer) * rate_of(optimizer) * self._size / 2

    def count(self, rate: float, n_steps: int = 1) -> None:
        """Count steps of one rate, over the divisor that was read last."""
        self.step += n_steps
        if self._divisor != 0:
            self.value += n_steps * rate / self._divisor

    def state(self) -> dict[str, float]:
        """What a resumed training needs, of plain types; empty where T is not known."""
        if math.isnan(self.value) or math.isnan(self._divisor):
            return {}
        known = {"value": self.value, "divisor": self._divisor, "size": self._size, "heat": self.heat}
        return {"step": self.step, "read_at": self._read_at} | {
            name: number for name, number in known.items() if not math.isnan(number)
        }

    def load(self, state: Mapping[str, float] | None, step: int | None = None) -> None:
        """Go on from a state at a step; where steps were taken that nothing counted, T is not known.

        Args:
            state: that was saved, or the step alone where nothing was counted; None or empty where none was.
            step: optimizer steps taken; those of the state if None.

        Raises:
            ConfigError: it is none.
        """
        try:
            step = int((state or {}).get("step", 0)) if step is None else step
            known = state if state and state["step"] == step else {}
            numbers = [float(known.get(name, math.nan)) for name in ("value", "heat", "size", "divisor")]
            read_at = int(known.get("read_at", 0))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ConfigError(f"not the state of an effective time ({type(error).__name__}: {error}).") from None
        self.value, self.heat, self._size, self._divisor = numbers if step or "value" in known else (0.0, *numbers[1:])
        self.step, self._read_at = step, read_at


class OptimizerState:
    """Records what sets the pace of training: the rate, the size of the gradient, T and the heat.

    ``learning_rate``: the mean over all parameters. ``root_second_moment``: the mean over all parameters of sqrt(v), v
    the running mean of squared gradients, corrected for its start where the optimizer does so; left out where the
    optimizer keeps none (SGD). ``effective_time`` and ``heat``: what was counted, left out where it is not known.

    Of an optimizer that is spread over processes, what this process holds is read.

    Args:
        optimizer: any of torch's kind: with ``param_groups`` and ``state``.
        time: what counts its steps; None to count none.

    Raises:
        ConfigError: it is none.
    """

    def __init__(self, optimizer: Any, time: EffectiveTime | None = None) -> None:
        if not all(hasattr(optimizer, name) for name in ("param_groups", "state")):
            raise ConfigError(f"optimizer is one of torch's kind; got {type(optimizer).__name__}.")
        self.optimizer: Optimizer = optimizer
        self.time = time

    @property
    def settings(self) -> dict[str, Any]:
        """The optimizer's kind."""
        return {"optimizer": type(self.optimizer).__name__}

    def measure(self, model: Any) -> Reading:
        """Read the state as it is now; the model is not asked."""
        n = n_parameters(self.optimizer)
        if not n:
            return Reading(())
        estimates = [Estimate(quantity="learning_rate", value=mean_rate(self.optimizer), count=n)]
        if divides(self.optimizer):
            root = gradient_sizes(self.optimizer)[0]
            n_moments = sum(v.numel() for v, _ in _second_moments(self.optimizer))
            estimates.append(Estimate(quantity="root_second_moment", value=root, count=n_moments))
        if self.time is not None:
            counted = {"effective_time": self.time.value, "heat": self.time.heat}
            estimates += [Estimate(quantity=k, value=x, count=n) for k, x in counted.items() if math.isfinite(x)]
        return Reading(tuple(estimates))


def n_parameters(optimizer: Optimizer) -> int:
    """How many numbers it changes."""
    return sum(p.numel() for group in optimizer.param_groups for p in group["params"])


def n_trained(optimizer: Optimizer) -> int:
    """How many of these have a second moment, or else a gradient: frozen ones have neither. All where none has."""
    moments = sum(v.numel() for v, _ in _second_moments(optimizer))
    moved = sum(p.numel() for group in optimizer.param_groups for p in group["params"] if p.grad is not None)
    return moments or moved or n_parameters(optimizer)


def mean_rate(optimizer: Optimizer) -> float:
    """The learning rate, on average over all parameters."""
    return _mean((float(group["lr"]), group) for group in optimizer.param_groups)


def rate_of(optimizer: Optimizer) -> float:
    """The learning rate times what momentum makes of a lasting gradient, on average over all parameters.

    Adam's mean of gradients adds up to one gradient; the momentum of SGD and RMSprop to 1 / (1 - momentum).
    """
    return _mean((float(group["lr"]) * _amplified(group), group) for group in optimizer.param_groups)


def divides(optimizer: Optimizer) -> bool:
    """Whether it divides its steps by the root of a running mean of squares."""
    states = (optimizer.state.get(p, {}) for group in optimizer.param_groups for p in group["params"])
    # Adadelta keeps squares too, and multiplies by another root.
    return next(_second_moments(optimizer), None) is not None and not any("acc_delta" in state for state in states)


def is_sgd(optimizer: Optimizer) -> bool:
    """Whether it has the settings of SGD, of whatever library."""
    return all("dampening" in group for group in optimizer.param_groups)


def eps_of(optimizer: Optimizer) -> float:
    """What is added to the root."""
    return float(optimizer.param_groups[0].get("eps", 0.0))


def gradient_sizes(optimizer: Optimizer, n_members: int = 1) -> list[float]:
    """The mean of sqrt(v) over all parameters; without v, that of squared gradients; NaN where there are none.

    Args:
        optimizer: that made a step.
        n_members: of an ensemble, whose parameters are stacked along their first axis: a mean for each.
    """
    # Each is added up before the next is made, and where it is: a number that is asked for waits for the device.
    pairs = [(_sums(v.sqrt(), n_members) / start**0.5, v.numel()) for v, start in _second_moments(optimizer)] or [
        (_sums(_local(p.grad).float().square(), n_members), p.grad.numel())
        for group in optimizer.param_groups
        for p in group["params"]
        if isinstance(p.grad, Tensor) and not p.grad.is_sparse
    ]
    if not pairs:
        return [math.nan] * n_members
    total = torch.stack([sums.to(pairs[0][0].device) for sums, _ in pairs]).sum(0)
    return [float(mean) for mean in (total * n_members / sum(n for _, n in pairs)).tolist()]


def _sums(part: Tensor, n_members: int) -> Tensor:
    return part.reshape(n_members, -1).sum(1, dtype=torch.float32)


def _second_moments(optimizer: Optimizer) -> Iterator[tuple[Tensor, float]]:
    """v of each parameter that has one, and by which factor it is short of the mean of squares."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            moment = next((m for name in SECOND_MOMENTS if isinstance(m := state.get(name), Tensor)), None)
            if moment is not None and moment.is_floating_point():
                v = _local(moment)
                if isinstance(mean := state.get("grad_avg"), Tensor):  # RMSprop, centered
                    v = (v - _local(mean) ** 2).clamp(min=0)
                yield v, _start(group, state)


def _local(tensor: Tensor) -> Tensor:
    """What this process holds of a DTensor; of others, all."""
    local = getattr(tensor, "to_local", None)
    found: Tensor = local() if local else tensor
    return found.detach()


def _start(group: Mapping[str, Any], state: Mapping[str, Any]) -> float:
    """By which factor the running mean is short of the mean of squares, after so few steps; 1 where it starts right."""
    betas, step = group.get("betas"), state.get("step")
    if betas is None or step is None:
        return 1.0
    return float(max(1.0 - math.pow(float(betas[1]), float(step)), 1e-12))


def _amplified(group: Mapping[str, Any]) -> float:
    momentum = float(group.get("momentum") or 0.0)
    return (1.0 - float(group.get("dampening") or 0.0)) / (1.0 - momentum) if momentum else 1.0


def _mean(rates: Iterable[tuple[float, Mapping[str, Any]]]) -> float:
    """On average over all parameters; of a single group its own."""
    pairs = list(rates)
    if len(pairs) == 1:
        return pairs[0][0]
    counts = [sum(p.numel() for p in group["params"]) for _, group in pairs]
    return float(sum(rate * n for (rate, _), n in zip(pairs, counts, strict=True)) / max(sum(counts), 1))
