"""Making a run: a model, trained on P examples and measured as it goes, in a folder of its own; or several at once."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from taumem.analysis.stopping import has_ended
from taumem.errors import RecordError, TaumemError, TaumemWarning
from taumem.lab.assisting import assist, leading, led, prepared_everywhere
from taumem.lab.interruption import ctrl_c_waits
from taumem.lab.loading import recipe_of
from taumem.lab.pace import SavingPace
from taumem.lab.plan import RunPlan
from taumem.lab.prepared import PreparedRun
from taumem.monitor import Monitor
from taumem.processes import is_first
from taumem.record import RunHeader, RunRecord
from taumem.record.header import may_differ, read_header
from taumem.training import Learner, Member, load_checkpoint, save_checkpoint, train_together

__all__ = ["OnStep", "make_run", "make_runs_together"]

OnStep = Callable[[RunPlan, int], None]
"""Called with a run's plan and the step that it has reached; it may raise :class:`taumem.lab.Interrupted`."""


def make_run(plan: RunPlan, folder: Path, on_step: OnStep = lambda plan, step: None) -> None:
    """Make a run, or what is left of it.

    Args:
        plan: what to run.
        folder: the study's folder; the run gets a folder in it.
        on_step: called after each step.

    Raises:
        Interrupted: by ``on_step``; the run has saved where it stands, as at Ctrl-C.
        RecordError: the folder holds another run, or training has diverged.
        DataError: the data are not there, or too few.
    """
    prepared, learner = prepared_everywhere(plan)
    if not is_first():
        assist(prepared, learner, folder)
        return
    with leading(), _started(prepared, learner, folder) as running:
        if not running.finished:
            _follow(led(prepared.training(learner), plan, learner), [running], on_step)
        _raise_failure([running])


def make_runs_together(plans: Sequence[RunPlan], folder: Path, on_step: OnStep = lambda plan, step: None) -> None:
    """Make runs of one experiment, or what is left of them, trained as one batched program.

    The records are those of runs that were made one by one, to within the rounding of single precision. Where the batch
    size or the decay of the rate is that of each P, the runs of one P train together, one P after another. A run that
    fails leaves; the others are finished all the same.

    Args:
        plans: what to run; each run leaves when it is finished.
        folder: the study's folder; each run gets a folder in it.
        on_step: called for each run after each step.

    Raises:
        Interrupted: by ``on_step``; all runs have saved where they stand, as at Ctrl-C.
        RecordError: the folder holds another run, or the training of one has diverged: told when the others are done.
        DataError: the data are not there, or too few.
    """
    with ExitStack() as stack:
        started = [stack.enter_context(_started(*prepared_everywhere(plan), folder)) for plan in plans]
        for running in started:
            on_step(running.plan, running.reached)  # should one fail, it is known which were finished before
        unfinished = sorted((running for running in started if not running.finished), key=_in_step)
        for _, group in groupby(unfinished, key=_in_step):
            _finish_together(list(group), on_step)
        _raise_failure(started)


def _raise_failure(made: Sequence["_Running"]) -> None:
    """Raise the first failure of some runs, if there is one."""
    for failure in (running.failure for running in made if running.failure):
        raise failure


def _in_step(running: "_Running") -> tuple[int, int, int]:
    """What runs share that train together: their step, which a kill between two runs' saving leaves different, their
    batch size, and, where the rate decays, when."""
    plan = running.plan
    decays = plan.experiment.training.schedule != "constant"
    return running.learner.step, plan.batch_size, plan.steps if decays else 0


def _finish_together(group: Sequence["_Running"], on_step: OnStep) -> None:
    plan, training = group[0].plan, group[0].plan.experiment.training
    members = {each: Member(each.learner, each.prepared.split.train, each.plan.train_seed) for each in group}
    in_training = list(members.values())
    steps = train_together(
        in_training,
        group[0].prepared.objective,
        batch_size=plan.batch_size,
        schedule=plan.experiment.schedule(plan.n_train),
        clip=training.clip,
        augmentation=training.augmentation,
    )
    _follow(steps, group, on_step, leave=lambda running: in_training.remove(members[running]))


def _follow(
    steps: Iterable[object],
    group: Sequence["_Running"],
    on_step: OnStep,
    leave: Callable[["_Running"], None] = lambda running: None,
) -> None:
    """After each step look, save and report, until all runs of a group are finished or failed; each leaves then."""
    unfinished, pace = list(group), SavingPace()
    with ctrl_c_waits() as raise_if_it_came:
        for _ in steps:
            with _saved_if_stopped(group):
                for running in tuple(unfinished):
                    try:
                        running.look()
                    except TaumemError as error:  # the others need not suffer for it
                        running.failure = error
                    if running.finished or running.failure:
                        unfinished.remove(running)
                        leave(running)
                if pace.due:
                    with pace.saving():
                        for running in unfinished:  # all at one step, so that they can go on together
                            running.save()
                for running in group:
                    if not running.failure:
                        on_step(running.plan, running.reached)
                raise_if_it_came()
            if not unfinished:
                return


@contextmanager
def _saved_if_stopped(group: Sequence["_Running"]) -> Iterator[None]:
    """Save all runs that can go on, whatever stops them: a word of the parent, Ctrl-C, another run's divergence."""
    try:
        yield
    except BaseException:
        for running in group:
            try:
                running.save()
            except TaumemError as error:  # the others can be saved all the same
                warnings.warn(str(error), TaumemWarning, stacklevel=2)
        raise


@dataclass(eq=False)
class _Running:
    """A run under way: what is trained, and what is measured of it."""

    prepared: PreparedRun
    folder: Path
    learner: Learner
    record: RunRecord
    monitor: Monitor
    finished: bool = field(init=False)
    """Whether the run has taken all its steps, or what it was to stop at has come."""
    broken: bool = False
    """Whether its last look went wrong."""
    failure: TaumemError | None = None
    """Why it could not go on."""

    def __post_init__(self) -> None:
        self.finished = self.is_finished_at(self.learner.step)

    @property
    def plan(self) -> RunPlan:
        """What is run."""
        return self.prepared.plan

    @property
    def reached(self) -> int:
        """How far the run has come, in steps of its plan: all of them once it is finished."""
        return self.plan.steps if self.finished else self.learner.step

    def look(self) -> None:
        """Measure what is due after a step, and save where the plan or the end asks for it.

        Raises:
            RecordError: training has diverged; the run is then broken, and is not saved any more.
        """
        step, last = self.learner.step, self.learner.step >= self.plan.steps
        if last or self.monitor.due(step):
            self.broken = True
            self.monitor.look(self.learner.averaged, step, self.learner.examples, samples=last or None)
            self.finished = self.is_finished_at(step)
            if self.finished and not _last_look_is_whole(self.record):  # it ends here, and shows its samples
                self.monitor.look(self.learner.averaged, step, self.learner.examples, samples=True)
            self.broken = False
        if self.finished or step in self.plan.keep:
            self._write()

    def save(self) -> None:
        """Save where the run stands, unless it is finished (and saved) or broken."""
        if not (self.finished or self.broken):
            self._write()

    def _write(self) -> None:
        """Write a checkpoint, and drop the earlier ones that the plan does not keep."""
        save_checkpoint(self.learner, self.plan.checkpoint(self.folder, self.learner.step), self.record)
        kept = {self.plan.checkpoint(self.folder, step) for step in (*self.plan.keep, self.learner.step)}
        for old in set(self.plan.checkpoints(self.folder)) - kept:
            old.unlink()

    def is_finished_at(self, step: int) -> bool:
        """Whether it need not go on from a step: it is the last, or what it was to stop at has come."""
        training = self.plan.experiment.training
        words = {name: getattr(training, name) for name in ("stop_at_copies", "stop_at_clock", "min_steps")}
        return has_ended(self.record, step, words, self.plan.steps)


@contextmanager
def _started(prepared: PreparedRun, learner: Learner, folder: Path) -> Iterator[_Running]:
    """Begin a run where its last checkpoint stands, as its record's only writer."""
    plan, path = prepared.plan, folder / prepared.plan.name
    with RunRecord.open(path, _as_recorded(prepared.header(), path)) as record:
        refused = _bring_on(learner, record, plan, folder)
        running = _Running(prepared, folder, learner, record, prepared.monitor(record, learner))
        if not learner.step and not plan.keep and _last_look_is_whole(record):
            running.finished = running.is_finished_at(record.last_step)  # its weights are gone: it was sealed, perhaps
        if refused:
            what_now = "all of it is measured already" if running.finished else f"it goes on from step {learner.step}"
            warnings.warn(
                f"{refused} {path.name}: {what_now}; what is measured again is the same.", TaumemWarning, stacklevel=2
            )
        if plan.pretrained is not None and not learner.step and not record.last_step:
            running.monitor.look(learner.averaged, 0, 0, samples=True)  # the start that the run is compared with
        last = record.last_step
        if learner.step > last or (learner.step == last and not _last_look_is_whole(record)):
            running.look()  # what stopped it came before the look at this step had been written, or another run's had
        yield running


def _bring_on(learner: Learner, record: RunRecord, plan: RunPlan, folder: Path) -> str:
    """Bring a learner to the last checkpoint that is whole and that its record reaches to.

    Returns:
        Why a later one was not taken; empty if there is none.
    """
    refused = ""
    # Of a step that is to be kept and was not, the weights are made once more.
    lacking = [step for step in plan.keep if not plan.checkpoint(folder, step).exists()]
    for file in reversed(plan.checkpoints(folder)):
        if int(file.stem) <= min(lacking, default=plan.steps):
            try:
                load_checkpoint(learner, file, record)
                break
            except RecordError as error:
                refused = refused or str(error)
    return refused


def _last_look_is_whole(record: RunRecord) -> bool:
    """Whether all that the run ever measured was measured at its last look too, as it is when a run ends."""
    last = record.last_step
    at_last = {(m.quantity, m.t) for m in record.measurements if m.step == last}
    return at_last == {(m.quantity, m.t) for m in record.measurements}


def _as_recorded(header: RunHeader, path: Path) -> RunHeader:
    """Take a record's own words for the experiment where they mean the same: keys may be newer, or renamed since."""
    if not (path / "run.json").exists():
        return header
    recorded = read_header(path)[0].experiment
    training = header.experiment["training"]
    free = {name: training[name] for name in may_differ(training)}  # it may have been made longer
    same = recorded | {"training": recorded.get("training", {}) | free}
    return header.model_copy(update={"experiment": same}) if recipe_of(same) == header.experiment else header
