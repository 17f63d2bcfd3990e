"""Making many runs by an executor: what a worker does, and how whoever waits for it knows how far it is.

A worker notes in the folder of each run where it stands (:mod:`taumem.record.state`), and stops where a file says so:
that works in whatever process and on whatever machine it is, as long as both see the folder.
"""

import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from pathlib import Path

import filelock

from taumem.errors import RecordError, TaumemError
from taumem.lab.experiment import Experiment
from taumem.lab.interruption import Interrupted, ctrl_c_is_known
from taumem.lab.plan import RunPlan, opened
from taumem.lab.pretrained import Pretrained, pretrain
from taumem.lab.run import OnStep, make_run, make_runs_together
from taumem.processes import is_first
from taumem.record.state import State, StateName, note_state, read_state
from taumem.record.writer import BeingWritten, refuse_another_writer

__all__ = ["Job", "Task", "carry_out", "jobs_of", "pretrained_for"]

SECONDS_BETWEEN_NOTES = 1.0
SECONDS_BETWEEN_QUESTIONS = 0.2
"""How often a worker asks whether it is to stop."""


@dataclass(frozen=True)
class Job:
    """Runs that one process makes: a single one, or several as one batched program.

    Attributes:
        plans: what to run, of one study.
        folder: of the study.
    """

    plans: tuple[RunPlan, ...]
    folder: Path

    @property
    def names(self) -> str:
        """The runs', as a reader finds them."""
        return ", ".join(str(self.folder / plan.name) for plan in self.plans)

    def make(self, on_step: OnStep, on_wait: Callable[[], None] = lambda: None) -> None:
        """Make the runs, or what is left of them; see :func:`taumem.lab.make_run`.

        Args:
            on_step: see there.
            on_wait: called now and then while what the runs start from is made, here or by another process.
        """
        first = self.plans[0]
        if first.pretrained is not None:
            pretrained_for(first.experiment, self.folder, device=first.device, on_step=lambda step: on_wait())
        if len(self.plans) == 1:
            make_run(self.plans[0], self.folder, on_step)
        else:
            make_runs_together(self.plans, self.folder, on_step)


def pretrained_for(
    experiment: Experiment, folder: Path, *, device: str, on_step: Callable[[int], None] = lambda step: None
) -> Pretrained | None:
    """What the runs of a study start from, made if it is not there; by one process, while others wait for it.

    Args:
        experiment: of the study.
        folder: of the study.
        device: where to train.
        on_step: called after each step; where another process makes it, now and then with 0.

    Returns:
        Where it is; None where runs start from fresh weights.

    Raises:
        TaumemError: it could not be made.
    """
    if experiment.pretraining is None:
        return None
    pretrained = Pretrained(folder / "pretrained")
    lock = filelock.FileLock(folder / ".pretraining.lock", timeout=1)
    while not pretrained.is_whole(experiment):
        try:
            with lock:
                if not pretrained.is_whole(experiment):  # its data are read only then
                    domain = opened(experiment.pretraining.data)
                    pretrain(experiment, domain, pretrained.folder, device=device, on_step=on_step)
        except filelock.Timeout:
            on_step(0)
    return pretrained


def jobs_of(plans: Sequence[RunPlan], folder: Path, *, together: bool, workers: int) -> list[Job]:
    """Cut the runs of a study into jobs, the longest first.

    Args:
        plans: what to run.
        folder: of the study.
        together: whether each worker trains its share of the runs as one batched program.
        workers: how many share them then.
    """
    longest_first = sorted(plans, key=lambda plan: -plan.steps)
    if not together:
        return [Job((plan,), folder) for plan in longest_first]
    shares: list[list[RunPlan]] = [[] for _ in range(max(1, min(workers, len(plans))))]
    for plan in longest_first:  # so that each worker has about as many steps to make
        min(shares, key=lambda share: sum(plan.steps for plan in share)).append(plan)
    return [Job(tuple(share), folder) for share in shares if share]


def carry_out(
    jobs: Sequence[Job],
    executor: Executor | None,
    folder: Path,
    *,
    on_step: OnStep,
    on_failure: Callable[[Job, TaumemError], None],
    retries: int = 0,
) -> None:
    """Make the runs of all jobs.

    Args:
        jobs: in the order in which they are begun.
        executor: where; None for this process. It is shut down here only if it has to stop.
        folder: that all workers see.
        on_step: called now and then with a run and the step that it has reached.
        on_failure: called where a job has failed; if it raises, the other jobs are stopped.
        retries: how often a job is begun again whose worker has died; its runs go on from where they were saved.

    Raises:
        KeyboardInterrupt: as it came. Runs have then saved where they stand, as where ``on_failure`` raises.
    """
    if executor is None:
        for job in jobs:
            if (failure := Task(job)(on_step)) is not None:
                on_failure(job, failure)
        return
    stop = folder / f".stop-{uuid.uuid4().hex}"
    waiting: dict[Future[TaumemError | None], tuple[Job, int]] = {}
    place, reported = Path.cwd(), time.monotonic()
    try:
        for job in jobs:
            waiting[executor.submit(_done_at, place, Task(job, stop))] = job, retries
        while waiting:
            done, _ = wait(waiting, SECONDS_BETWEEN_QUESTIONS, FIRST_COMPLETED)
            for future in done:
                job, left = waiting.pop(future)
                failure = _failure_of(future, job, goes_on=left > 0)
                if isinstance(failure, _Died) and left:
                    waiting[executor.submit(_done_at, place, Task(job, stop))] = job, left - 1
                elif failure is not None:
                    on_failure(job, failure)
                else:
                    for plan in job.plans:
                        on_step(plan, plan.steps)
            if time.monotonic() - reported >= SECONDS_BETWEEN_NOTES:
                reported = time.monotonic()
                for job, _ in waiting.values():
                    _report(job, on_step)
    except BaseException:
        with ctrl_c_is_known():  # the workers end their steps and save
            stop.touch()
            executor.shutdown(wait=True, cancel_futures=True)
        raise
    finally:
        stop.unlink(missing_ok=True)


def _done_at(place: Path, task: "Task") -> TaumemError | None:
    """Do a task in the folder where it was asked for, if it is there: relative paths of data then mean the same."""
    with chdir(place) if place.is_dir() and place != Path.cwd() else nullcontext():
        return task()


class _Died(RecordError):  # noqa: N818 (what happened to it)
    """A worker has ended before its task had."""


def _failure_of(future: "Future[TaumemError | None]", job: Job, *, goes_on: bool) -> TaumemError | None:
    """Why a job was not done; None if it was. Where its worker died, the folders of its runs are told so."""
    try:
        return future.result()
    except Exception as error:  # of the executor's: what goes wrong in the task itself is its result
        died = _Died(
            f"{job.names}: {_first_line(error)}. What was done is kept: the same command goes on from there; "
            "--workers 1 needs the least memory."
        )
    for plan in job.plans:
        step = state.step if (state := read_state(job.folder / plan.name)) else 0
        told = State("interrupted", step) if goes_on else State("failed", step, str(died))
        note_state(job.folder / plan.name, told)
    return died


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")


def _report(job: Job, on_step: OnStep) -> None:
    """Tell how far the runs of a job have come, by what they noted."""
    for plan in job.plans:
        if state := read_state(job.folder / plan.name):
            on_step(plan, min(state.step, plan.steps))


@dataclass(frozen=True)
class Task:
    """What a worker is given: a job, and where it is told to stop.

    Attributes:
        job: what to make.
        stop: a file that, once it is there, has the runs save and leave; None where Ctrl-C does.
    """

    job: Job
    stop: Path | None = None

    def __call__(self, on_step: OnStep = lambda plan, step: None) -> TaumemError | None:
        """Make the runs, or what is left of them.

        Returns:
            Why they could not be made; None if they are finished, or were stopped.
        """
        if not is_first():
            return self._assisted()
        steps = {plan.name: state.step if (state := self._state(plan)) else 0 for plan in self.job.plans}
        asked, noted = 0.0, dict.fromkeys(steps, 0.0)

        def note(plan: RunPlan, name: StateName, reason: str = "", trace: str = "") -> None:
            # Of runs that are made together, some may be finished when another fails.
            is_over = steps[plan.name] >= plan.steps and name != "running"
            told = State("finished" if is_over else name, steps[plan.name], *(("", "") if is_over else (reason, trace)))
            note_state(self.job.folder / plan.name, told)

        def follow(plan: RunPlan, step: int) -> None:
            steps[plan.name] = step
            on_step(plan, step)
            live(plan)

        def live(*plans: RunPlan) -> None:
            nonlocal asked
            now = time.monotonic()
            for plan in plans or self.job.plans:
                if now - noted[plan.name] >= SECONDS_BETWEEN_NOTES:
                    noted[plan.name] = now
                    note(plan, "running")
            if self.stop is not None and now - asked >= SECONDS_BETWEEN_QUESTIONS:
                asked = now
                if self.stop.exists():
                    raise Interrupted

        def end(name: StateName, reason: str = "", trace: str = "") -> None:
            for plan in self.job.plans:
                note(plan, name, reason, trace)

        try:
            for plan in self.job.plans:
                refuse_another_writer(self.job.folder / plan.name)
            end("running")
            self.job.make(follow, live)
        except BeingWritten as error:  # by another process, which says where the run stands
            return error
        except Interrupted:
            end("interrupted")
        except KeyboardInterrupt:
            end("interrupted")
            raise
        except TaumemError as error:
            end("failed", str(error))
            return error
        except Exception as error:  # not foreseen: the others need not suffer for it
            told = f"{self.job.names}: {type(error).__name__}: {_first_line(error)} (the trace is in state.json)."
            unforeseen = RecordError(told)
            end("failed", str(unforeseen), traceback.format_exc())
            return unforeseen
        else:
            for plan in self.job.plans:
                steps[plan.name] = plan.steps
            end("finished")
        return None

    def _assisted(self) -> TaumemError | None:
        """What a process does that shares the runs with the first one, which follows them and writes."""
        try:
            self.job.make(lambda plan, step: None)
        except TaumemError as error:
            return error
        except Interrupted:
            raise KeyboardInterrupt from None
        return None

    def _state(self, plan: RunPlan) -> State | None:
        return read_state(self.job.folder / plan.name)
