"""A search cut into parts of the references, which may run anywhere: the result is the same, to the bit."""

from concurrent.futures import Executor
from functools import partial
from itertools import pairwise
from mmap import mmap
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from taumem.errors import ConfigError
from taumem.neighbors.metrics import MetricName
from taumem.neighbors.ranking import merge
from taumem.neighbors.search import nearest

__all__ = ["Part", "nearest_in_shards"]

Found = tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]


def nearest_in_shards(
    queries: Any,
    references: Any,
    k: int = 2,
    *,
    n_shards: int,
    executor: Executor | None = None,
    metric: MetricName = "euclidean",
    groups: Int[Tensor, "m"] | None = None,
    memory: int = 2**29,
) -> Found:
    """Do as :func:`taumem.neighbors.nearest`, in tasks that each search a part of the references.

    Args:
        queries: as there.
        references: as there; an array that stays on disk (``np.memmap``) is opened again by each task, and so must be
            found under the same path by all.
        k: as there.
        n_shards: how many parts, of equal size but for one item.
        executor: runs the tasks, as the laboratory's run runs: any ``concurrent.futures.Executor``, such as
            ``taumem.lab.executors.RayExecutor()``; None for this process.
        metric: as there.
        groups: as there.
        memory: bytes for each task.

    Raises:
        ConfigError: there are fewer references (or groups) than k, or fewer references than shards.
        DataError: as there.
    """
    m = len(references)
    if not 1 <= n_shards <= m:
        raise ConfigError(f"{m} references make 1 to {m} shards; got {n_shards}.")
    groups = None if groups is None else torch.as_tensor(groups)
    bounds = [m * shard // n_shards for shard in range(n_shards + 1)]
    tasks = []
    for start, stop in pairwise(bounds):
        own = None if groups is None else groups[start:stop]
        there = stop - start if own is None else len(torch.unique(own))
        part = Part(references, start, stop)
        tasks.append(partial(nearest, queries, part, max(1, min(k, there)), metric=metric, groups=own, memory=memory))
    if executor is None:
        return merge([task() for task in tasks], bounds[:-1], groups=groups, k=k)
    waiting = [executor.submit(task) for task in tasks]
    return merge([future.result() for future in waiting], bounds[:-1], groups=groups, k=k)


class Part:
    """Some of the references, read when they are asked for; an array on disk travels as the name of its file.

    Args:
        whole: all of them.
        start: the first.
        stop: the one after the last.
    """

    def __init__(self, whole: Any, start: int, stop: int) -> None:
        self.n = stop - start
        self.start, self.file, self.items = start, _file_of(whole), None
        if self.file is None:
            self.start, self.items = 0, whole[start:stop]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice) -> Any:
        items = np.memmap(mode="r", **self.file) if self.file else self.items
        first, last, _ = rows.indices(self.n)
        return items[self.start + first : self.start + last]  # type: ignore[index]


def _file_of(whole: Any) -> dict[str, Any] | None:
    """How to open an array again that lies on disk; None for any other, a view of such an array included."""
    if not isinstance(whole, np.memmap) or not isinstance(whole.base, mmap) or not whole.flags.c_contiguous:
        return None
    return {"filename": whole.filename, "dtype": whole.dtype, "offset": whole.offset, "shape": whole.shape}
