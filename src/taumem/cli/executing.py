"""On what machines the verbs that train do so: options that they share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from taumem.errors import ConfigError

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["Where", "executor_of"]


OF_EXECUTORS = {"address": ("ray",), "cpus": ("ray", "slurm"), "gpus": ("ray", "slurm"), "slurm": ("slurm",)}
"""Which executors have an option."""


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """On what machines.

    Parameters
    ----------
    executor
        local (processes of this machine), ray or slurm.
    address
        Of a Ray cluster; one is started on this machine if not given.
    cpus
        Processors of each run, on Ray and Slurm.
    gpus
        GPUs of each run, there; a fraction, such as 0.25, lets runs on Ray share one. One if the device is cuda.
    slurm
        What submitit is told, such as timeout_min=120, mem_gb=16 or slurm_partition=gpu; once for each. A table [slurm]
        in the experiment's file says the same.
    """

    executor: str = "local"
    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    slurm: Annotated[list[str] | None, Parameter(negative="")] = None


@contextmanager
def executor_of(
    where: Where | None, folder: Path, device: str, workers: int | None, slurm: Mapping[str, Any] | None = None
) -> "Iterator[Executor | None]":
    """What the options ask for; None where runs are made in processes of this machine, as is usual.

    Args:
        where: the options.
        folder: of the runs.
        device: of every run.
        workers: at once.
        slurm: what the experiment's file tells submitit.

    Raises:
        ConfigError: an executor, or an option of one, that is not there.
    """
    where = where or Where()
    _refuse_what_is_of_another(where)
    if where.executor == "local":
        yield None
        return
    from taumem.lab.executors import Resources, executor_named

    told = dict(slurm or {}) | _told(where.slurm or ())
    asked = Resources(workers, device, where.cpus, where.gpus, where.address, told)
    made = executor_named(where.executor, folder, asked)
    assert made is not None
    with made:
        yield made


def _refuse_what_is_of_another(where: Where) -> None:
    """Refuse options that the executor does not have, rather than leave them aside."""
    for option, executors in OF_EXECUTORS.items():
        if getattr(where, option) is not None and where.executor in {"local", "ray", "slurm"}.difference(executors):
            raise ConfigError(
                f"--{option} is for --executor {' or '.join(executors)}; here it is {where.executor}. Leave it out, or "
                "choose that."
            )


def _told(options: Sequence[str]) -> dict[str, Any]:
    """What --slurm says, by option."""
    from taumem.lab.loading import value_of

    told = {}
    for each in options:
        option, equals, text = (part.strip() for part in each.partition("="))
        if not equals or not option:
            raise ConfigError(f"--slurm takes option=value, such as timeout_min=120; got '{each}'.")
        told[option] = value_of(text, f"--slurm {option}")
    return told
