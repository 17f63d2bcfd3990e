"""How a step is computed: in which precision, in how many parts, by how many processes.

The batch of a step is drawn whole, from the seed and the step. An engine cuts it into parts: each process takes its
own, and one after another they go through the network. Their gradients add up to those of the batch, so that a run is
the same, to within rounding, however it is cut.
"""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from taumem.diffusion.diffusion import Diffusion
from taumem.errors import ConfigError
from taumem.processes import mean_over_processes, n_processes, rank
from taumem.shapes import Batch, PerItem, Times

__all__ = ["Engine", "Precision", "join_processes"]

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Drawn = tuple[Batch, Times, Tensor]
"""What a step draws: x0, t and the noise."""


@dataclass(frozen=True)
class Engine:
    """How a step is computed. Weights, moments and averages are in single precision, whatever it is.

    Attributes:
        precision: of products and convolutions (torch's autocast): ``fp32``, ``bf16``, or ``fp16``, whose loss is
            scaled so that small gradients are not lost.
        accumulate: parts in which a batch goes through the network, one after another: more of them need less memory.
            A step is still one update.
        compiled: whether ``torch.compile`` makes one program of the network and its loss; the first step waits for it.
        channels_last: whether the weights of convolutions lie in memory with the channels last.
        shared: whether the processes that :func:`join_processes` found share each batch. All must then train alike.

    Raises:
        ConfigError: no such precision, or fewer than one part.
    """

    precision: Precision = "fp32"
    accumulate: int = 1
    compiled: bool = False
    channels_last: bool = False
    shared: bool = False

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision is one of {', '.join(get_args(Precision))}; got {self.precision!r}.")
        if self.accumulate < 1:
            raise ConfigError(f"accumulate: a batch goes through in at least 1 part; got {self.accumulate}.")

    @property
    def n_parts(self) -> int:
        """Into how many parts a batch is cut, over all processes."""
        return self.accumulate * (n_processes() if self.shared else 1)

    @property
    def rank(self) -> int:
        """Which of the processes that share a batch this is, from 0."""
        return rank() if self.shared else 0

    def check(self, batch_size: int) -> None:
        """Refuse a batch that cannot be cut.

        Raises:
            ConfigError: it has fewer items than there are parts.
        """
        if batch_size < self.n_parts:
            raise ConfigError(
                f"a batch of {batch_size} cannot be cut into {self.n_parts} parts (accumulate = {self.accumulate}, "
                f"processes: {n_processes() if self.shared else 1}); choose a larger batch_size or fewer of them."
            )

    def placed(self, denoiser: nn.Module) -> nn.Module:
        """Lay a denoiser's weights out in memory as asked; in place."""
        return denoiser.to(memory_format=torch.channels_last) if self.channels_last else denoiser  # type: ignore[call-overload]

    def losses(self, denoiser: nn.Module, diffusion: Diffusion) -> nn.Module:
        """Make the program of a step: from x0, t and noise to the loss of each item."""
        losses: nn.Module = Losses(denoiser, diffusion)
        if self.compiled:
            losses = cast(nn.Module, torch.compile(losses))
        if self.shared and n_processes() > 1:
            device = next(denoiser.parameters()).device
            losses = cast(nn.Module, _accelerator(device).prepare_model(losses))
        return losses

    def scaler(self, device: torch.device) -> GradScaler | None:
        """What keeps small gradients from being lost, where the precision needs it."""
        return GradScaler(device.type) if self.precision == "fp16" else None

    def backward(self, losses: nn.Module, batch: Drawn, scaler: GradScaler | None = None) -> Tensor:
        """Add the gradient of the batch's mean loss to that of the parameters, and give the mean loss."""
        parts, device = self._own_parts(batch), batch[0].device
        ranks = self.n_parts // self.accumulate  # which will take the mean of their gradients
        total = torch.zeros((), device=device)
        for k, part in enumerate(parts):
            # Processes meet once in a step, at its last part.
            apart = nullcontext() if k == len(parts) - 1 else getattr(losses, "no_sync", nullcontext)()
            with apart:
                with self._autocast(device):
                    loss = losses(*part).mean() * (len(part[0]) * ranks / len(batch[0]))
                (loss if scaler is None else scaler.scale(loss)).backward()
            total += loss.detach()
        return mean_over_processes(total) if self.shared else total

    @staticmethod
    def update(optimizer: Optimizer, clip: float | None, scaler: GradScaler | None = None) -> bool:
        """Take the optimizer's step, with the norm of the gradient clipped; none where half precision overflowed.

        Returns:
            Whether it was taken.
        """
        if scaler is not None:
            scaler.unscale_(optimizer)
        if clip is not None:
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
        if scaler is None:
            optimizer.step()
            return True
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        return scaler.get_scale() >= scale

    def _own_parts(self, batch: Drawn) -> list[Drawn]:
        cut = list(zip(*(drawn.tensor_split(self.n_parts) for drawn in batch), strict=True))
        first = self.accumulate * self.rank
        return cast(list[Drawn], cut[first : first + self.accumulate])

    def _autocast(self, device: torch.device) -> torch.autocast | nullcontext[None]:
        dtype = DTYPES.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


class Losses(nn.Module):
    """A denoiser with its loss: what is compiled, and what processes share."""

    def __init__(self, denoiser: nn.Module, diffusion: Diffusion) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.diffusion = diffusion

    def forward(self, x0: Batch, t: Times, noise: Tensor) -> PerItem:
        """Give the loss of each item."""
        return self.diffusion.loss(self.denoiser, x0, t, noise)


def join_processes(device: str) -> str:
    """Meet the other processes of a launch (``torchrun``, ``accelerate launch``), if there are any.

    Args:
        device: ``cpu``, or ``cuda`` for the one that is this process's own.

    Returns:
        This process's device.

    Raises:
        ConfigError: there are other processes, and Accelerate, which brings them together, is not installed.
    """
    if n_processes() == 1 and int(os.environ.get("WORLD_SIZE") or 1) == 1:
        return device
    return str(_accelerator(torch.device(device)).device)


def _accelerator(device: torch.device) -> Any:
    try:
        from accelerate import Accelerator, InitProcessGroupKwargs
    except ImportError:
        raise ConfigError(
            "several processes that train one model need Accelerate: pip install 'taumem[accelerate]'."
        ) from None
    # The precision is the engine's own, so that a record says which it was.
    patient = InitProcessGroupKwargs(timeout=timedelta(days=7))  # the others wait while the first one looks
    return Accelerator(mixed_precision="no", cpu=device.type == "cpu", kwargs_handlers=[patient])
