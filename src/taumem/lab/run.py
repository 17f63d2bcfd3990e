"""One run: a model, trained on P examples and measured as it goes, in a folder of its own. Or several, together."""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from pydantic import ValidationError

import taumem
from taumem.data import Split
from taumem.diffusion import Denoiser, MaskedDiffusion, cosine_grid, sample, sample_in_any_order
from taumem.errors import ConfigError, DataError
from taumem.lab.catalog import AnyDiffusion, make_denoiser, make_diffusion, make_grammar, make_split, make_text
from taumem.lab.experiment import Experiment, GrammarConfig, MaskedConfig, TextConfig
from taumem.lab.questions import probes_of, sample_probes_of
from taumem.monitor import LogCadence, Monitor
from taumem.probes import Sampler
from taumem.randomness import generator_for
from taumem.record import RunHeader, RunRecord
from taumem.shapes import Items
from taumem.training import Learner, Member, load_checkpoint, save_checkpoint, train, train_together

__all__ = ["Interrupted", "RunPlan", "run", "run_together"]

SECONDS_BETWEEN_CHECKPOINTS = 10.0


class Interrupted(Exception):  # noqa: N818 (not an error: the run is saved and can go on)
    """The run was asked to stop between two steps; it has saved where it stands."""


@dataclass(frozen=True)
class RunPlan:
    """What to run: one size, one seed and one half of an experiment."""

    experiment: Experiment
    n_train: int
    seed: int
    half: Literal["a", "b"] | None
    """Which of two disjoint training sets; None where there is only one."""
    keep: tuple[int, ...] = ()
    """Steps whose checkpoint is kept, besides the last."""
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The run's folder: its size, seed and half."""
        return f"P{self.n_train:06d}-seed{self.seed}" + (f"-{self.half}" if self.half else "")

    @property
    def steps(self) -> int:
        """Optimizer steps the run takes, at most."""
        return self.experiment.steps(self.n_train)

    @property
    def batch_size(self) -> int:
        """Training examples a step."""
        return self.experiment.batch_size(self.n_train)

    def data(self) -> tuple[Split, Items | None]:
        """The run's training set and held-out data, and the twin's training items.

        Raises:
            DataError: there are fewer training items than the plan asks for.
        """
        n_needed = self.n_train * (1 if self.half is None else 2)
        try:
            split = make_split(self.experiment.data, self.seed, n_needed)
        except (ConfigError, DataError) as error:
            if self.half is None:
                raise
            make_split(self.experiment.data, self.seed, self.n_train)  # where that fails too, twins are not the reason
            raise type(error)(f"two disjoint training sets of P = {self.n_train}: {error} Or twins = false.") from error
        if self.half is None:
            return split.first(self.n_train), None
        if n_needed > len(split):
            raise DataError(
                f"{split.name}: two disjoint training sets of P = {self.n_train} need {n_needed} distinct "
                f"items; {len(split)} are there beside the held-out ones. Choose P up to {len(split) // 2}, or "
                "twins = false."
            )
        a, b = (half.first(self.n_train) for half in split.halves())
        return (a, b.train) if self.half == "a" else (b, a.train)

    def header(self) -> RunHeader:
        """What the record says the run is."""
        split, _ = self.data()
        versions = {
            "taumem": taumem.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        }
        facts, data = split.facts, self.experiment.data
        if isinstance(data, GrammarConfig):
            facts = facts.model_copy(update={"sample_complexities": make_grammar(data).sample_complexities})
        if isinstance(data, TextConfig):
            symbols = make_text(data).alphabet.symbols or "".join(
                chr(byte) if byte < 128 else "\ufffd" for byte in range(256)
            )
            facts = facts.model_copy(update={"alphabet": symbols})
        return RunHeader(
            name=self.experiment.name,
            data=facts,
            seed=self.seed,
            half=self.half,
            batch_size=self.batch_size,
            steps=self.steps,
            weights="raw" if self.experiment.training.ema_window is None else "ema",
            device=self.device,
            versions=versions,
            experiment=self.experiment.recipe,
        )

    def learner(self) -> Learner:
        """A learner with fresh weights, at step 0."""
        config = self.experiment.training
        split, _ = self.data()
        generator = generator_for(self.seed, "weights", self.half or "")
        denoiser = make_denoiser(
            self.experiment.model, self.diffusion(), self.experiment.data, split.item_shape, generator
        )
        return Learner.start(
            denoiser.to(self.device),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            ema_window=config.ema_window,
        )

    def diffusion(self) -> AnyDiffusion:
        """The diffusion process."""
        return make_diffusion(self.experiment.diffusion, self.data()[0].vocabulary)

    def sampler(self, n_samples: int) -> Sampler:
        """A function that draws this many samples from a denoiser."""
        split, _ = self.data()
        return partial(_draw, self.experiment, self.diffusion(), n_samples, split.item_shape, self.device)

    @property
    def train_seed(self) -> int:
        """Of the batches, times and noise: twins share neither data nor noise."""
        return 2 * self.seed + (1 if self.half == "b" else 0)

    def checkpoint(self, folder: Path, step: int) -> Path:
        """Where the checkpoint of a step is, in a study's folder."""
        return folder / self.name / "checkpoints" / f"{step:08d}.safetensors"

    def checkpoints(self, folder: Path) -> list[Path]:
        """The checkpoints that are there, ascending."""
        return sorted((folder / self.name / "checkpoints").glob("*.safetensors"))


def run(plan: RunPlan, folder: Path, pulse: Callable[[int], None] = lambda step: None) -> None:
    """Make a run, or what is left of it.

    Args:
        plan: what to run.
        folder: the study's folder; the run gets a folder in it.
        pulse: called with the step after each one; it may raise :class:`Interrupted`.

    Raises:
        Interrupted: by the pulse; the run has saved where it stands.
        RecordError: the folder holds another run, or training has diverged.
        DataError: the data are not there, or too few.
    """
    training = plan.experiment.training
    with _started(plan, folder) as running:
        if running.finished:
            return
        steps = train(
            running.learner,
            plan.diffusion(),
            running.train_items,
            batch_size=plan.batch_size,
            seed=plan.train_seed,
            warmup=training.warmup,
            clip=training.clip,
        )
        for _ in steps:
            with _saved_if_stopped([running]):
                running.look()
                if running.overdue:
                    running.save()
                pulse(running.reached)
            if running.finished:
                return


def run_together(
    plans: Sequence[RunPlan], folder: Path, pulse: Callable[[RunPlan, int], None] = lambda plan, step: None
) -> None:
    """Make runs of one experiment, or what is left of them, trained as one batched program.

    The records are those of runs that were made one by one, to within the rounding of single precision.

    Args:
        plans: what to run; each run leaves when it is finished.
        folder: the study's folder; each run gets a folder in it.
        pulse: called with each run's plan and step after each step; it may raise :class:`Interrupted`.

    Raises:
        Interrupted: by the pulse; all runs have saved where they stand.
        RecordError: the folder holds another run, or training has diverged.
        DataError: the data are not there, or too few.
    """
    with ExitStack() as stack:
        started = [stack.enter_context(_started(plan, folder)) for plan in plans]
        unfinished = sorted((running for running in started if not running.finished), key=lambda r: r.learner.step)
        # A kill between two runs' saving leaves them at different steps; those at the same one go on together.
        for _, group in groupby(unfinished, key=lambda running: running.learner.step):
            _finish_together(list(group), pulse)


def _finish_together(group: Sequence["_Running"], pulse: Callable[[RunPlan, int], None]) -> None:
    plan = group[0].plan
    training = plan.experiment.training
    runs = {Member(running.learner, running.train_items, running.plan.train_seed): running for running in group}
    members = list(runs)
    for _ in train_together(
        members, plan.diffusion(), batch_size=plan.batch_size, warmup=training.warmup, clip=training.clip
    ):
        with _saved_if_stopped(group):
            for member in tuple(members):
                runs[member].look()
                if runs[member].finished:
                    members.remove(member)
            if any(running.overdue for running in group):
                for running in group:  # all at one step, so that they can go on together
                    running.save()
            for running in group:
                pulse(running.plan, running.reached)


@dataclass
class _Running:
    """A run under way: what is trained, and what is measured of it."""

    plan: RunPlan
    folder: Path
    learner: Learner
    train_items: Items
    record: RunRecord
    monitor: Monitor
    finished: bool = field(init=False)
    """Whether the run has taken all its steps, or has memorized and was to stop there."""
    broken: bool = False
    """Whether its last look went wrong."""
    saved: float = field(default_factory=time.monotonic)
    """When, by the clock that :func:`time.monotonic` reads."""

    def __post_init__(self) -> None:
        self.finished = self._is_finished()

    @property
    def reached(self) -> int:
        """How far the run has come, in steps of its plan: all of them once it is finished."""
        return self.plan.steps if self.finished else self.learner.step

    @property
    def overdue(self) -> bool:
        """Whether it is time to save."""
        return not self.finished and time.monotonic() - self.saved > SECONDS_BETWEEN_CHECKPOINTS

    def look(self) -> None:
        """Measure what is due after a step, and save where the plan or the end asks for it.

        Raises:
            RecordError: training has diverged; the run is then broken, and is not saved any more.
        """
        step, last = self.learner.step, self.learner.step >= self.plan.steps
        if last or self.monitor.due(step):
            self.broken = True
            self.monitor.look(self.learner.averaged, step, self.learner.examples, samples=last or None)
            self.broken = False
            self.finished = self._is_finished()
        if self.finished or step in self.plan.keep:
            self._write()

    def save(self) -> None:
        """Save where the run stands, unless it is finished (and saved) or broken."""
        if not (self.finished or self.broken):
            self._write()

    def _write(self) -> None:
        """Write a checkpoint, and drop the earlier ones that the plan does not keep."""
        save_checkpoint(self.learner, self.plan.checkpoint(self.folder, self.learner.step))
        kept = {self.plan.checkpoint(self.folder, step) for step in (*self.plan.keep, self.learner.step)}
        for old in set(self.plan.checkpoints(self.folder)) - kept:
            old.unlink()
        self.saved = time.monotonic()

    def _is_finished(self) -> bool:
        limit, step = self.plan.experiment.training.stop_at_copies, self.learner.step
        return step >= self.plan.steps or (limit is not None and _has_memorized(self.record, limit, step))


@contextmanager
def _started(plan: RunPlan, folder: Path) -> Iterator[_Running]:
    """Begin a run where its last checkpoint stands, as its record's only writer."""
    split, twin_items = plan.data()
    learner = plan.learner()
    with RunRecord.open(folder / plan.name, _as_recorded(plan.header(), folder / plan.name)) as record:
        if existing := plan.checkpoints(folder):
            load_checkpoint(learner, existing[-1])
        split = replace(split, train=split.train.to(plan.device), heldout=split.heldout.to(plan.device))
        monitor = _monitor(plan, record, split, twin_items)
        yield _Running(plan, folder, learner, split.train, record, monitor)


def _as_recorded(header: RunHeader, path: Path) -> RunHeader:
    """Take a record's own words for the experiment where they mean the same: newer keys may have been added since."""
    if not (path / "run.json").exists():
        return header
    recorded = RunRecord.read(path).header.experiment
    try:
        same = Experiment.model_validate(recorded | {"n_train": [2]}).recipe == header.experiment
    except ValidationError:  # of another time or tool: for the record to refuse
        return header
    return header.model_copy(update={"experiment": recorded}) if same else header


@contextmanager
def _saved_if_stopped(group: Sequence[_Running]) -> Iterator[None]:
    """Save all runs that can go on, whatever stops them: a word of the parent, Ctrl-C, another run's divergence."""
    try:
        yield
    except BaseException:
        for running in group:
            running.save()
        raise


def _has_memorized(record: RunRecord, limit: float, step: int) -> bool:
    """Whether copies above chance exceed the limit in the last two looks at samples, up to a step."""
    looks: dict[int, dict[str, float]] = {}
    for m in record.measurements:
        if m.step <= step and m.quantity in ("copy_fraction", "copy_fraction_chance"):
            looks.setdefault(m.step, {})[m.quantity] = m.value
    above = [found["copy_fraction"] - found.get("copy_fraction_chance", 0.0) for _, found in sorted(looks.items())]
    return len(above) >= 2 and min(above[-2:]) > limit


def _monitor(plan: RunPlan, record: RunRecord, split: Split, twin_items: Items | None) -> Monitor:
    config, diffusion = plan.experiment.monitor, plan.diffusion()
    sets = {"train": split.train[: config.n_items], "heldout": split.heldout[: config.n_heldout_items]}
    if twin_items is not None:
        sets["twin"] = twin_items[: config.n_items].to(plan.device)
    return Monitor(
        record,
        probes_of(plan.experiment, diffusion, split, sets, plan.seed),
        cadence=LogCadence(config.first, config.per_doubling),
        sampler=plan.sampler(config.n_samples) if config.n_samples else None,
        sample_probes=sample_probes_of(plan.experiment, split),
        sample_cadence=LogCadence(config.first, config.samples_per_doubling),
        seed=plan.seed,
    )


def _draw(
    experiment: Experiment,
    diffusion: AnyDiffusion,
    n: int,
    item_shape: tuple[int, ...],
    device: str,
    denoiser: Denoiser,
    generator: torch.Generator,
) -> Items:
    noise_source = generator if device == "cpu" else generator_for(generator.initial_seed(), "device", device=device)
    steps, times = experiment.monitor.sampling_steps, None
    if isinstance(diffusion, MaskedDiffusion):
        if cast(MaskedConfig, experiment.diffusion).sampler == "any-order":
            return sample_in_any_order(diffusion, denoiser, n, item_shape, noise_source)
        times = cosine_grid(diffusion.schedule, steps)
    return sample(diffusion, denoiser, n, item_shape, noise_source, steps=steps, times=times)
