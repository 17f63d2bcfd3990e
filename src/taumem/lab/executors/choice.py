"""Which executor a name means, with what it may use."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taumem.errors import ConfigError, nearest_name
from taumem.lab.executors.processes import Processes, available_processors
from taumem.lab.executors.ray import RayExecutor
from taumem.lab.executors.slurm import SlurmExecutor

__all__ = ["EXECUTORS", "Resources", "executor_named"]


@dataclass(frozen=True)
class Resources:
    """What an executor may use.

    Attributes:
        workers: tasks at once; None for as many as the executor sees fit.
        device: that tasks compute on.
        cpus: of each task, on a cluster.
        gpus: of each task, on a cluster; a fraction lets tasks on Ray share one. None for one where the device is one.
        address: of a Ray cluster.
        slurm: what submitit is told; see :class:`SlurmExecutor`.
    """

    workers: int | None = None
    device: str = "cpu"
    cpus: float | None = None
    gpus: float | None = None
    address: str | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_workers(self) -> int:
        """How many tasks this machine does at once, unless something else is asked for."""
        return available_processors() if self.workers is None and self.device == "cpu" else self.workers or 1

    @property
    def gpus_of_each(self) -> float:
        """GPUs of each task."""
        return (0 if self.device == "cpu" else 1) if self.gpus is None else self.gpus


def _local(folder: Path, asked: Resources) -> Executor | None:
    return Processes(asked.n_workers) if asked.n_workers > 1 else None


def _ray(folder: Path, asked: Resources) -> Executor:
    return RayExecutor(asked.address, workers=asked.workers, cpus=asked.cpus or 1, gpus=asked.gpus_of_each)


def _slurm(folder: Path, asked: Resources) -> Executor:
    told: dict[str, Any] = {}
    for option, number in (("cpus_per_task", asked.cpus), ("gpus_per_node", asked.gpus_of_each or None)):
        if number is not None and number != int(number):
            raise ConfigError(
                f"Slurm gives whole processors and GPUs; got {number:g}. Ray shares GPUs: --executor ray."
            )
        told |= {} if number is None else {option: int(number)}
    return SlurmExecutor(folder / ".slurm", workers=asked.workers, options=told | dict(asked.slurm))


EXECUTORS: dict[str, Callable[[Path, Resources], Executor | None]] = {"local": _local, "ray": _ray, "slurm": _slurm}
"""By name, what makes one for a folder; None where this process does it all."""


def executor_named(name: str, folder: Path, resources: Resources) -> Executor | None:
    """Make an executor; None stands for this process.

    Args:
        name: ``local``, ``ray`` or ``slurm``.
        folder: that all its machines can see.
        resources: what it may use.

    Raises:
        ConfigError: no such executor, it is not installed, or it cannot be had.
    """
    if resources.workers is not None and resources.workers < 1:
        raise ConfigError(
            f"workers: at least 1 process trains; got {resources.workers}. Leave it out for one per processor."
        )
    if name not in EXECUTORS:
        raise ConfigError(f"no executor '{name}'; {nearest_name(name, EXECUTORS)}")
    return EXECUTORS[name](folder, resources)
