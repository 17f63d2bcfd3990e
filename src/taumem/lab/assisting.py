"""A run that several processes make: the first one looks, writes and decides; the others compute their parts of steps.

Before each step the first process says how far it is, and the others take that step with it; or it says that the run is
over. All of them read the study's folder, where a run that goes on finds its checkpoint.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taumem.errors import RecordError, TaumemError
from taumem.lab.interruption import Interrupted, ctrl_c_is_known
from taumem.lab.plan import RunPlan
from taumem.processes import told_by_first
from taumem.training import Learner, Step, load_checkpoint

__all__ = ["assist", "leading", "led"]

OVER, STOPPED = "", "stopped"


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


def led(steps: Iterator[Step], learner: Learner) -> Iterator[Step]:
    """The steps of the first process, with the others told of each before it is taken."""
    told_by_first(learner.step)
    for step in steps:
        yield step
        told_by_first(learner.step)  # another one is asked for


def assist(plan: RunPlan, folder: Path) -> None:
    """Compute this process's parts of the steps of a run that the first process makes.

    Args:
        plan: what to run.
        folder: the study's folder.

    Raises:
        Interrupted: the first process was stopped.
        TaumemError: what it met, or what this one meets.
    """
    prepared = plan.prepare()
    learner = prepared.learner()
    steps = prepared.training(learner)
    with ctrl_c_is_known():  # the first process ends its step and saves
        while isinstance(told := told_by_first(None), int):
            if told != learner.step:
                load_checkpoint(learner, plan.checkpoint(folder, told))
            next(steps)
    if told == STOPPED:
        raise Interrupted
    if told != OVER:
        raise RecordError(told)
