"""What to run: one size, one seed and one half of an experiment."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from taumem.data import Split
from taumem.errors import ConfigError, DataError, RecordError
from taumem.lab.domain import Domain
from taumem.lab.experiment import Experiment
from taumem.lab.loading import recorded_experiment
from taumem.lab.prepared import PreparedRun
from taumem.lab.pretrained import Pretrained, encoded
from taumem.lab.sections import DataConfig
from taumem.record import RunRecord
from taumem.record.key import run_name
from taumem.shapes import Items

__all__ = ["RunPlan", "opened", "plans_of", "recorded_plan"]


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
        a, b = split.first(n_needed).halves()
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


def recorded_plan(record: RunRecord) -> RunPlan:
    """The plan of a run that the laboratory made, of whatever version, from its record; without what it started from.

    Raises:
        RecordError: it was made elsewhere.
        ConfigError: what it holds is no experiment of this taumem.
    """
    header = record.header
    if not header.experiment:
        raise RecordError(f"{record.path}: no run of the laboratory (taumem run), so that it cannot be made again.")
    experiment = recorded_experiment(header.experiment, header.data.n_train, str(record.path))
    return RunPlan(experiment, header.data.n_train, header.seed, header.half)
