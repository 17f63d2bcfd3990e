"""A study: all the runs of an experiment, in one folder."""

from collections.abc import Callable
from pathlib import Path

import torch

from taumem.errors import ConfigError, RecordError, first_difference
from taumem.lab.executors import available_processors, execute
from taumem.lab.experiment import Experiment, load_experiment
from taumem.lab.run import RunPlan
from taumem.record import RunRecord, write_atomically

__all__ = ["claim", "plans_of", "sweep"]

Progress = Callable[[int, int], None]
"""Told (steps done, steps in all) as a study advances."""


def plans_of(experiment: Experiment, *, keep: tuple[int, ...] = (), device: str = "cpu") -> list[RunPlan]:
    """All runs of an experiment: sizes x seeds x halves."""
    halves = ("a", "b") if experiment.twins else (None,)
    return [
        RunPlan(experiment, n_train, seed, half, keep, device)  # type: ignore[arg-type]
        for n_train in experiment.n_train
        for seed in experiment.seeds
        for half in halves
    ]


def sweep(
    experiment: Experiment,
    folder: Path,
    *,
    keep: tuple[int, ...] = (),
    device: str = "cpu",
    workers: int | None = None,
    progress: Progress = lambda done, total: None,
) -> list[RunRecord]:
    """Make all runs of an experiment, or what is left of them.

    Args:
        experiment: what to run.
        folder: of the study: one folder a run, and ``experiment.json``.
        keep: steps whose checkpoints are kept.
        device: of every run.
        workers: processes at once; None takes one a processor on the CPU, one on any other device.
        progress: told as the study advances.

    Returns:
        The records, in the order of the plans.

    Raises:
        RecordError: the folder holds another experiment.
        TaumemError: the first run's that failed.
    """
    plans = plans_of(experiment, keep=keep, device=device)
    check_device(device)
    for plan in sorted(plans, key=lambda plan: plan.seed):  # by seed, since each seed's shuffle is kept for the next
        plan.data()  # a size that the data do not have is an error now, not an hour from now
    plans[0].learner()  # and so is a network that cannot be
    claim(folder, experiment)
    total = sum(plan.steps for plan in plans)
    reached: dict[str, int] = {}

    def on_step(plan: RunPlan, step: int) -> None:
        reached[plan.name] = step
        progress(sum(reached.values()), total)

    progress(0, total)
    workers = available_processors() if workers is None and device == "cpu" else workers or 1
    execute(plans, folder, workers=workers, on_step=on_step, together=experiment.training.together)
    progress(total, total)
    return [RunRecord.read(folder / plan.name) for plan in plans]


def claim(folder: Path, experiment: Experiment) -> None:
    """Note in a folder which experiment it holds; its sizes and seeds may grow.

    Raises:
        RecordError: the folder holds another experiment.
    """
    file = folder / "experiment.json"
    if file.exists():
        existing = load_experiment(file)
        if existing.recipe != experiment.recipe:
            difference = first_difference(existing.recipe, experiment.recipe)
            raise RecordError(
                f"{folder}: holds another experiment ('{existing.name}'; {difference}). "
                "Choose another output folder, or remove this one."
            )
        experiment = experiment.model_copy(
            update={name: _union(getattr(existing, name), getattr(experiment, name)) for name in ("n_train", "seeds")}
        )
    write_atomically(file, experiment.model_dump_json(indent=2) + "\n")


def check_device(device: str) -> None:
    """Raise ConfigError where torch has no such device."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{device}': torch cannot use it here ({reason}). Try cpu, or cuda.") from None


def _union(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*one, *other}))
