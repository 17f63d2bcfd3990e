"""The pace of training: how far an optimizer's steps move weights along a lasting gradient, and the time that makes.

A step of Adam is not lr times the gradient but lr times the gradient over sqrt(v), v its running mean of squares. Most
of a small batch's gradient is noise, so sqrt(v) is the noise's size, proportional to B^-1/2: Adam itself makes larger
batches faster. In the time that counts what is left of that,

    T = sum over steps of lr / mean(sqrt(v))         Adam, AdamW, RMSprop
    T = sum over steps of lr / (1 - momentum)        SGD

a lasting gradient moves the weights equally far whatever the batch size. ``docs/unit.md`` says how far onsets follow
it, and where they stop to.
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
RAREST = 16
"""Steps between two readings of v, at most: far fewer than its memory of 1 / (1 - beta_2) = 1,000."""


class EffectiveTime:
    """Counts the effective time of a training, from its optimizer's state after each step.

    The rate is read at every step; v at every step of the first 127, then at every second, fourth, ... of each
    doubling, at least every 16th, and taken to stay in between. Steps at which all of v is zero count nothing: nothing
    moves.

    Attributes:
        value: T so far, in units of the weights over the gradient; NaN where it is not known: an optimizer took a step
            that has neither v nor the settings of SGD, or training went back.
        size: of the gradient that the rate is divided by, as it was read last; NaN before that.
        step: optimizer steps counted.
    """

    def __init__(self) -> None:
        self.value = 0.0
        self.size = math.nan
        self.step = 0

    @staticmethod
    def reads(step: int) -> bool:
        """Whether v is read after this step (from 1)."""
        return step % min(RAREST, 1 << max(step.bit_length() - 7, 0)) == 0

    def after(self, optimizer: Optimizer, step: int) -> None:
        """Count the steps that led to ``step``; cheap enough to be called after every one.

        Args:
            optimizer: as it stands after them; what was passed over is taken to have been like it.
            step: optimizer steps taken.
        """
        passed = step - self.step
        if passed < 0:
            self.value = math.nan
        if passed and not math.isnan(self.value):
            try:
                if passed > 1 or self.reads(step) or math.isnan(self.size):
                    self.size = divisor_of(optimizer)
                self.count(rate_of(optimizer), passed)
            except (AttributeError, LookupError, TypeError, ValueError, RuntimeError):  # built in another way
                self.value = math.nan
        self.step = step

    def count(self, rate: float, n_steps: int = 1) -> None:
        """Count steps of one rate, over the size that was read last."""
        self.step += n_steps
        if self.size != 0:
            self.value += n_steps * rate / self.size

    def state(self) -> dict[str, float]:
        """What a resumed training needs, of plain types; empty where T is not known."""
        return {} if math.isnan(self.value + self.size) else {"value": self.value, "size": self.size, "step": self.step}

    def load(self, state: Mapping[str, float] | None, step: int) -> None:
        """Go on from a state at a step; where steps were taken that nothing counted, T is not known.

        Args:
            state: that was saved; None where none was.
            step: optimizer steps taken.
        """
        state, self.step = state or {"value": 0.0, "size": math.nan, "step": 0}, step
        self.value = state["value"] if state["step"] == step else math.nan
        self.size = state["size"]


class OptimizerState:
    """Records what sets the pace of training: the learning rate, the size of the gradient that it is divided by, and T.

    ``learning_rate``: the mean over all parameters. ``root_second_moment``: the mean over all parameters of sqrt(v), v
    the running mean of squared gradients, corrected for its start where the optimizer does so; left out where the
    optimizer keeps none (SGD). ``effective_time``: what was counted, left out where it is not known.

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
        n = sum(p.numel() for group in self.optimizer.param_groups for p in group["params"])
        if not n:
            return Reading(())
        estimates = [Estimate(quantity="learning_rate", value=mean_rate(self.optimizer), count=n)]
        root, n_moments = root_second_moment(self.optimizer)
        if n_moments:
            estimates.append(Estimate(quantity="root_second_moment", value=root, count=n_moments))
        if self.time is not None and math.isfinite(self.time.value):
            estimates.append(Estimate(quantity="effective_time", value=self.time.value, count=n))
        return Reading(tuple(estimates))


def mean_rate(optimizer: Optimizer) -> float:
    """The learning rate, on average over all parameters."""
    return _mean((float(group["lr"]), group) for group in optimizer.param_groups)


def rate_of(optimizer: Optimizer) -> float:
    """The learning rate times what momentum makes of a lasting gradient, on average over all parameters.

    Adam's mean of gradients adds up to one gradient; the momentum of SGD and RMSprop to 1 / (1 - momentum).
    """
    return _mean((float(group["lr"]) * _amplified(group), group) for group in optimizer.param_groups)


def divisor_of(optimizer: Optimizer) -> float:
    """What the rate is divided by: mean(sqrt(v)) + eps; 1 for SGD; NaN for an optimizer that has neither."""
    root, n = root_second_moment(optimizer)
    if n:
        return _with_eps(root, optimizer)
    return 1.0 if all("dampening" in group for group in optimizer.param_groups) else math.nan


def root_second_moment(optimizer: Optimizer) -> tuple[float, int]:
    """The mean of sqrt(v) over all parameters that have a v, and their number; (0, 0) where none has."""
    sums, numbers = [], 0
    for roots in _roots(optimizer):
        sums.append(roots.sum(dtype=torch.float32))
        numbers += roots.numel()
    # Added up where they are: a number that is asked for waits for all that the device has to do.
    return (float(torch.stack([s.to(sums[0].device) for s in sums]).sum()) / numbers if numbers else 0.0), numbers


def divisors_of(optimizer: Optimizer, n_members: int) -> list[float]:
    """:func:`divisor_of` for each member of an ensemble, whose parameters are stacked along their first axis."""
    roots = [root.flatten(1) for root in _roots(optimizer)]
    if not roots:
        return [divisor_of(optimizer)] * n_members
    total = torch.stack([root.sum(1, dtype=torch.float32) for root in roots]).sum(0)
    means = (total / sum(root.shape[1] for root in roots)).tolist()
    return [_with_eps(mean, optimizer) for mean in means]


def _with_eps(root: float, optimizer: Optimizer) -> float:
    return root + float(optimizer.param_groups[0].get("eps", 0.0)) if root else 0.0


def _roots(optimizer: Optimizer) -> Iterator[Tensor]:
    """sqrt(v) of each parameter that has one, corrected for its start."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            moment = next((m for name in SECOND_MOMENTS if isinstance(m := state.get(name), Tensor)), None)
            if moment is not None and moment.is_floating_point():
                local = getattr(moment, "to_local", None)  # of a DTensor, what is here
                v = (local() if local else moment).detach()
                if isinstance(mean := state.get("grad_avg"), Tensor):  # RMSprop, centered
                    v = (v - mean**2).clamp(min=0)
                yield v.sqrt() / _start(group, state) ** 0.5


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
