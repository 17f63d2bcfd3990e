"""How the run that is forecast differs from its pilots, and what is known of what that does."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from taumem.analysis.design import WHOLE, BatchSize
from taumem.analysis.settings import flat
from taumem.errors import ConfigError
from taumem.record import RunHeader, take_whole_sets
from taumem.record.header import LENGTH, WAYS

__all__ = ["KNOWN", "Difference", "Known", "batch_size_of", "differences_of", "recipe_of"]

SECTIONS = ("data", "diffusion", "model", "pretraining", "latents", "training")
ZERO_IS_NONE = ("ema_window", "clip")
"""Settings of which 0 says, as None does, that there is none."""
RENAMED = {"training.schedule": "lr_schedule"}
"""What is called otherwise among settings without their sections."""


@dataclass(frozen=True)
class Known:
    """A thing in which two trainings may differ, and what is known of what it does to onsets.

    Attributes:
        name: in words.
        keys: what settings call it: the end of a key (``learning_rate``), or the section that it is (``model``).
        effect: a clause.
        source: a page of the documentation, or a paper; empty where nothing is known.
    """

    name: str
    keys: tuple[str, ...]
    effect: str = "nothing is known of its effect"
    source: str = ""


BATCH = Known(
    "batch size",
    ("batch_size",),
    "steps fall about as B^-0.5 to B^-0.9 with Adam, so that neither steps nor examples nor passes stay",
    "docs/unit.md",
)
KNOWN = (
    Known(
        "pretrained network",
        ("pretraining", "pretrained", "base_model", "pretrained_model_name_or_path"),
        "fine-tuning memorizes sooner than training from fresh weights, at few items several times, with a larger "
        "exponent",
        "docs/finetuning.md",
    ),
    Known(
        "adapters",
        ("lora_rank", "rank", "lora_alpha"),
        "LoRA memorizes later than all weights do, 2 to 4 times at rank 4, the more so the larger P",
        "docs/finetuning.md",
    ),
    Known("latents", ("latents", "autoencoder", "vae")),
    BATCH,
    Known(
        "learning rate",
        ("learning_rate", "lr"),
        "a higher one is earlier, the less so the larger P: with three times the rate, tau_val on text came at half "
        "the step at P = 16, and at the same at 256",
        "docs/text.md",
    ),
    Known(
        "schedule of the rate",
        ("warmup", "lr_schedule", "lr_scheduler"),
        "a rate that decays slows every clock down, and the forecast is one at the pilots' schedule",
        "docs/clocks.md",
    ),
    Known(
        "optimizer",
        ("optimizer", "momentum"),
        "both SGD and Adam follow the law, and Adam takes far fewer steps",
        "arXiv 2505.17638",
    ),
    Known("dropout", ("dropout",)),
    Known(
        "weight decay",
        ("weight_decay",),
        "a strong one slows every clock down, the more the larger P (1 on a grammar: by factors of 2 to 3), and may "
        "keep copies away",
        "docs/transfer.md",
    ),
    Known(
        "target of the loss",
        ("weighting", "target", "prediction_type"),
        "models of eps, v and x0 memorize at different times at the same quality, and a forecast holds for one of them",
        "OpenReview kzzlQzXldR",
    ),
    Known(
        "averaged weights",
        ("weights", "ema_window", "ema", "ema_decay"),
        "raw and averaged weights are different clocks; an average over a fixed share of training moves all by one "
        "factor",
        "docs/clocks.md",
    ),
    Known(
        "augmentation",
        ("augmentation", "augmentations", "augment", "flips", "shifts"),
        "mirrored images acted as 1.4 times as many examples on one small network, and shifts as more still",
        "docs/transfer.md",
    ),
    Known(
        "distribution of t",
        ("diffusion.schedule", "diffusion.exponent", "t_min", "t_distribution", "timestep_sampling", "noise_schedule"),
        "which noise levels are trained on moves memorization; how far it moves an onset is not known",
        "arXiv 2601.21348",
    ),
    Known(
        "near-duplicates",
        ("near_duplicates", "duplicates", "deduplication", "deduplicated"),
        "what is there many times is copied more; the law's P counts different items",
        "arXiv 2301.13188",
    ),
    Known(
        "network",
        ("model", "network", "architecture", "width", "depth", "channels", "n_parameters"),
        "tau_mem goes as 1 / W in the width W with SGD, and about as W^-0.8 with AdamW on a grammar; of other changes "
        "nothing is known",
        "arXiv 2505.17638, docs/transfer.md",
    ),
    Known("diffusion process", ("diffusion",)),
    Known(
        "data set",
        ("data", "dataset"),
        "each data set has a constant and an exponent of its own",
        "docs/law.md",
    ),
)
"""What is known, by what it is known of; the first whose key fits a setting speaks for it."""


@dataclass(frozen=True)
class Difference:
    """One thing in which the run that is forecast differs from its pilots.

    Attributes:
        name: of the thing.
        pilots: how it is in the pilots; None where their records do not say.
        target: how it is in the run.
        effect: what is known of it, a clause.
        source: of that; empty where nothing is known.
        is_carried: whether the forecast takes it into account.
    """

    name: str
    pilots: str | None
    target: str
    effect: str
    source: str
    is_carried: bool = False

    def __str__(self) -> str:
        source = f" ({self.source})" if self.source else ""
        return f"{self.name} {self.pilots or 'unsaid'} in the pilots, {self.target} in the run: {self.effect}{source}."

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        return {name: getattr(self, name) for name in ("name", "pilots", "target", "effect", "source", "is_carried")}


def batch_size_of(target: RunHeader | Mapping[str, Any]) -> Any:
    """What a description of a run says of its batch size; None where it does not."""
    return _settings(_described(target)).get("batch_size")


def differences_of(
    pilots: Sequence[RunHeader],
    target: RunHeader | Mapping[str, Any],
    n_train: int,
    *,
    batch_size: BatchSize = None,
    carried: str = "",
) -> tuple[Difference, ...]:
    """Name what differs between pilots and the run that is forecast.

    Settings that only the pilots name are taken to be the same in the run; those that are off (None, false, 0) in one
    and unsaid in the other are, too.

    Args:
        pilots: their headers.
        target: the run's header, or its settings: nested, as an experiment has them, or by keys alone.
        n_train: number of training examples of the run.
        batch_size: of the run; None for what the target says.
        carried: how the forecast was brought from the pilots' batch size to this one, a clause; empty where it was not.

    Returns:
        What differs first, then what the pilots' records do not say; each in the order of ``KNOWN``, unknown things
        last.

    Raises:
        ConfigError: the target is neither, or a setting's name is nearly that of one that is known.
    """
    target = _described(target)
    whole = take_whole_sets([header.key for header in pilots])
    theirs = [_settings(header) | ({"batch_size": WHOLE} if whole else {}) for header in pilots]
    own = {_whole_key(key, theirs): value for key, value in _settings(target).items()}
    if batch_size is not None:
        own["batch_size"] = batch_size
    if whole and own.get("batch_size") == n_train:
        own["batch_size"] = WHOLE
    _refuse_misspelt(own, theirs)
    groups: dict[Known, dict[str, Any]] = {}
    for key, value in own.items():
        groups.setdefault(_known(key), {})[key] = value
    ordered = sorted(groups, key=lambda known: KNOWN.index(known) if known in KNOWN else len(KNOWN))
    found = [difference for known in ordered for difference in _compared(known, groups[known], theirs)]
    if carried:
        found = [replace(d, effect=carried, is_carried=True) if d.name == BATCH.name else d for d in found]
    return tuple(sorted(found, key=lambda difference: difference.pilots is None))


def _described(target: object) -> RunHeader | Mapping[str, Any]:
    if not isinstance(target, RunHeader | Mapping):
        raise ConfigError(
            "the run that is forecast is described by its header, or by a mapping of its settings, such as "
            f"{{'batch_size': 64}}; got {type(target).__name__}."
        )
    return target


def _refuse_misspelt(own: Iterable[str], theirs: Sequence[Mapping[str, Any]]) -> None:
    """A name that nothing is known by, but that is nearly one that is, would pass for a setting without effect."""
    names = {name for known in KNOWN for name in known.keys} | {key for pilot in theirs for key in pilot}
    for key in own:
        if _known(key) not in KNOWN and key not in names and (near := get_close_matches(key, names, n=1, cutoff=0.8)):
            raise ConfigError(f"the run that is forecast: unknown setting '{key}'; did you mean '{near[0]}'?")


def recipe_of(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """What changes the law, of an experiment's sections; how long a run takes and what is measured of it does not."""
    training = {k: v for k, v in experiment.get("training", {}).items() if k not in (*LENGTH, *WAYS)}
    return {key: experiment.get(key) for key in SECTIONS} | {"training": training}


def _compared(known: Known, own: Mapping[str, Any], theirs: Iterable[Mapping[str, Any]]) -> Iterator[Difference]:
    """The difference in one thing, if there is one."""
    seen = {key: list({str(pilot[key]): pilot[key] for pilot in theirs if key in pilot}.values()) for key in own}
    differ = [key for key in own if seen[key] and seen[key] != [own[key]]]
    if differ:
        pilots = ", ".join(f"{_named(key, known)}{' or '.join(map(_word, seen[key]))}" for key in differ)
    elif any(seen.values()) or not any(own.values()):
        return
    else:
        differ, pilots = [key for key in own if own[key]], ""
    target = ", ".join(f"{_named(key, known)}{_word(own[key])}" for key in differ)
    yield Difference(known.name, pilots or None, target, known.effect, known.source)


def _whole_key(key: str, theirs: Iterable[Mapping[str, Any]]) -> str:
    """The pilots' key of a setting that was named without its section, if one only ends in it."""
    ending = {other for pilot in theirs for other in pilot if other.endswith(f".{key}")}
    return ending.pop() if len(ending) == 1 else key


def _known(key: str) -> Known:
    for known in KNOWN:
        if any(f".{key}".endswith(f".{name}") or key.startswith(f"{name}.") for name in known.keys):
            return known
    return Known(key, (key,))


def _named(key: str, known: Known) -> str:
    """The last part of a key, where the name of the thing does not say it already."""
    return "" if f".{key}".endswith(f".{known.keys[0]}") else f"{key.rpartition('.')[2].replace('_', ' ')} "


def _word(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _settings(run: RunHeader | Mapping[str, Any]) -> dict[str, Any]:
    """What changes the law, by keys that name their section, but for those of the training."""
    content = run.experiment if isinstance(run, RunHeader) else run
    has_sections = any(isinstance(content.get(name), Mapping) for name in SECTIONS)
    whole = recipe_of(content) if has_sections else content
    # A diffusion has a schedule, too; a constant rate has none.
    settings = {RENAMED.get(key, key.removeprefix("training.")): value for key, value in flat(whole)}
    settings |= {"lr_schedule": None} if settings.get("lr_schedule") == "constant" else {}
    for name in ("n_train", "data.n_heldout"):
        settings.pop(name, None)
    settings |= {name: None for name in ZERO_IS_NONE if settings.get(name) == 0}
    if isinstance(run, RunHeader) and settings.get("batch_size") == "auto":
        del settings["batch_size"]  # what was chosen is in the header
    if "ema_window" in settings:
        settings.setdefault("weights", "raw" if settings["ema_window"] is None else "ema")
    if isinstance(run, RunHeader):
        facts = {"name": run.data.name, "kind": run.data.kind, "item_shape": list(run.data.item_shape)}
        settings |= {f"data.{name}": value for name, value in facts.items() if value} | {"weights": run.weights}
        if run.batch_size and settings.get("batch_size") != WHOLE:
            settings["batch_size"] = run.batch_size
    return settings
