"""Making what the runs of a study start from, once: in the folder ``pretrained`` of the study."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from taumem.data import Split
from taumem.errors import RecordError
from taumem.lab.domain import Domain
from taumem.lab.experiment import Experiment
from taumem.lab.interruption import ctrl_c_waits
from taumem.lab.pace import SavingPace
from taumem.lab.pretraining import LatentsConfig
from taumem.models import Autoencoder
from taumem.models.recomputation import checkpoint_activations
from taumem.randomness import generator_for
from taumem.shapes import Items
from taumem.training import Learner, load_checkpoint, save_checkpoint, train
from taumem.training.checkpoint import write_tensors
from taumem.training.loop import batch_positions

__all__ = ["Pretrained", "encoded", "pretrain", "pretraining_steps"]

OnStep = Callable[[int], None]
"""Called with the steps that the pretraining has taken."""


@dataclass(frozen=True)
class Pretrained:
    """What was learned before the runs.

    Attributes:
        folder: where it is.
    """

    folder: Path

    @property
    def network(self) -> Path:
        """The file of the network's averaged weights."""
        return self.folder / "network.safetensors"

    @property
    def autoencoder(self) -> Path:
        """The file of the autoencoder's weights."""
        return self.folder / "autoencoder.safetensors"

    def is_whole(self, experiment: Experiment) -> bool:
        """Whether all that the runs of an experiment start from is there."""
        has_network = experiment.pretraining is not None and experiment.pretraining.steps > 0
        wanted = ((self.network, has_network), (self.autoencoder, experiment.latents is not None))
        return all(file.exists() for file, is_wanted in wanted if is_wanted)

    def load_network(self, denoiser: nn.Module) -> None:
        """Give a network the weights that were learned.

        Raises:
            RecordError: they are not there, damaged, or of another network.
        """
        _load(denoiser, self.network)

    def load_autoencoder(self, config: LatentsConfig, item_shape: tuple[int, ...]) -> Autoencoder:
        """The autoencoder that was learned.

        Raises:
            RecordError: it is not there, damaged, or another one.
        """
        autoencoder = config.build(item_shape)
        _load(autoencoder, self.autoencoder)
        return autoencoder.eval()


def pretraining_steps(experiment: Experiment) -> int:
    """How many steps the pretraining of an experiment takes, with those of its autoencoder."""
    if experiment.pretraining is None:
        return 0
    return experiment.pretraining.steps + (experiment.latents.steps if experiment.latents else 0)


def pretrain(
    experiment: Experiment, domain: Domain, folder: Path, *, device: str = "cpu", on_step: OnStep = lambda step: None
) -> None:
    """Make what the runs of an experiment start from, or what is left of it.

    Args:
        experiment: with a pretraining.
        domain: of the pretraining's data.
        folder: for the files; interrupted, the same call goes on.
        device: where to train.
        on_step: called after each step.

    Raises:
        DataError: the data are not there, or too few.
        ConfigError: a network that cannot be.
        RecordError: what is there is damaged, or the disk refuses.
    """
    config = experiment.pretraining
    assert config is not None
    files = Pretrained(folder)
    split = domain.split(config.n_train, config.seed).first(config.n_train)
    split = replace(split, train=split.train.to(device), heldout=split.heldout.to(device))
    before = 0
    if (latents := experiment.latents) is not None:
        if not files.autoencoder.exists():
            autoencoder = latents.build(split.item_shape, generator_for(config.seed, "autoencoder")).to(device)
            for step in _fit(autoencoder, latents, split.train, config.seed):
                on_step(step)
            _save(autoencoder, files.autoencoder)
        before = latents.steps
        split = encoded(split, files.load_autoencoder(latents, split.item_shape).to(device))
    if config.steps and not files.network.exists():
        diffusion = experiment.diffusion.build(split.vocabulary)
        generator = generator_for(config.seed, "pretrained weights")
        denoiser = experiment.model.build(domain, split.item_shape, diffusion, generator).to(device)
        training = experiment.training
        if training.checkpoint_activations:
            checkpoint_activations(denoiser)
        parts = min(training.accumulate, config.batch_size)
        engine = replace(training.engine, accumulate=parts, shared=False)  # one process makes it, while others wait
        denoiser = engine.placed(denoiser)
        learner = Learner.start(denoiser, learning_rate=config.learning_rate, ema_window=training.ema_window)
        with _saved_as_it_goes(learner, folder / "learner.safetensors") as after_step:
            steps = train(
                learner,
                experiment.diffusion.objective(diffusion),
                split.train,
                batch_size=config.batch_size,
                seed=config.seed,
                clip=training.clip,
                engine=engine,
            )
            while learner.step < config.steps:
                on_step(before + next(steps).index)
                after_step()
        _save(learner.averaged, files.network)
        (folder / "learner.safetensors").unlink(missing_ok=True)
    on_step(pretraining_steps(experiment))


def encoded(split: Split, autoencoder: Autoencoder) -> Split:
    """The latents of a split."""
    return Split(split.name, autoencoder.encode(split.train), autoencoder.encode(split.heldout))


def _fit(autoencoder: Autoencoder, config: LatentsConfig, images: Items, seed: int) -> Iterator[int]:
    """Train an autoencoder; gives each step after it."""
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=config.learning_rate)
    autoencoder.train()
    for step in range(1, config.steps + 1):
        batch = images[batch_positions(len(images), config.batch_size, step, seed).to(images.device)]
        generator = generator_for(seed, "latents", step, device=images.device)
        eps = torch.randn(len(batch), *autoencoder.latent_shape, generator=generator, device=images.device)
        optimizer.zero_grad(set_to_none=True)
        autoencoder.loss(batch, eps).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield step


@contextmanager
def _saved_as_it_goes(learner: Learner, file: Path) -> Iterator[Callable[[], None]]:
    """Begin where a learner was saved; save it now and then, and when it is stopped."""
    if file.exists():
        load_checkpoint(learner, file)
    pace = SavingPace()
    with ctrl_c_waits() as raise_if_it_came:

        def after_step() -> None:
            if pace.due:
                with pace.saving():
                    save_checkpoint(learner, file)
            raise_if_it_came()

        try:
            yield after_step
        except BaseException:
            save_checkpoint(learner, file)
            raise


def _save(module: nn.Module, file: Path) -> None:
    write_tensors(file, {name: tensor.cpu() for name, tensor in module.state_dict().items()})


def _load(module: nn.Module, file: Path) -> None:
    try:
        module.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RecordError(
            f"{file}: these pretrained weights cannot be taken ({reason}). Remove its folder: it is made again."
        ) from None
