"""A run that several processes make: the first one looks, writes and decides; the others compute their parts of steps.

Before each step the first process says which run it makes and how far it is, and the others take that step with it; or
it says that the run is over. All of them read the study's folder, where a run that goes on finds its checkpoint. What
goes wrong in the preparation fails everywhere; what goes wrong later in one of the others ends its process, and so the
launch: processes that are out of step would mix the gradients of two runs.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from taumem.errors import ConfigError, RecordError, TaumemError
from taumem.lab.experiment import Experiment
from taumem.lab.interruption import Interrupted, ctrl_c_is_known
from taumem.lab.plan import RunPlan
from taumem.lab.prepared import PreparedRun
from taumem.processes import n_processes, together, told_by_first
from taumem.training import Learner, Step, join_processes, load_checkpoint

__all__ = ["assist", "joined", "leading", "led", "prepared_everywhere"]

OVER, STOPPED = "", "stopped"


def joined(
    device: str, workers: int | None, executor: Executor | None, experiments: Sequence[Experiment]
) -> tuple[str, int | None]:
    """Meet the other processes of a launch, if there are any: they make one run after another, each of them together.

    Args:
        device: that is asked for.
        workers: processes that make a run each, if they are asked for.
        executor: likewise.
        experiments: what is to be made.

    Returns:
        This process's device, and how many workers there are.

    Raises:
        ConfigError: there are others, and what is asked for cannot be shared with them; or Accelerate is not installed.
    """
    device = join_processes(device)
    if n_processes() == 1:
        return device, workers
    if executor is not None or (workers or 1) > 1:
        raise ConfigError(
            f"{n_processes()} processes share each run here; leave --workers and --executor out, which give each run "
            "a process of its own."
        )
    if any(experiment.training.together for experiment in experiments):
        raise ConfigError("training.together trains many runs in one process, not one in many; set together = false.")
    return device, 1


@contextmanager
def leading() -> Iterator[None]:
    """Tell the other processes that the run is over, whatever ends it."""
    how = OVER
    try:
        yield
    except TaumemError as error:
        how = str(error)
        raise
    except BaseException:
        how = STOPPED
        raise
    finally:
        told_by_first(how)


def led(steps: Iterator[Step], plan: RunPlan, learner: Learner) -> Iterator[Step]:
    """The steps of the first process, with the others told of each before it is taken."""
    told_by_first((_named(plan), learner.step))
    for step in steps:
        yield step
        told_by_first((_named(plan), learner.step))  # another one is asked for


def prepared_everywhere(plan: RunPlan) -> tuple[PreparedRun, Learner]:
    """A run with a fresh learner, in every process that shares it, or in none.

    Raises:
        TaumemError: some process cannot prepare it.
    """
    with together("could not prepare the run", RecordError):
        prepared = plan.prepare()
        return prepared, prepared.learner()


def assist(prepared: PreparedRun, learner: Learner, folder: Path) -> None:
    """Compute this process's parts of the steps of a run that the first process makes.

    Args:
        prepared: what to run.
        learner: at step 0.
        folder: the study's folder.

    Raises:
        Interrupted: the first process was stopped.
        RecordError: what it met.
        SystemExit: what this one met.
    """
    plan, steps = prepared.plan, prepared.training(learner)
    with ctrl_c_is_known():  # the first process ends its step and saves
        while isinstance(told := told_by_first(None), tuple):
            try:
                _follow(told, plan, folder, learner)
            except TaumemError as error:
                raise SystemExit(f"error: {error}") from None
            next(steps)
    if told == STOPPED:
        raise Interrupted
    if told != OVER:
        raise RecordError(told)


def _follow(told: tuple[str, int], plan: RunPlan, folder: Path, learner: Learner) -> None:
    """Bring the learner to where the first process is."""
    name, step = told
    if name != _named(plan):
        raise RecordError(f"the first process makes {name}, this one {_named(plan)}: they see different folders.")
    if step != learner.step:
        load_checkpoint(learner, plan.checkpoint(folder, step))


def _named(plan: RunPlan) -> str:
    return f"{plan.experiment.name}/{plan.name}"
