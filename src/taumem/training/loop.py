"""Training as a generator: the caller's for-loop observes, saves and stops.

::

    learner = Learner.start(denoiser, learning_rate=3e-3)
    for step in train(learner, diffusion, split.train, batch_size=16, seed=0):
        if step.index == 1000:
            break
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from taumem.diffusion.diffusion import Diffusion, stratified_times
from taumem.errors import ConfigError
from taumem.randomness import generator_for
from taumem.record import RateSchedule
from taumem.shapes import Batch, Items, Times
from taumem.training.augmentation import Augmentation
from taumem.training.ema import power_average
from taumem.training.engine import Engine
from taumem.training.optimizers import OptimizerName, make_optimizer
from taumem.training.pace import EffectiveTime

__all__ = ["Learner", "Step", "train"]

CONSTANT = RateSchedule()
NONE = Augmentation()
PLAIN = Engine()


@dataclass(frozen=True)
class Step:
    """One optimizer step, after its update."""

    index: int
    """Optimizer steps taken so far, this one included: the first step is 1."""
    examples: int
    """Training examples seen so far."""
    loss: Tensor
    """Mean training loss of the batch, before the update; a scalar on the model's device (read it when you need it)."""


@dataclass
class Learner:
    """Everything that training changes, and a checkpoint therefore holds."""

    denoiser: nn.Module
    optimizer: Optimizer
    average: AveragedModel | None = None
    """The exponential moving average of the denoiser, or None."""
    step: int = 0
    """Optimizer steps taken."""
    examples: int = 0
    """Training examples seen."""
    time: EffectiveTime | None = None
    """Counts the effective time, or None."""
    scaler: GradScaler | None = None
    """Of the loss in half precision (fp16), or None."""

    @classmethod
    def start(
        cls,
        denoiser: nn.Module,
        *,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        ema_window: float | None = None,
        optimizer: OptimizerName = "adamw",
        momentum: float = 0.9,
        effective_time: bool = False,
    ) -> "Learner":
        """Begin with an optimizer and, if asked for, an average of the weights.

        Args:
            denoiser: the model to train; it is trained in place.
            learning_rate: its highest; :func:`train` may be given a schedule. A decay freezes the clocks.
            weight_decay: decoupled in AdamW; 0 for plain Adam.
            ema_window: width of the average's window as a share of training; None for no average.
            optimizer: see :func:`taumem.training.optimizers.make_optimizer`.
            momentum: of SGD.
            effective_time: whether to count it (see :mod:`taumem.training.pace`).

        Raises:
            ConfigError: no such optimizer, a momentum or a window out of its range.
        """
        parameters = [p for p in denoiser.parameters() if p.requires_grad]
        made = make_optimizer(
            optimizer, parameters, learning_rate=learning_rate, weight_decay=weight_decay, momentum=momentum
        )
        average = None if ema_window is None else power_average(denoiser, ema_window)
        return cls(denoiser, made, average, time=EffectiveTime() if effective_time else None)

    @property
    def averaged(self) -> nn.Module:
        """The averaged denoiser where there is one, the raw one where there is not: what probes look at."""
        return self.denoiser if self.average is None else self.average.module


def train(
    learner: Learner,
    diffusion: Diffusion,
    data: Items,
    *,
    batch_size: int,
    seed: int,
    schedule: RateSchedule = CONSTANT,
    clip: float | None = None,
    augmentation: Augmentation = NONE,
    engine: Engine = PLAIN,
) -> Iterator[Step]:
    """Train without end, one step at a time, from where the learner stands.

    Batches come from a fresh shuffle for each pass over the data; the last batch of a pass is filled from the next.
    Every draw depends on (seed, what it is for, step) alone, so a resumed run repeats what an unbroken one would do.

    Args:
        learner: what to train; its step and its examples count on.
        diffusion: gives the loss.
        data: the training items [P, ...], on the denoiser's device.
        batch_size: examples per step. It may exceed P: then items repeat within a batch, under different noise.
        seed: of the batches, times and noise.
        schedule: of the learning rate, such as ``RateSchedule(warmup=100)``; constant if not said.
        clip: largest norm of the gradient, or None.
        augmentation: of images; none if not said.
        engine: how a step is computed: single precision in one process if not said.

    Yields:
        A Step after each update.

    Raises:
        ConfigError: an empty data set, a batch size below 1, a clip that is not positive, an augmentation of
            anything but images, or a batch that the engine cannot cut.
    """
    check_options(len(data), batch_size, clip)
    engine.check(batch_size)
    draws = Draws(diffusion, data, batch_size, seed, augmentation)
    losses = engine.losses(learner.denoiser, diffusion)
    learner.scaler = learner.scaler or engine.scaler(data.device)
    learner.denoiser.train()
    while True:
        index = learner.step + 1
        learner.optimizer.zero_grad(set_to_none=True)
        dropout = generator_for(seed, "dropout", index, *([engine.rank] if engine.rank else []))
        with _dropout_from(dropout.initial_seed(), data.device):
            loss = engine.backward(losses, draws.at(index), learner.scaler)
        set_learning_rate(learner.optimizer, schedule.at(index))
        taken = engine.update(learner.optimizer, clip, learner.scaler)
        if learner.time is not None and taken:
            learner.time.after(learner.optimizer, index)
        elif learner.time is not None:
            learner.time.step = index
        if learner.average is not None:
            learner.average.update_parameters(learner.denoiser)

        learner.step = index
        learner.examples += batch_size
        yield Step(index, learner.examples, loss)


def check_options(n_train: int, batch_size: int, clip: float | None) -> None:
    """Refuse what cannot be trained, before anything changes."""
    if batch_size < 1 or n_train == 0:
        raise ConfigError(
            f"training needs data and a batch size of at least 1; got {n_train} items, batch size {batch_size}."
        )
    if clip is not None and not clip > 0:
        raise ConfigError(
            f"clip, the largest norm of the gradient, must be positive, or None for no limit; got {clip}."
        )


def set_learning_rate(optimizer: Optimizer, share: float) -> None:
    """Give the optimizer this share of its highest learning rate."""
    for group in optimizer.param_groups:
        # The schedule writes "lr"; a checkpoint must remember the rate that it is a share of.
        group["lr"] = group.setdefault("base_lr", group["lr"]) * share


class Draws:
    """All that a run draws for its steps: the batch, the times and the noise of each depend on the seed and its index.

    Args:
        diffusion: draws the noise.
        data: the training items [P, ...].
        batch_size: examples per step.
        seed: of everything.
        augmentation: of the items of each batch.

    Raises:
        ConfigError: an augmentation that the items do not take.
    """

    def __init__(
        self, diffusion: Diffusion, data: Items, batch_size: int, seed: int, augmentation: Augmentation = NONE
    ) -> None:
        augmentation.check(data)
        self.diffusion = diffusion
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation
        # A step asks for the order of its pass, or of two; so did the one before.
        self._order = lru_cache(maxsize=2)(_order_of_pass)

    def at(self, index: int) -> tuple[Batch, Times, Tensor]:
        """Give x0, t and the noise of step ``index`` (from 1)."""
        device = self.data.device
        generator = generator_for(self.seed, "train", index, device=device)
        positions = batch_positions(len(self.data), self.batch_size, index, self.seed, order=self._order)
        x0 = self.augmentation.of(self.data[positions.to(device)], self.seed, index)
        t = stratified_times(self.batch_size, generator)
        return x0, t, self.diffusion.noise(x0, generator)


@contextmanager
def _dropout_from(draw: int, device: torch.device) -> Iterator[None]:
    """Let dropout, which draws from torch's global generators alone, depend on the step; restore them after."""
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.default_generator.manual_seed(draw)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(draw)
        yield


def _order_of_pass(n_train: int, number: int, seed: int) -> Tensor:
    return torch.randperm(n_train, generator=generator_for(seed, "pass", number))


def batch_positions(
    n_train: int,
    batch_size: int,
    index: int,
    seed: int,
    order: Callable[[int, int, int], Tensor] = _order_of_pass,
) -> Tensor:
    """Give the positions in the training set that step ``index`` (from 1) takes: [batch_size].

    The passes over the data, each in its own random order, stand in one endless row; step k takes the k-th stretch of
    it. So every item is seen equally often, to within one, at any step.
    """
    first, last = (index - 1) * batch_size, index * batch_size
    passes = range(first // n_train, (last - 1) // n_train + 1)
    row = torch.cat([order(n_train, k, seed) for k in passes])
    return row[first - passes[0] * n_train :][:batch_size]
