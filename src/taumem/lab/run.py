"""One run: a model, trained on P examples and measured as it goes, in a folder of its own."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

import taumem
from taumem.data import Split
from taumem.diffusion import Denoiser, GaussianDiffusion, sample
from taumem.errors import DataError
from taumem.lab.catalog import make_denoiser, make_diffusion, make_split
from taumem.lab.experiment import Experiment
from taumem.monitor import LogCadence, Monitor
from taumem.probes import Copies, EmpiricalGap, LossGap, Sampler
from taumem.randomness import generator_for
from taumem.record import RunHeader, RunRecord
from taumem.shapes import Items
from taumem.training import Learner, load_checkpoint, save_checkpoint, train

__all__ = ["Interrupted", "RunPlan", "run"]

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
        """Optimizer steps the run takes."""
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
        split = make_split(self.experiment.data, self.seed)
        if self.half is None:
            return split.first(self.n_train), None
        if 2 * self.n_train > len(split):
            raise DataError(
                f"{split.name}: two disjoint training sets of P = {self.n_train} need {2 * self.n_train} distinct "
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
        return RunHeader(
            name=self.experiment.name,
            data=split.facts,
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
        denoiser = make_denoiser(self.experiment.model, self.diffusion(), split.item_shape, generator)
        return Learner.start(
            denoiser.to(self.device),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            ema_window=config.ema_window,
        )

    def diffusion(self) -> GaussianDiffusion:
        """The diffusion process."""
        return make_diffusion(self.experiment.diffusion)

    def sampler(self, n_samples: int) -> Sampler:
        """A function that draws this many samples from a denoiser."""
        split, _ = self.data()
        steps = self.experiment.monitor.sampling_steps
        return partial(_draw, self.diffusion(), n_samples, split.item_shape, steps, self.device)

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
    split, twin_items = plan.data()
    diffusion, learner, config = plan.diffusion(), plan.learner(), plan.experiment.training
    with RunRecord.open(folder / plan.name, plan.header()) as record:
        if existing := plan.checkpoints(folder):
            load_checkpoint(learner, existing[-1])
        if learner.step >= plan.steps:
            return
        monitor = _monitor(plan, record, split, twin_items)
        saved = time.monotonic()
        half = 0 if plan.half in ("a", None) else 1
        steps = train(
            learner,
            diffusion,
            split.train.to(plan.device),
            batch_size=plan.batch_size,
            seed=2 * plan.seed + half,  # twins share neither data nor noise
            warmup=config.warmup,
            clip=config.clip,
        )
        for step in steps:
            last = step.index == plan.steps
            if last or monitor.due(step.index):
                monitor.check(learner.averaged, step.index, step.examples, samples=last or None)
            if last or step.index in plan.keep or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                _save(plan, folder, learner)
                saved = time.monotonic()
            try:
                pulse(step.index)
            except Interrupted:
                _save(plan, folder, learner)
                raise
            if last:
                return


def _save(plan: RunPlan, folder: Path, learner: Learner) -> None:
    """Save where the run stands, and drop the earlier checkpoints that the plan does not keep."""
    save_checkpoint(learner, plan.checkpoint(folder, learner.step))
    kept = {plan.checkpoint(folder, step) for step in (*plan.keep, learner.step)}
    for old in set(plan.checkpoints(folder)) - kept:
        old.unlink()


def _monitor(plan: RunPlan, record: RunRecord, split: Split, twin_items: Items | None) -> Monitor:
    config = plan.experiment.monitor
    diffusion = plan.diffusion()
    sets = {"train": split.train[: config.n_items], "heldout": split.heldout[: config.n_heldout_items]}
    if twin_items is not None:
        sets["twin"] = twin_items[: config.n_items]
    sets = {name: items.to(plan.device) for name, items in sets.items()}
    train_items = split.train.to(plan.device)
    return Monitor(
        record,
        [
            LossGap(diffusion, sets, levels=config.levels, seed=plan.seed),
            EmpiricalGap(diffusion, train_items, sets["heldout"], seed=plan.seed),
        ],
        cadence=LogCadence(config.first, config.per_doubling),
        sampler=plan.sampler(config.n_samples) if config.n_samples else None,
        sample_probes=[Copies(train_items, split.heldout.to(plan.device))],
        sample_cadence=LogCadence(config.first, config.samples_per_doubling),
        seed=plan.seed,
    )


def _draw(
    diffusion: GaussianDiffusion,
    n: int,
    item_shape: tuple[int, ...],
    steps: int,
    device: str,
    denoiser: Denoiser,
    generator: torch.Generator,
) -> Items:
    noise_source = generator if device == "cpu" else generator_for(generator.initial_seed(), "device", device=device)
    return sample(diffusion, denoiser, n, item_shape, noise_source, steps=steps)
