"""Making a study: all the runs of an experiment, in one folder."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import filelock
import torch

from taumem.errors import ConfigError, RecordError, TaumemError, first_difference
from taumem.lab.assisting import joined
from taumem.lab.executors import Resources, executor_named
from taumem.lab.experiment import Experiment
from taumem.lab.jobs import Job, carry_out, jobs_of, pretrained_for
from taumem.lab.loading import read_experiment
from taumem.lab.memory import Memory
from taumem.lab.plan import RunPlan, plans_of
from taumem.lab.pretrained import Pretrained, encoded, pretraining_steps
from taumem.lab.sizing import sized
from taumem.record import RunRecord, write_atomically
from taumem.record.files import make_folder, refuse_a_link, saying_why
from taumem.record.header import may_differ
from taumem.record.sealed import twin_of

__all__ = ["Progress", "check_data_and_network", "check_device", "claim", "grown", "made_here", "make_study"]

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all) as a study advances."""


def make_study(
    experiment: Experiment,
    folder: Path,
    *,
    keep: tuple[int, ...] = (),
    device: str = "cpu",
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress = lambda done, total: None,
    on_memory: Callable[[Memory], None] = lambda memory: None,
) -> list[RunRecord]:
    """Make all runs of an experiment, or what is left of them.

    Args:
        experiment: what to run.
        folder: of the study: one folder per run, and ``experiment.json``.
        keep: steps whose checkpoints are kept.
        device: of every run.
        workers: processes at once; None takes one per processor on the CPU, one on any other device.
        executor: where runs are made, if not in processes of this machine: see :mod:`taumem.lab.executors`.
        progress: called as the study advances.
        on_memory: called before anything is made, with what the largest run takes, where that can be told.

    Returns:
        The records, in the order of the plans.

    Raises:
        RecordError: the folder holds another experiment.
        ConfigError: no such device, a network that cannot be, or fewer than one worker.
        TaumemError: the first run's that failed; the others have then saved where they stand.
    """
    check_device(device, is_here=executor is None)
    folder = folder if executor is None else folder.absolute()
    experiment = sized(experiment)
    device, workers = joined(device, workers, executor, [experiment])
    asked = Resources(workers, device)
    with nullcontext(executor) if executor is not None else made_here(folder, asked) as where:
        plans = plans_of(experiment, keep=keep, device=device)
        memory = check_data_and_network(plans, are_here=executor is None)
        claim(folder, experiment)
        before = pretraining_steps(experiment)
        total = before + sum(plan.steps for plan in plans)
        reached: dict[str, int] = {}

        def on_step(plan: RunPlan, step: int) -> None:
            reached[plan.name] = max(step, reached.get(plan.name, 0))
            progress(before + sum(reached.values()), total)

        progress(0, total)
        if memory is not None:
            on_memory(memory)
        if executor is None:  # elsewhere, the workers make it
            pretrained_for(experiment, folder, device=device, on_step=lambda step: progress(step, total))
        pretrained = Pretrained(folder / "pretrained") if experiment.pretraining is not None else None
        plans = plans_of(experiment, keep=keep, device=device, pretrained=pretrained)
        at_once = asked.n_workers if executor is None else workers or 1
        jobs = jobs_of(plans, folder, together=experiment.training.together, workers=at_once)
        carry_out(jobs, where, folder, on_step=on_step, on_failure=_raise)
    progress(total, total)
    return [RunRecord.read(folder / plan.name) for plan in plans]


def made_here(folder: Path, asked: Resources) -> AbstractContextManager[Executor | None]:
    """Processes of this machine as an executor; None where this process does it all."""
    own = executor_named("local", folder, asked)
    return nullcontext() if own is None else own


def _raise(job: Job, failure: TaumemError) -> None:
    raise failure


def claim(folder: Path, experiment: Experiment) -> None:
    """Note in a folder which experiment it holds; its sizes and seeds may grow, and its runs become longer.

    Raises:
        RecordError: the folder holds another experiment, or its runs are in a sealed file.
    """
    if (sealed := twin_of(folder)) is not None:
        raise RecordError(f"{folder}: its runs are in {sealed}; unseal that to add to them, or choose another folder.")
    if (folder / "sweep.json").exists():
        raise RecordError(f"{folder}: holds a sweep, whose studies have folders of their own; choose another folder.")
    file, lock = folder / "experiment.json", folder / ".lock"
    make_folder(folder)
    for own in (file, lock):
        refuse_a_link(own)
    with saying_why(file), filelock.FileLock(lock):  # another process may note its sizes in the same moment
        if file.exists():
            experiment = grown(read_experiment(file), experiment, folder)
        write_atomically(file, experiment.model_dump_json(indent=2) + "\n")


def grown(existing: Experiment, experiment: Experiment, folder: Path) -> Experiment:
    """The experiment with the sizes and seeds of both, and the length of the new one and its way to compute.

    Raises:
        RecordError: the two are not one experiment, or the new one is shorter.
    """
    free = {name: getattr(experiment.training, name) for name in may_differ(experiment.training.model_dump())}
    alike = existing.model_copy(update={"training": existing.training.model_copy(update=free)})
    if alike.recipe != experiment.recipe:
        difference = first_difference(alike.recipe, experiment.recipe)
        raise RecordError(
            f"{folder}: holds another experiment ('{existing.name}'; {difference}). "
            "Choose another output folder, or remove this one."
        )
    for n_train in existing.sizes:
        was, now = existing.steps(n_train), experiment.steps(n_train)
        if now < was:
            raise RecordError(
                f"{folder}: its runs of P = {n_train} take {was} steps, here they would take {now}; a run can be made "
                f"longer, not shorter. Ask for at least {was} steps, or choose another output folder."
            )
    both = {name: _union(getattr(existing, name), getattr(experiment, name)) for name in ("n_train", "seeds")}
    return experiment.model_copy(update=both)


def check_data_and_network(plans: Sequence[RunPlan], *, are_here: bool = True) -> Memory | None:
    """Refuse a size that the data do not have, a network, schedule or comparison that cannot be: now, not in an hour.

    Args:
        plans: the runs of a study.
        are_here: whether they are made on this machine; if not, neither its memory nor its devices matter.

    Returns:
        What the largest of them takes; None where it cannot be told.

    Raises:
        TaumemError: one of them.
    """
    for plan in plans:
        plan.experiment.schedule(plan.n_train)
    largest = {plan.seed: plan for plan in sorted(plans, key=lambda plan: plan.n_train)}
    for plan in largest.values():
        prepared = (plan if are_here else replace(plan, device="cpu")).prepare()
        plan.experiment.training.augmentation.check(prepared.split.train)
    prepared.check_quality_probes()
    if (latents := prepared.plan.experiment.latents) is not None:  # their shape needs no trained weights
        few = replace(prepared.split, train=prepared.split.train[:1], heldout=prepared.split.heldout[:1])
        autoencoder = latents.build(few.item_shape).to(few.train.device)
        prepared = replace(prepared, split=encoded(few, autoencoder))
    if not are_here:  # that the network can be is found out without numbers
        return prepared.memory()
    memory = prepared.refuse_if_it_does_not_fit()
    prepared.learner()
    return memory


def check_device(device: str, *, is_here: bool = True) -> None:
    """Refuse a device that is not there.

    Args:
        device: by its name.
        is_here: whether it is to be one of this machine; if not, only its name is looked at.

    Raises:
        ConfigError: torch knows no such device, or cannot use it here.
    """
    try:
        torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device '{device}': there is none of that name; expected cpu, cuda or cuda:1.") from None
    if not is_here:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device '{device}': torch cannot use it here ({reason}). Try cpu.") from None


def _union(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({*one, *other}))
