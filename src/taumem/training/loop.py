"""Training as a generator: the caller's for-loop observes, saves and stops.

::

    learner = Learner.start(denoiser, learning_rate=3e-3)
    for step in train(learner, diffusion, split.train, batch_size=16, seed=0):
        if step.index == 1000:
            break
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from taumem.diffusion.diffusion import Diffusion, stratified_times
from taumem.errors import ConfigError
from taumem.randomness import generator_for
from taumem.shapes import Items
from taumem.training.ema import power_average

__all__ = ["Learner", "Step", "train"]


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

    @classmethod
    def start(
        cls,
        denoiser: nn.Module,
        *,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        ema_window: float | None = None,
    ) -> "Learner":
        """Begin with Adam (AdamW where there is weight decay) and, if asked for, an average of the weights.

        Args:
            denoiser: the model to train; it is trained in place.
            learning_rate: constant, after the warm-up that :func:`train` may add. A decay would freeze the clocks.
            weight_decay: AdamW's, decoupled; 0 for plain Adam.
            ema_window: width of the average's window as a share of training; None for no average.
        """
        parameters = [p for p in denoiser.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
        average = None if ema_window is None else power_average(denoiser, ema_window)
        return cls(denoiser, optimizer, average)

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
    warmup: int = 0,
    clip: float | None = None,
) -> Iterator[Step]:
    """Train without end, one step at a time, from where the learner stands.

    Batches come from a fresh shuffle for each pass over the data; the last batch of a pass is filled from the next.
    Every draw depends on (seed, what it is for, step) alone, so a resumed run repeats what an unbroken one would do.

    Args:
        learner: what to train; its step and its examples count on.
        diffusion: gives the loss.
        data: the training items [P, ...], on the denoiser's device.
        batch_size: examples a step. It may exceed P: then items repeat within a batch, under different noise.
        seed: of the batches, times and noise.
        warmup: steps over which the learning rate rises linearly from 0 to its value.
        clip: largest norm of the gradient, or None.

    Yields:
        A Step after each update.

    Raises:
        ConfigError: an empty data set, a batch size below 1, a negative warm-up, or a clip that is not positive.
    """
    if batch_size < 1 or warmup < 0 or len(data) == 0:
        raise ConfigError(
            f"training needs data, a batch size of at least 1 and a warm-up of at least 0; "
            f"got {len(data)} items, batch size {batch_size}, warm-up {warmup}."
        )
    if clip is not None and not clip > 0:
        raise ConfigError(
            f"clip, the largest norm of the gradient, must be positive, or None for no limit; got {clip}."
        )
    learning_rates = [group.get("base_lr", group["lr"]) for group in learner.optimizer.param_groups]
    for group, rate in zip(learner.optimizer.param_groups, learning_rates, strict=True):
        group["base_lr"] = rate  # the warm-up writes group["lr"]; a checkpoint must remember the rate it rises to
    learner.denoiser.train()
    while True:
        index = learner.step + 1
        generator = generator_for(seed, "train", index, device=data.device)
        x0 = data[batch_positions(len(data), batch_size, index, seed).to(data.device)]
        t = stratified_times(batch_size, generator)
        noise = diffusion.noise(x0, generator)
        with _dropout_from(generator_for(seed, "dropout", index).initial_seed(), data.device):
            loss = diffusion.loss(learner.denoiser, x0, t, noise).mean()

        learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            nn.utils.clip_grad_norm_(learner.denoiser.parameters(), clip)
        for group in learner.optimizer.param_groups:
            group["lr"] = group["base_lr"] * min(1.0, index / warmup if warmup else 1.0)
        learner.optimizer.step()
        if learner.average is not None:
            learner.average.update_parameters(learner.denoiser)

        learner.step = index
        learner.examples += batch_size
        yield Step(index, learner.examples, loss.detach())


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


def batch_positions(n_train: int, batch_size: int, index: int, seed: int) -> Tensor:
    """Give the positions in the training set that step ``index`` (from 1) takes: [batch_size].

    The passes over the data, each in its own random order, stand in one endless row; step k takes the k-th stretch of
    it. So every item is seen equally often, to within one, at any step.
    """
    first, last = (index - 1) * batch_size, index * batch_size
    passes = range(first // n_train, (last - 1) // n_train + 1)
    row = torch.cat([_order_of_pass(n_train, k, seed) for k in passes])
    return row[first - passes[0] * n_train :][:batch_size]


@lru_cache(maxsize=2)  # a step asks for the order of its pass, or of two; so did the one before
def _order_of_pass(n_train: int, number: int, seed: int) -> Tensor:
    return torch.randperm(n_train, generator=generator_for(seed, "pass", number))
