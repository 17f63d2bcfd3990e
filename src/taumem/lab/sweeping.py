"""Making a sweep: all runs of its studies, in a folder for each study.

::

    SWEEP/
      sweep.json                 what the sweep goes over, and the settings of each study
      learning_rate=0.001/       a study as any other: experiment.json, a folder for each run
      learning_rate=0.003/
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import filelock

from taumem.analysis.stopping import has_ended
from taumem.errors import ConfigError, RecordError, TaumemError, first_difference, nearest_name
from taumem.lab.assisting import joined
from taumem.lab.executors import Resources
from taumem.lab.jobs import Job, carry_out, jobs_of
from taumem.lab.loading import read_experiment
from taumem.lab.memory import Memory
from taumem.lab.plan import RunPlan, plans_of
from taumem.lab.pretrained import Pretrained
from taumem.lab.sizing import sized
from taumem.lab.studies import (
    Progress,
    check_data_and_network,
    check_device,
    claim,
    grown,
    made_here,
)
from taumem.lab.sweeps import Sweep
from taumem.record import RunRecord, write_atomically
from taumem.record.files import make_folder, saying_why
from taumem.record.header import LENGTH
from taumem.record.sealed import twin_of

__all__ = ["Swept", "make_sweep", "run_names"]

FILE = "sweep.json"


@dataclass(frozen=True)
class Swept:
    """What has become of a sweep.

    Attributes:
        folder: where it is.
        n_runs: how many runs were asked for.
        failures: by the names of runs that were not made (``STUDY/RUN``), why not.
    """

    folder: Path
    n_runs: int
    failures: dict[str, str]


def make_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    only: Sequence[str] = (),
    device: str = "cpu",
    workers: int | None = None,
    executor: Executor | None = None,
    retries: int = 1,
    progress: Progress = lambda done, total: None,
    on_memory: Callable[[Memory], None] = lambda memory: None,
) -> Swept:
    """Make all runs of a sweep, or what is left of them. A run that fails does not stop the others.

    Args:
        sweep: what to run.
        folder: of the sweep: one folder per study, and ``sweep.json``.
        only: names of studies or runs (``STUDY/RUN``), or patterns of such; empty for all.
        device: of every run.
        workers: processes at once; None takes one per processor on the CPU, one on any other device.
        executor: where runs are made, if not in processes of this machine: see :mod:`taumem.lab.executors`.
        retries: how often a run is begun again whose worker has died.
        progress: called as the sweep advances.
        on_memory: called before anything is made, with what the largest run takes, where that can be told.

    Raises:
        RecordError: the folder holds another sweep, or a study.
        ConfigError: no such run or device, a network that cannot be, or fewer than one worker.
        DataError: the data are not there, or too few.
        KeyboardInterrupt: as it came; runs have then saved where they stand.
    """
    check_device(device, is_here=executor is None)
    folder = folder if executor is None else folder.absolute()
    sweep = _as_in(folder, sweep)
    device, workers = joined(device, workers, executor, list(sweep.studies.values()))
    asked = Resources(workers, device)
    plans = _plans(sweep, only, device)
    with nullcontext(executor) if executor is not None else made_here(folder, asked) as where:
        checked = [check_data_and_network(own, are_here=executor is None) for own in plans.values()]
        _claim(folder, sweep)
        for study, own in plans.items():
            claim(folder / study, own[0].experiment)
        failures: dict[str, str] = {}
        total = sum(plan.steps for own in plans.values() for plan in own)
        reached: dict[tuple[str, str], int] = {}

        def on_step(plan: RunPlan, step: int) -> None:
            key = plan.experiment.name, plan.name
            reached[key] = max(step, reached.get(key, 0))
            progress(sum(reached.values()), total)

        def on_failure(job: Job, failure: TaumemError) -> None:
            missing = [plan for plan in job.plans if not _is_made(plan, job.folder)]
            failures.update({f"{job.folder.name}/{plan.name}": str(failure) for plan in missing})

        progress(0, total)
        at_once = asked.n_workers if executor is None else workers or 1
        jobs = _jobs(plans, folder, at_once, on_made=lambda plan: on_step(plan, plan.steps))
        if jobs and (told := [memory for memory in checked if memory is not None]):
            on_memory(max(told, key=lambda memory: memory.total))
        carry_out(jobs, where, folder, on_step=on_step, on_failure=on_failure, retries=retries)
        if executor is not None:
            unseen = f"its worker has ended, and no finished run is in {folder}: do all machines see that folder?"
            names = ((f"{study}/{plan.name}", plan, folder / study) for study, own in plans.items() for plan in own)
            failures |= {n: unseen for n, plan, own in names if n not in failures and not _is_made(plan, own)}
    progress(total, total)
    return Swept(folder, sum(map(len, plans.values())), failures)


def _jobs(plans: dict[str, list[RunPlan]], folder: Path, workers: int, on_made: Callable[[RunPlan], None]) -> list[Job]:
    """What is left to do, the longest runs first."""
    jobs: list[Job] = []
    for study, own in plans.items():
        left = []
        for plan in own:
            if _is_made(plan, folder / study):
                on_made(plan)
            else:
                has_start = plan.experiment.pretraining is not None
                left.append(replace(plan, pretrained=Pretrained(folder / study / "pretrained") if has_start else None))
        together = own[0].experiment.training.together
        jobs += jobs_of(left, folder / study, together=together, workers=workers // len(plans))
    return sorted(jobs, key=lambda job: -job.plans[0].steps)


def run_names(sweep: Sweep, folder: Path | None = None) -> list[str]:
    """The names of all runs of a sweep, as ``only`` takes them; in a folder those that its studies have there."""
    sweep = sweep if folder is None else _as_in(folder, sweep)
    return [f"{study}/{plan.name}" for study, own in _plans(sweep, (), "cpu").items() for plan in own]


def _as_in(folder: Path, sweep: Sweep) -> Sweep:
    """The sweep with the names that its studies have in a folder already: what they are called may have changed."""
    noted = _read(file)["settings"] if (file := folder / FILE).exists() else {}
    known = {json.dumps(settings, sort_keys=True): study for study, settings in noted.items()}
    names: dict[str, str] = {}
    for study, settings in sweep.settings.items():
        former = sweep.former.get(study, study)
        is_there = (folder / former).exists() and not (folder / study).exists()
        usual = former if is_there or noted.get(study, settings) != settings else study
        names[study] = known.get(json.dumps(settings, sort_keys=True), usual)
    return sweep.called(names)


def _plans(sweep: Sweep, only: Sequence[str], device: str) -> dict[str, list[RunPlan]]:
    """By study, the runs that are asked for."""
    every = {study: plans_of(sized(experiment), device=device) for study, experiment in sweep.studies.items()}
    if not only:
        return every
    names = [*every, *(f"{study}/{plan.name}" for study, own in every.items() for plan in own)]
    for pattern in only:
        if not any(_fits(name, pattern) for name in names):
            raise ConfigError(f"--only {pattern}: the sweep has no such study or run; {nearest_name(pattern, names)}")

    def is_asked(study: str, plan: RunPlan) -> bool:
        return any(_fits(study, pattern) or _fits(f"{study}/{plan.name}", pattern) for pattern in only)

    chosen = {study: [plan for plan in own if is_asked(study, plan)] for study, own in every.items()}
    return {study: own for study, own in chosen.items() if own}


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def _is_made(plan: RunPlan, folder: Path) -> bool:
    """Whether a run is finished, as far as its files say; one that cannot be read is looked at by its worker."""
    if not (folder / plan.name / "run.json").exists():
        return False
    try:
        record = RunRecord.read(folder / plan.name)
    except TaumemError:
        return False
    step = record.last_step
    training = plan.experiment.training.model_dump()
    return (
        plan.checkpoint(folder, step).exists()
        and record.header.length == (plan.steps, *(training[name] for name in LENGTH))
        and has_ended(record, step, training, plan.steps)
    )


def _claim(folder: Path, sweep: Sweep) -> None:
    """Note in a folder which sweep it holds; what it goes over may grow by values.

    Raises:
        RecordError: the folder holds another sweep, or a study.
    """
    if (sealed := twin_of(folder)) is not None:
        raise RecordError(f"{folder}: its runs are in {sealed}; unseal that to add to them, or choose another folder.")
    if (folder / "experiment.json").exists():
        raise RecordError(
            f"{folder}: holds a study, and a sweep has one in each of its folders; choose another folder."
        )
    make_folder(folder)
    file = folder / FILE
    over, settings = dict(sweep.over), dict(sweep.settings)
    with saying_why(file), filelock.FileLock(folder / ".lock"):  # another process may note its values in this moment
        if file.exists():
            existing = _read(file)
            _refuse_another(folder, existing, sweep)
            known = existing["over"]
            over = {key: [*known[key], *(v for v in values if v not in known[key])] for key, values in over.items()}
            settings = existing["settings"] | settings
        content = {"name": sweep.name, "over": over, "settings": settings}
        write_atomically(file, json.dumps(content, indent=2) + "\n")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {"name": content["name"], "over": dict(content["over"]), "settings": dict(content["settings"])}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RecordError(
            f"{file}: cannot be read ({type(error).__name__}: {error}). Remove it: the same command writes it anew, "
            "and the studies beside it stay as they are."
        ) from None


def _refuse_another(folder: Path, existing: dict[str, Any], sweep: Sweep) -> None:
    """Refuse a sweep over other keys, or one whose studies would not be those that are there."""
    was = {"name": existing["name"], "over": sorted(existing["over"])}
    now = {"name": sweep.name, "over": sorted(sweep.over)}
    if was != now:
        raise RecordError(
            f"{folder}: holds another sweep: {first_difference(was, now)}. Choose another output folder, or remove "
            "this one."
        )
    for study, settings in existing["settings"].items():
        if (file := folder / study / "experiment.json").exists():
            there = read_experiment(file)
            here = sweep.study(settings, str(folder)).model_copy(update={"name": there.name})
            grown(there, sized(here), folder / study)
            return
