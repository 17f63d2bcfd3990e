"""How much memory a run takes at its peak, told before it is made: two steps of it, in shapes without numbers.

A network on torch's meta device has shapes and no numbers. Its training step is taken there twice, forward and
backward, and so are the forward passes of a look, while every tensor that comes into being and goes is counted. So
checkpointed activations, latents or a network of somebody's own are all counted as they are.
"""

import weakref
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from taumem.data.readers.opening import memory_of_machine
from taumem.diffusion import Diffusion
from taumem.errors import ConfigError
from taumem.models.recomputation import InStages

__all__ = ["HalfProducts", "Memory", "memory_of_device", "predicted"]

MOMENTS = {"adamw": 2, "adam": 2, "rmsprop": 1, "sgd": 1}
"""Numbers that an optimizer keeps for each parameter."""
OVERHEAD = 250 * 2**20
"""Bytes that torch's kernels, their plans and what is imported on the way take once they run, measured on a CPU."""
SLACK, SLACK_RECOMPUTED = 1.5, 2.0
"""What comes and goes is held longer, and in larger pieces, than it is needed: kernels reorder what they read, and
memory that was given back has holes, above all where stages are computed twice. Up to 1.4 was measured on a CPU, and
1.9 with checkpointed activations."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a run takes at its peak, beyond those of a process that has loaded taumem.

    Attributes:
        weights: of the network.
        gradients: of those that are trained.
        moments: of the optimizer.
        average: of the weights.
        activations: what a step or a look has in use at once, at most, beside these.
        data: items in memory, and what looks compare samples and models with.
        overhead: of the kernels.
        n_parameters: how many.
    """

    weights: int
    gradients: int
    moments: int
    average: int
    activations: int
    data: int
    overhead: int
    n_parameters: int

    @property
    def total(self) -> int:
        """All together."""
        state = self.weights + self.gradients + self.moments + self.average
        return state + self.activations + self.data + self.overhead

    def __str__(self) -> str:
        parts = ("weights", "gradients", "moments", "average", "activations", "data", "overhead")
        shown = ", ".join(f"{part} {_size(getattr(self, part))}" for part in parts)
        return f"{_size(self.total)} at the peak ({shown}; {self.n_parameters:,} parameters)"

    def refuse_if_more_than(self, there: int, what: str) -> None:
        """Refuse a run that does not fit.

        Raises:
            ConfigError: it does not.
        """
        if self.total > there:
            raise ConfigError(
                f"model: the run takes {self}, and {what} has {_size(there)}. Make the network or the batch smaller, "
                "lower monitor.block and monitor.n_samples, or set training.checkpoint_activations = true."
            )


def predicted(
    build: Callable[[], nn.Module],
    objective: Diffusion,
    *,
    item_shape: tuple[int, ...],
    tokens: bool,
    batch_size: int,
    look: int,
    data: int = 0,
    optimizer: str = "adamw",
    momentum: float | None = None,
    averaged: bool = True,
    precision: torch.dtype | None = None,
) -> Memory:
    """Predict the memory of a run.

    Args:
        build: makes the network with fresh weights.
        objective: whose loss is trained on.
        item_shape: of one item.
        tokens: whether items are symbols.
        batch_size: examples per step.
        look: items that go through the network at once when it is looked at, without gradients.
        data: bytes of items, and of what they are compared in.
        optimizer: its name.
        momentum: of SGD; 0 has no moments.
        averaged: whether an average of the weights is kept.
        precision: of products and convolutions in a step, as autocast has them; None for single. Looks are in single.

    Raises:
        NotImplementedError: a network or a loss that wants numbers.
        RuntimeError: likewise.
    """
    with torch.device("meta"):
        network = build().train()
    weights = _bytes(network.parameters()) + _bytes(network.buffers())
    trained = _bytes(p for p in network.parameters() if p.requires_grad)
    live = _Live()
    with torch.device("meta"), live:
        for _ in range(2):  # in the second, the gradients of the first are there
            with nullcontext() if precision is None else HalfProducts(precision):
                loss = _loss(network, objective, item_shape, batch_size, tokens=tokens).mean()
            network.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            del loss
        with torch.no_grad():
            _loss(network, objective, item_shape, look, tokens=tokens)
    kept = 0 if optimizer == "sgd" and momentum == 0 else MOMENTS[optimizer]
    return Memory(
        weights=weights,
        gradients=trained,
        moments=kept * trained,
        average=weights if averaged else 0,
        activations=int(_slack(network) * max(live.peak - trained, 0)),
        data=data,
        overhead=OVERHEAD,
        n_parameters=sum(p.numel() for p in network.parameters()),
    )


class HalfProducts(TorchFunctionMode):
    """Has products and convolutions be in half precision as autocast does, which torch's meta device knows nothing of.

    Args:
        dtype: what floating-point numbers among their arguments are cast to.
    """

    OPERATIONS = frozenset(
        (
            functional.linear,
            functional.scaled_dot_product_attention,
            *(getattr(functional, f"conv{turned}{n}d") for turned in ("", "_transpose") for n in (1, 2, 3)),
            *(getattr(home, name) for home in (torch, Tensor) for name in ("matmul", "bmm", "mm", "addmm", "baddbmm")),
            Tensor.__matmul__,
            torch.einsum,
        )
    )

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = (args, dict(kwargs or {}))
        if func in self.OPERATIONS:
            given = tree_map_only(Tensor, self._cast, given)
        return func(*given[0], **given[1])

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


def _slack(network: nn.Module) -> float:
    recomputes = any(isinstance(module, InStages) and module.recomputes for module in network.modules())
    return SLACK_RECOMPUTED if recomputes else SLACK


def memory_of_device(device: str) -> tuple[int, str]:
    """The bytes of the memory that a run on this device has, and what it is called in words."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory, f"the device {device}"
    return memory_of_machine(), "this machine"


def _loss(network: nn.Module, diffusion: Diffusion, item_shape: tuple[int, ...], n: int, *, tokens: bool) -> Tensor:
    x0 = torch.zeros((n, *item_shape), dtype=torch.long if tokens else torch.float32)
    noise = torch.zeros(x0.shape, dtype=torch.float32)
    return diffusion.loss(network, x0, torch.zeros(n), noise)


@dataclass(eq=False)
class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that come into being under it and are still there."""

    now: int = 0
    peak: int = 0
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._take(tensor.untyped_storage())
        return result

    def _take(self, storage: torch.UntypedStorage) -> None:
        key, n_bytes = id(storage), storage.nbytes()
        if key in self.seen:
            return
        self.seen.add(key)
        self.now += n_bytes
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key, n_bytes)

    def _drop(self, key: int, n_bytes: int) -> None:
        self.seen.discard(key)
        self.now -= n_bytes


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.0f} MB"
