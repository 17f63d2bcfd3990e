"""Several processes that train one model (torch.distributed): each answers a part, and all learn the whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from taumem.errors import ConfigError, TaumemError

__all__ = [
    "is_first",
    "mean_over_processes",
    "n_processes",
    "own_share",
    "rank",
    "summed",
    "together",
    "told_by_first",
]


def n_processes() -> int:
    """How many processes train together; 1 where torch.distributed is not in use."""
    return dist.get_world_size() if _in_use() else 1


def rank() -> int:
    """Which of the processes that train together this is, from 0."""
    return dist.get_rank() if _in_use() else 0


def is_first() -> bool:
    """Whether this process is the one that writes.

    Trainers that start their processes late say in the environment which one this is: what is made before
    torch.distributed is in use must not be written by all of them.
    """
    if _in_use():
        return rank() == 0
    named = os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))
    return named in ("", "0") and ("RANK" in os.environ or os.environ.get("NODE_RANK", "0") in ("", "0"))


def own_share(n: int) -> list[tuple[int, bool]]:
    """Which of n pieces of work this process does, and whether each counts.

    All do equally many, so that models that are spread over processes are called as often everywhere; what fills up a
    share is done a second time and does not count.

    Args:
        n: pieces of work.
    """
    size = n_processes()
    return [(place % n, place < n) for place in range(rank(), -(-n // size) * size, size)]


def summed(values: Tensor) -> Tensor:
    """The sum over processes of a tensor, in every process.

    Args:
        values: of equal shape everywhere, float64, on the CPU.
    """
    if n_processes() == 1:
        return values
    device = _device()
    # Not every device knows float64; the sum is of one number and zeros, which loses nothing but the last digits.
    moved = values.to(device) if device.type != "mps" else values.float().to(device)
    dist.all_reduce(moved)
    return moved.to("cpu", values.dtype)


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean over processes of a tensor, in every process.

    Args:
        value: of equal shape everywhere, on the device of the process.
    """
    if n_processes() > 1:
        dist.all_reduce(value)
        value /= n_processes()
    return value


@contextmanager
def together(what: str, kind: type[TaumemError] = ConfigError) -> Iterator[None]:
    """Fail in every process where one fails inside, so that all go on alike.

    Args:
        what: could not be done, for the message: "could not answer".
        kind: of the error in the others.

    Raises:
        TaumemError: another process failed; the one that did raises what it met.
    """
    problem: Exception | None = None
    try:
        yield
    except Exception as raised:
        problem = raised
    told: list[Any] = [None if problem is None else f"{type(problem).__name__}: {problem}"]
    if n_processes() > 1:
        own, told = told[0], [None] * n_processes()
        dist.all_gather_object(told, own)
    if problem is not None:
        raise problem
    if other := next(filter(None, told), None):
        raise kind(f"another process {what}: {other}")


def told_by_first(value: Any) -> Any:
    """What the first process has, in every process."""
    if n_processes() == 1:
        return value
    told = [value if is_first() else None]
    dist.broadcast_object_list(told, src=0, device=_device())
    return told[0]


def _in_use() -> bool:
    return dist.is_available() and dist.is_initialized()


def _device() -> torch.device:
    if "nccl" in str(dist.get_backend()):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())))
    return torch.device("cpu")
