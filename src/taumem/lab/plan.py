"""What to run: a plan says it, and its preparation has all that it takes."""

import platform
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Generator, nn

import taumem
from taumem.data import Split
from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError, DataError
from taumem.lab.domain import Asked, Domain
from taumem.lab.experiment import Experiment
from taumem.lab.pretrained import Pretrained, encoded
from taumem.lab.sections import DataConfig
from taumem.models import Autoencoder
from taumem.monitor import LogCadence, Monitor
from taumem.probes import Sampler
from taumem.randomness import generator_for
from taumem.record import RunHeader, RunRecord
from taumem.record.key import run_name
from taumem.shapes import Items
from taumem.training import Learner, OptimizerState
from taumem.training.adapters import add_adapters

__all__ = ["PreparedRun", "RunPlan", "opened", "plans_of"]


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
    pretrained: Pretrained | None = None
    """What it starts from, where the experiment has a pretraining."""

    @property
    def name(self) -> str:
        """The run's folder: its size, seed and half."""
        return run_name(self.n_train, self.seed, self.half)

    @property
    def steps(self) -> int:
        """Optimizer steps the run takes, at most."""
        return self.experiment.steps(self.n_train)

    @property
    def batch_size(self) -> int:
        """Training examples per step."""
        return self.experiment.batch_size(self.n_train)

    @property
    def train_seed(self) -> int:
        """Of the batches, times and noise: twins share neither data nor noise."""
        return 2 * self.seed + (1 if self.half == "b" else 0)

    def checkpoint(self, folder: Path, step: int) -> Path:
        """Where the checkpoint of a step is, in a study's folder."""
        return folder / self.name / "checkpoints" / f"{step:08d}.safetensors"

    def checkpoints(self, folder: Path) -> list[Path]:
        """The checkpoints that are there, ascending."""
        files = (folder / self.name / "checkpoints").glob("*.safetensors")
        return sorted((file for file in files if file.stem.isdecimal()), key=lambda file: int(file.stem))

    def prepare(self) -> "PreparedRun":
        """Read and split the data, and make the diffusion process: once for a run, since it may take a while.

        Raises:
            DataError: the data are not there, or fewer training items than the plan asks for.
            ConfigError: the data cannot be made.
        """
        domain = opened(self.experiment.data)
        split, twin_items = self._sets(domain)
        split = replace(split, train=split.train.to(self.device), heldout=split.heldout.to(self.device))
        diffusion = self.experiment.diffusion.build(split.vocabulary)
        if self.pretrained is None or self.experiment.latents is None:
            return PreparedRun(self, domain, split, split, twin_items, diffusion)
        autoencoder = self.pretrained.load_autoencoder(self.experiment.latents, split.item_shape).to(self.device)
        twin_items = None if twin_items is None else autoencoder.encode(twin_items.to(self.device))
        return PreparedRun(self, domain, split, encoded(split, autoencoder), twin_items, diffusion, autoencoder)

    def _sets(self, domain: Domain) -> tuple[Split, Items | None]:
        """The run's training set and held-out data, and the twin's training items."""
        if self.half is None:
            return domain.split(self.n_train, self.seed).first(self.n_train), None
        n_needed = 2 * self.n_train
        try:
            split = domain.split(n_needed, self.seed)
        except (ConfigError, DataError) as error:
            domain.split(self.n_train, self.seed)  # where that fails too, twins are not the reason
            raise type(error)(f"two disjoint training sets of P = {self.n_train}: {error} Or twins = false.") from error
        if n_needed > len(split):
            possible = len(split) // 2
            do = f"Choose P up to {possible}, or twins = false." if possible >= 2 else "Bring more data."
            raise DataError(
                f"{split.name}: two disjoint training sets of P = {self.n_train} need {n_needed} distinct "
                f"items; {len(split)} are there beside the {len(split.heldout)} held out. {do}"
            )
        a, b = (half.first(self.n_train) for half in split.halves())
        return (a, b.train) if self.half == "a" else (b, a.train)


@lru_cache(maxsize=1)  # the runs of a study that one process makes share what was read
def opened(data: DataConfig) -> Domain:
    """Read the data, or make what they are drawn from; once, if nothing else is read in between."""
    return data.open()


def plans_of(
    experiment: Experiment, *, keep: tuple[int, ...] = (), device: str = "cpu", pretrained: Pretrained | None = None
) -> list[RunPlan]:
    """All runs of an experiment: sizes x seeds x halves."""
    halves: tuple[Literal["a", "b"] | None, ...] = ("a", "b") if experiment.twins else (None,)
    return [
        RunPlan(experiment, n_train, seed, half, keep, device, pretrained)
        for n_train in experiment.sizes
        for seed in experiment.seeds
        for half in halves
    ]


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """A plan with its data and its diffusion process: what is trained, sampled and measured is made from it."""

    plan: RunPlan
    domain: Domain
    data: Split
    """The run's training set and the held-out data, as they came, on the plan's device."""
    split: Split
    """What is trained and measured on: the same, or their latents."""
    twin_items: Items | None
    """The training items of the other half, likewise; None where there is none."""
    diffusion: Diffusion
    autoencoder: Autoencoder | None = None
    """Of latents, where there are any."""

    def header(self) -> RunHeader:
        """What the record says the run is."""
        plan, experiment = self.plan, self.plan.experiment
        return RunHeader(
            name=experiment.name,
            data=self.domain.facts(self.data),
            seed=plan.seed,
            half=plan.half,
            batch_size=plan.batch_size,
            steps=plan.steps,
            weights="raw" if experiment.training.ema_window is None else "ema",
            pretrained=experiment.pretraining is not None and experiment.pretraining.steps > 0,
            device=plan.device,
            versions={
                "taumem": taumem.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            experiment=experiment.recipe,
        )

    def learner(self) -> Learner:
        """A learner at step 0: with fresh weights, or with those that were learned before.

        Raises:
            ConfigError: a network that cannot be.
            RecordError: what it starts from cannot be read.
        """
        model, training = self.plan.experiment.model, self.plan.experiment.training
        model.refuse_if_too_large(self.domain, self.split.item_shape, self.diffusion)
        return Learner.start(
            self._denoiser().to(self.plan.device),
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            ema_window=training.ema_window,
            optimizer=training.optimizer,
            momentum=0.9 if training.momentum is None else training.momentum,
            effective_time=True,
        )

    def _denoiser(self) -> nn.Module:
        plan, experiment = self.plan, self.plan.experiment
        generator = generator_for(plan.seed, "weights", plan.half or "")
        denoiser = experiment.model.build(self.domain, self.split.item_shape, self.diffusion, generator)
        if plan.pretrained is not None and experiment.pretraining is not None and experiment.pretraining.steps:
            plan.pretrained.load_network(denoiser)
        if (rank := experiment.training.lora_rank) is not None:
            add_adapters(denoiser, rank, generator_for(plan.seed, "adapters", plan.half or ""))
        return denoiser

    def sampler(self, n_samples: int) -> Sampler:
        """A function that draws this many samples from a denoiser: of latents the images that they stand for."""
        experiment, device = self.plan.experiment, self.plan.device
        draw = experiment.diffusion.build_sampler(self.diffusion, experiment.monitor.sampling_steps)

        def sampler(denoiser: Denoiser, generator: Generator) -> Items:
            if device != "cpu":
                generator = generator_for(generator.initial_seed(), "device", device=device)
            drawn = draw(denoiser, n_samples, self.split.item_shape, generator)
            return drawn if self.autoencoder is None else self.autoencoder.decode(drawn)

        return sampler

    @property
    def _comparable(self) -> Split:
        """What samples are compared with: of latents the images that they stand for."""
        if self.autoencoder is None:
            return self.split
        decode = self.autoencoder.decode
        return replace(self.split, train=decode(self.split.train), heldout=decode(self.split.heldout))

    def monitor(self, record: RunRecord, learner: Learner | None = None) -> Monitor:
        """What is measured of the run, into its record; of the learner, if it is given, its optimizer's pace."""
        config, seed = self.plan.experiment.monitor, self.plan.seed
        sets = {"train": self.split.train[: config.n_items], "heldout": self.split.heldout[: config.n_heldout_items]}
        if self.twin_items is not None:
            sets["twin"] = self.twin_items[: config.n_items].to(self.plan.device)
        asked = Asked(self.diffusion, self.split, sets, config.times, config.n_items, config.block, seed)
        pace = [OptimizerState(learner.optimizer, learner.time)] if learner is not None else []
        return Monitor(
            record,
            [*pace, *self.domain.probes(asked)],
            cadence=LogCadence(config.first, config.per_doubling),
            sampler=self.sampler(config.n_samples) if config.n_samples else None,
            sample_probes=self.domain.sample_probes(self._comparable),
            sample_cadence=LogCadence(config.first, config.samples_per_doubling),
            seed=seed,
        )
