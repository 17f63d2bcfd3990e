"""An experiment: everything that a study is made from, in one typed value.

A study runs every training-set size in ``n_train`` with every seed, and with ``twins`` two models per run, trained on
disjoint sets. What ``data``, ``diffusion`` and ``model`` may be is open: see :mod:`taumem.lab.sections`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, SerializeAsAny, field_validator, model_validator

from taumem.analysis.stopping import Located
from taumem.errors import ConfigError
from taumem.lab.diffusions import GaussianConfig
from taumem.lab.domains.images import FashionMnistConfig
from taumem.lab.networks import UNetConfig
from taumem.lab.pretraining import LatentsConfig, PretrainingConfig
from taumem.lab.sections import Config, DataConfig, DiffusionConfig, ModelConfig
from taumem.processes import n_processes
from taumem.record import RateSchedule
from taumem.record.files import why_no_file_name
from taumem.record.planned import steps_at_most
from taumem.training import Augmentation, Engine, Precision
from taumem.training.optimizers import OptimizerName

__all__ = ["Experiment", "MonitorConfig", "TrainingConfig"]

MOST_STEPS = 1_000_000_000
MOST_ITEMS = 10_000_000
"""What is more is a slip of the keyboard: it would fill the memory, or never end."""


class TrainingConfig(Config):
    """See :func:`taumem.training.train`."""

    batch_size: Annotated[int, Field(ge=1, le=65_536)] | Literal["P", "auto"] = 16
    """Training examples per step; ``"P"`` for the whole training set at every step, ``"auto"`` for 16 or fewer, below
    the smallest P, with as many more steps per example: see :func:`taumem.lab.sized`."""
    optimizer: OptimizerName = "adamw"
    learning_rate: float = Field(default=3e-3, gt=0)
    """The highest: see the schedule."""
    momentum: float | None = Field(default=None, ge=0, lt=1)
    """Of SGD, 0.9 if not said; the other optimizers take none."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled from the gradient in AdamW, added to it in the others."""
    warmup: int = Field(default=0, ge=0, le=MOST_STEPS)
    """Steps over which the rate rises linearly from 0."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """What the rate does after the warm-up; a decay falls to zero at the end of the run, and slows every clock down."""
    clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient; 0 or None for no limit."""
    ema_window: float | None = Field(default=0.1, gt=0, lt=0.28)
    """Width of the weights' average as a share of training; 0 or None measures the raw weights."""
    flips: bool = False
    """Whether each image of a batch is mirrored left-right with probability 1/2; probes ask about images unchanged."""
    shifts: int = Field(default=0, ge=0, le=4096)
    """Each image of a batch is shifted by up to so many pixels, in both directions."""
    min_steps: int = Field(default=300, ge=1, le=MOST_STEPS)
    steps_per_example: float = Field(default=30.0, ge=0, le=1e6)
    """A run of P training examples takes max(min_steps, steps_per_example * P) optimizer steps, at most."""
    stop_at_copies: float | None = Field(default=None, gt=0, lt=1)
    """A run ends once copies above chance exceed this share in two looks one after another; None runs to the end."""
    stop_at_clock: str | None = None
    """A run ends once this clock is located, but not before min_steps: it has nothing more to tell then. Of single
    runs, such as ``tau_val``; None runs to the end."""
    lora_rank: int | None = Field(default=None, ge=1, le=65_536)
    """Rank of adapters (LoRA) that are trained in place of a pretrained network's own weights; 0 or None for none."""
    checkpoint_activations: bool = False
    """Whether stages of a U-Net or transformer are computed twice, so that they keep less in memory."""
    together: bool = False
    """Whether to train runs as one batched program: faster for small networks: see docs/speed.md."""
    precision: Precision = "fp32"
    """Of products and convolutions: ``"bf16"`` or ``"fp16"`` on GPUs. Probes ask in single precision all the same."""
    accumulate: int = Field(default=1, ge=1, le=65_536)
    """Parts in which a batch goes through the network: more need less memory, and change numbers within rounding (but
    dropout's draws)."""
    compile: bool = False
    """Whether one program is made of the network and its loss: the first step waits a minute, the others go faster."""
    channels_last: bool = False
    """Whether the weights of convolutions lie in memory with the channels last, which GPUs prefer in half precision."""

    @property
    def engine(self) -> Engine:
        """How a step is computed; processes that were launched together share it."""
        return Engine(self.precision, self.accumulate, self.compile, self.channels_last, shared=n_processes() > 1)

    @property
    def augmentation(self) -> Augmentation:
        """What is done to the images of a batch."""
        return Augmentation(self.flips, self.shifts)

    @field_validator("clip", "ema_window", "lora_rank", mode="before")
    @classmethod
    def _none_is_zero_in_toml(cls, value: Any) -> Any:
        if isinstance(value, int | float) and value < 0:
            raise ValueError("expected a number above 0, or 0 for none")
        return None if value == 0 else value

    @model_validator(mode="after")
    def _momentum_is_that_of_sgd(self) -> Self:
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(f"momentum is a setting of the optimizer 'sgd'; the optimizer is '{self.optimizer}'")
        return self

    @field_validator("stop_at_clock")
    @classmethod
    def _clock_is_one_of_single_runs(cls, clock: str | None) -> str | None:
        return clock and Located(clock).clock


class MonitorConfig(Config):
    """What is measured, and when."""

    times: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.15, 0.35, 0.55), min_length=1, max_length=1000
    )
    """Diffusion times of the losses."""
    n_items: int = Field(default=64, ge=2, le=MOST_ITEMS)
    """At most this many training items (and as many of the twin's) enter the losses."""
    n_heldout_items: int = Field(default=128, ge=2, le=MOST_ITEMS)
    block: int = Field(default=256, ge=1, le=MOST_ITEMS)
    """At most this many items go through the model at once: a question of memory, which changes no number."""
    first: int = Field(default=16, ge=1, le=MOST_STEPS)
    """The first step to look at."""
    per_doubling: int = Field(default=4, ge=1, le=1000)
    """Looks for each doubling of the step."""
    n_samples: int = Field(default=64, ge=0, le=MOST_ITEMS)
    """Samples per look; 0 for none."""
    samples_per_doubling: int = Field(default=2, ge=1, le=1000)
    sampling_steps: int = Field(default=15, ge=1, le=100_000)
    quality: bool = False
    """Of images, whether samples are compared with held-out images and with the training set as wholes, too."""
    items: bool = False
    """Whether the record keeps how isolated each training item is whose loss is measured: see docs/items.md."""
    hidden: bool = False
    """Whether to ask, when samples are drawn, for what is memorized and not drawn yet: samples that are sent around,
    U-turns, and of texts more ways to hide a part; it costs more than the samples."""
    membership: bool = False
    """Whether membership is asked by published attacks too, and on the mixture by what the true distribution tells."""
    fid: str = ""
    """Of images, the network in whose features FID and KID are measured, such as a TorchScript file
    ``inception-2015-12-05.pt:bytes``; empty for none. Needs the extra ``fid``."""
    partial: bool = False
    """Whether copied parts of samples are counted, and over-used motifs measured; of images, texts and strings."""


Sizes = Annotated[tuple[Annotated[int, Field(le=MOST_ITEMS)], ...], Field(min_length=1, max_length=1000)]


class Experiment(Config):
    """All of a study. The defaults are the small image study that two cores can do."""

    name: str = Field(min_length=1)
    """Also that of its folder, unless another one is asked for."""
    n_train: Sizes | Literal["auto"]
    """Sizes P of the training set; ``"auto"`` chooses them from how many items there are: see
    :func:`taumem.lab.sized`."""
    seeds: tuple[Annotated[int, Field(ge=0, le=2**63 - 1)], ...] = Field(default=(0,), min_length=1, max_length=1000)
    twins: bool = True
    """Whether to train two models on disjoint sets, for each size and seed."""
    data: Annotated[SerializeAsAny[DataConfig], PlainValidator(DataConfig.named)] = FashionMnistConfig()
    diffusion: Annotated[SerializeAsAny[DiffusionConfig], PlainValidator(DiffusionConfig.named)] = GaussianConfig()
    model: Annotated[SerializeAsAny[ModelConfig], PlainValidator(ModelConfig.named)] = UNetConfig()
    pretraining: PretrainingConfig | None = None
    """What the network has learned before; None for fresh weights."""
    latents: LatentsConfig | None = None
    """Where diffusion takes place; None for the items themselves."""
    training: TrainingConfig = TrainingConfig()
    monitor: MonitorConfig = MonitorConfig()

    @field_validator("name")
    @classmethod
    def _name_is_that_of_a_folder(cls, name: str) -> str:
        if reason := why_no_file_name(name):
            raise ValueError(f"it names the study's folder, so it is a plain name; it {reason}")
        return name

    @model_validator(mode="after")
    def _sizes_are_usable(self) -> "Experiment":
        sizes = () if isinstance(self.n_train, str) else self.n_train
        if any(n < 2 for n in sizes):
            raise ValueError(f"n_train: a training set needs at least 2 items; got {list(sizes)}")
        if len(set(sizes)) < len(sizes) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("n_train and seeds must not repeat a value: the same run would be made twice")
        if not sizes and not self.data.counts_items:
            raise ValueError(
                f"n_train = 'auto' chooses sizes from the number of items, which data.source '{self.data.source}' does "
                "not have; give a list, such as [64, 128]"
            )
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "Experiment":
        for key, chosen, fitting in (
            ("diffusion", self.diffusion, self.data.diffusions),
            ("model", self.model, self.data.models),
        ):
            if not isinstance(chosen, fitting):
                kinds = " or ".join(f"'{config.tag}'" for config in fitting)
                raise ValueError(f"data.source '{self.data.source}' takes {key}.kind {kinds}; got '{chosen.kind}'")
        if self.training.augmentation and not self.data.are_images:
            raise ValueError(
                f"training.flips and training.shifts are for images; data.source '{self.data.source}' has none"
            )
        compares = self.monitor.quality or self.monitor.fid
        if compares and not (self.data.are_images and self.monitor.n_samples > 1):
            raise ValueError(
                "monitor.quality and monitor.fid compare images, 2 samples or more; data.source "
                f"'{self.data.source}' with monitor.n_samples = {self.monitor.n_samples} has none"
            )
        if self.monitor.hidden and (self.monitor.n_samples == 0 or self.latents is not None):
            what = "monitor.n_samples is 0" if self.monitor.n_samples == 0 else "[latents] are not what is compared"
            raise ValueError(f"monitor.hidden sends samples around and compares them with the items; {what}")
        only_at = getattr(self.diffusion, "only_at", None)
        if only_at is not None and (self.monitor.times != (only_at,) or self.monitor.n_samples):
            raise ValueError(
                f"diffusion.only_at = {only_at:g} is the one time of every loss, and samples need more; set "
                f"monitor.times = [{only_at:g}] and monitor.n_samples = 0"
            )
        if self.training.together and getattr(self.model, "dropout", 0) > 0:
            raise ValueError(
                "training.together gives no run a dropout of its own; set model.dropout = 0, or together = false"
            )
        if self.training.together and self.training.engine != Engine():
            raise ValueError(
                "training.together computes in single precision, in one part and one process; set precision = 'fp32', "
                "accumulate = 1, compile = false and channels_last = false, or together = false"
            )
        learned = getattr(self.diffusion, "learned_variance", False)
        if self.training.together and (learned or self.training.checkpoint_activations):
            key = "diffusion.learned_variance" if learned else "training.checkpoint_activations"
            raise ValueError(f"training.together does not do {key}; set one of them to false")
        if self.twins and self.monitor.n_samples == 1:
            raise ValueError("twins are compared by 2 samples or more; monitor.n_samples is 1 (0 for none)")
        if self.training.stop_at_copies is not None and self.monitor.n_samples == 0:
            raise ValueError("training.stop_at_copies needs samples to count copies among; monitor.n_samples is 0")
        if self.monitor.partial and self.monitor.n_samples == 0:
            raise ValueError("monitor.partial looks for copied parts in samples; monitor.n_samples is 0")
        return self

    @model_validator(mode="after")
    def _start_fits(self) -> "Experiment":
        start, training = self.pretraining, self.training
        if start is None:
            if self.latents is not None or training.lora_rank is not None:
                key, what = ("latents", "its autoencoder") if self.latents else ("training.lora_rank", "what it adapts")
                raise ValueError(f"{key} needs a section [pretraining], on whose data {what} is trained")
            return self
        if not isinstance(self.diffusion, start.data.diffusions) or not isinstance(self.model, start.data.models):
            raise ValueError(
                f"pretraining.data.source '{start.data.source}' does not take diffusion.kind '{self.diffusion.kind}' "
                f"and model.kind '{self.model.kind}', which are those of data.source '{self.data.source}'"
            )
        if self.latents is not None and not (self.data.are_images and start.data.are_images):
            raise ValueError(f"[latents] are those of images; data.source '{self.data.source}' has none")
        if training.lora_rank is not None and start.steps == 0:
            raise ValueError("training.lora_rank adapts a pretrained network; pretraining.steps is 0")
        if training.lora_rank is not None and training.together:
            raise ValueError("training.together trains whole networks; set training.lora_rank = 0, or together = false")
        if self.latents is not None and training.augmentation:
            raise ValueError("training.flips and training.shifts are for pixels; [latents] have none")
        return self

    @property
    def recipe(self) -> dict[str, Any]:
        """All but the sizes and seeds, and what changes no number: what the law of a study is a law of."""
        return self.model_dump(mode="json", exclude={"n_train": True, "seeds": True, "monitor": {"block"}})

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes P of the training set, once they are chosen.

        Raises:
            ConfigError: they are still to be chosen from the data.
        """
        if isinstance(self.n_train, str):
            raise ConfigError("n_train is 'auto': choose the sizes from the data, by taumem.lab.sized(experiment).")
        return self.n_train

    def steps(self, n_train: int) -> int:
        """Optimizer steps of a run with P training examples."""
        return steps_at_most(self.training.min_steps, self.training.steps_per_example, n_train)

    def schedule(self, n_train: int) -> RateSchedule:
        """The learning rate over a run with P training examples.

        Raises:
            ConfigError: the warm-up is as long as the run, after which the rate is to decay.
        """
        return RateSchedule(self.training.schedule, self.training.warmup, self.steps(n_train))

    def batch_size(self, n_train: int) -> int:
        """Training examples per step, for P training examples.

        Raises:
            ConfigError: it is still to be chosen.
        """
        if self.training.batch_size == "auto":
            raise ConfigError("training.batch_size is 'auto': choose it by taumem.lab.sized(experiment).")
        return n_train if self.training.batch_size == "P" else self.training.batch_size
