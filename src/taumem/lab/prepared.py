"""A run that is ready to be made: a plan with its data, and all that is trained, sampled and measured of it."""

import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator, nn

import taumem
from taumem.data import Split
from taumem.diffusion import Denoiser, Diffusion
from taumem.errors import ConfigError, TaumemWarning
from taumem.lab.domain import Asked, Domain, TellsParts, attacks
from taumem.lab.hidden import hidden_probes
from taumem.lab.memory import Memory, memory_of_device, predicted
from taumem.models import Autoencoder
from taumem.models.empirical import CANDIDATES_AT_ONCE
from taumem.models.recomputation import checkpoint_activations
from taumem.monitor import LogCadence, Monitor
from taumem.probes import Coverage, FIDAndKID, ImageQuality, Probe, SampleProbe, Sampler
from taumem.randomness import generator_for
from taumem.record import RunHeader, RunRecord
from taumem.shapes import Items
from taumem.training import Learner, OptimizerState, Step, train
from taumem.training.adapters import add_adapters
from taumem.training.engine import DTYPES

if TYPE_CHECKING:
    from taumem.lab.plan import RunPlan

__all__ = ["PreparedRun"]

FEW = 64
"""Items by which it is known whether something can be built."""


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """A plan with its data and its diffusion process: what is trained, sampled and measured is made from it."""

    plan: "RunPlan"
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

    @property
    def objective(self) -> Diffusion:
        """The process with the loss of training, which may have terms beside the loss that is measured."""
        return self.plan.experiment.diffusion.objective(self.diffusion)

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
            training.engine.placed(self._denoiser().to(self.plan.device)),
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            ema_window=training.ema_window,
            optimizer=training.optimizer,
            momentum=0.9 if training.momentum is None else training.momentum,
            effective_time=True,
        )

    def memory(self) -> Memory | None:
        """What the run takes of the memory, beside a process that has loaded taumem; None where it cannot be told."""
        experiment = self.plan.experiment
        training, monitor = experiment.training, experiment.monitor
        n_asked = max(monitor.n_items, monitor.n_heldout_items)
        item, n_train = self.split.train[0].nbytes, len(self.split)
        data = getattr(self.domain, "n_bytes", 0) if self._is_on_cpu else 0  # the data set stays with the CPU
        # Looks keep the training items once more, and compare some thousands of them in double precision.
        held = item * (2 * (n_train + len(self.split.heldout)) + 4 * min(n_train, CANDIDATES_AT_ONCE))
        try:
            return predicted(
                lambda: self._adapted(self._network()),
                self.objective,
                item_shape=self.split.item_shape,
                tokens=self.split.vocabulary is not None,
                batch_size=-(-self.plan.batch_size // training.engine.n_parts),
                look=max(min(monitor.block, n_asked), monitor.n_samples),
                data=held + data,
                optimizer=training.optimizer,
                momentum=training.momentum,
                averaged=training.ema_window is not None,
                precision=DTYPES.get(training.precision),
            )
        except (NotImplementedError, RuntimeError):  # a network of another's, which wants numbers
            return None

    def refuse_if_it_does_not_fit(self) -> Memory | None:
        """Refuse a run that takes more memory than the machine has, before any of it is taken.

        On another device it is a warning: what is said has been measured on CPUs alone.

        Returns:
            What it takes; None where that cannot be told.

        Raises:
            ConfigError: it takes more.
        """
        self.plan.experiment.model.refuse_if_too_large(self.domain, self.split.item_shape, self.diffusion)
        if (memory := self.memory()) is not None:
            try:
                memory.refuse_if_more_than(*memory_of_device(self.plan.device))
            except ConfigError as error:
                if self._is_on_cpu:
                    raise
                warnings.warn(f"{error} It is tried all the same.", TaumemWarning, stacklevel=2)
        return memory

    @property
    def _is_on_cpu(self) -> bool:
        return torch.device(self.plan.device).type == "cpu"

    def _network(self) -> nn.Module:
        """The network with fresh weights."""
        plan, experiment = self.plan, self.plan.experiment
        generator = generator_for(plan.seed, "weights", plan.half or "")
        denoiser = experiment.model.build(self.domain, self.split.item_shape, self.diffusion, generator)
        if experiment.training.checkpoint_activations:
            checkpoint_activations(denoiser)
        return denoiser

    def _denoiser(self) -> nn.Module:
        plan, experiment = self.plan, self.plan.experiment
        denoiser = self._network()
        if plan.pretrained is not None and experiment.pretraining is not None and experiment.pretraining.steps:
            plan.pretrained.load_network(denoiser)
        return self._adapted(denoiser)

    def _adapted(self, denoiser: nn.Module) -> nn.Module:
        """The network with adapters, where they are trained in its place."""
        plan = self.plan
        if (rank := plan.experiment.training.lora_rank) is not None:
            add_adapters(denoiser, rank, generator_for(plan.seed, "adapters", plan.half or ""))
        return denoiser

    def training(self, learner: Learner) -> Iterator[Step]:
        """Train a learner, from where it stands, without end."""
        plan, training = self.plan, self.plan.experiment.training
        return train(
            learner,
            self.objective,
            self.split.train,
            batch_size=plan.batch_size,
            seed=plan.train_seed,
            schedule=plan.experiment.schedule(plan.n_train),
            clip=training.clip,
            augmentation=training.augmentation,
            engine=training.engine,
        )

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

    def check_quality_probes(self) -> None:
        """Refuse what samples cannot be compared by: a network that is not there, too few images; by a few of them.

        Raises:
            TaumemError: one of them.
        """
        compared = self._comparable
        few = replace(compared, train=compared.train[:FEW], heldout=compared.heldout[:FEW])
        self._quality_probes(few)

    def _quality_probes(self, compared: Split) -> list[SampleProbe]:
        config, sets = self.plan.experiment.monitor, (compared.train, compared.heldout)
        probes: list[SampleProbe] = [ImageQuality(*sets)] if config.quality else []
        if config.fid:
            probes.append(FIDAndKID(*sets, config.fid))
        if config.partial:
            if not isinstance(self.domain, TellsParts):
                source = self.plan.experiment.data.source
                raise ConfigError(
                    f"monitor.partial looks for parts of images, texts or strings; data.source '{source}' has none."
                )
            probes += self.domain.part_probes(compared)
        return probes

    def _hidden_probes(self, asked: Asked, sampler: Sampler) -> list[Probe]:
        """Ask for what is memorized and not drawn yet."""
        config = self.plan.experiment.monitor
        restore = self.plan.experiment.diffusion.build_restore(self.diffusion, config.sampling_steps)
        return hidden_probes(asked, self.domain, sampler, restore)

    def monitor(self, record: RunRecord, learner: Learner | None = None) -> Monitor:
        """What is measured of the run, into its record; of the learner, if it is given, its optimizer's pace."""
        config, seed, compared = self.plan.experiment.monitor, self.plan.seed, self._comparable
        sets = {"train": self.split.train[: config.n_items], "heldout": self.split.heldout[: config.n_heldout_items]}
        if self.twin_items is not None:
            sets["twin"] = self.twin_items[: config.n_items].to(self.plan.device)
        asked = Asked(
            self.diffusion, self.split, sets, config.times, config.n_items, config.block, seed, config.membership
        )
        members = [attacks(asked)] if config.membership else []
        pace = [OptimizerState(learner.optimizer, learner.time)] if learner is not None else []
        sampler = self.sampler(config.n_samples)
        coverage = [Coverage(sets["train"], self.split.train)] if config.items else []
        return Monitor(
            record,
            [*pace, *self.domain.probes(asked), *members, *coverage],
            cadence=LogCadence(config.first, config.per_doubling),
            sampler=sampler if config.n_samples else None,
            sample_probes=[*self.domain.sample_probes(compared), *self._quality_probes(compared)],
            sample_cadence=LogCadence(config.first, config.samples_per_doubling),
            costly_probes=self._hidden_probes(asked, sampler) if config.hidden else [],
            seed=seed,
        )
