"""What trainers call their checkpoints: which number stands in a name, what it counts, and which names belong together.

Names alone are read here, never a disk. A series is the names that differ in their numbers alone, written with a star
in place of each: ``checkpoint-*``, ``ema_0.9999_*.pt``. The checkpoints of one run are one series.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Literal, get_args

from taumem.errors import ConfigError

__all__ = ["NAMINGS", "CheckpointName", "Naming", "Unit", "compiled", "is_beside_weights", "one_series", "read_name"]

Unit = Literal["step", "epoch", "kimg", "milestone"]
"""What a number in a name counts; of ``kimg`` thousands of training images, of ``milestone`` saves."""

SUFFIX = r"(?:\.(?:safetensors|ckpt|pth?|bin|pkl))"
SERIES = r"[^/\\]+?"
EPOCH = r"epoch[-_=]?"
METRICS, AGAIN = r"(?:-[^=]+=-?\d+\.?\d*(?:e-?\d+)?)*?", r"(?:-v\d+)?"
"""What Lightning puts behind: metrics, and a number where the name was taken."""
BESIDE = re.compile(
    r"(opt|optim|optimizer|scheduler|scaler|sampler|training[-_](state|args)|random_states|rng_state|dl_state)([-_.\d].*)?"
    r"|.*-state"
)
"""Names of what trainers save beside the weights."""


@dataclass(frozen=True)
class Naming:
    """How some trainers name their checkpoints.

    Attributes:
        trainers: who does.
        template: of a name, as ``str.format`` fills it with ``stem`` and ``step``.
        pattern: of the whole name: ``step`` is the number; what stands in ``any``, ``any2``, ... differs within a run.
        unit: what the number counts.
        first: the number of the first one: 0 where epochs or saves are counted from 0.
    """

    trainers: str
    template: str
    pattern: str
    unit: Unit = "step"
    first: int = 1


NAMINGS = (
    Naming("diffusers, SimpleTuner, Transformers", "checkpoint-{step}", rf"checkpoint-(?P<step>\d+){SUFFIX}?"),
    Naming(
        "kohya, musubi-tuner",
        "{stem}-step{step:08d}.safetensors",
        rf"{SERIES}-step(?P<step>\d{{8,}}){SUFFIX}?",
    ),
    Naming("ai-toolkit", "{stem}_{step:09d}.safetensors", rf"{SERIES}_(?P<step>\d{{9,}}){SUFFIX}?"),
    Naming(
        "OneTrainer",
        "{stem}2026-01-31_12-30-00-save-{step}-3-10.safetensors",
        rf".*?(?P<any>\d{{4}}-\d\d-\d\d_\d\d-\d\d-\d\d)-save-(?P<step>\d+)-(?P<any2>\d+-\d+){SUFFIX}?",
    ),
    Naming("improved-diffusion, guided-diffusion", "model{step:06d}.pt", r"model(?P<step>\d{6,})\.pt"),
    Naming("the same, averaged", "ema_0.9999_{step:06d}.pt", r"ema_[\d.]+_(?P<step>\d{6,})\.pt"),
    Naming("EDM", "network-snapshot-{step:06d}.pkl", r"network-snapshot-(?P<step>\d{6,})\.pkl", "kimg"),
    Naming("EDM2", "network-snapshot-{step:07d}-0.050.pkl", r"network-snapshot-(?P<step>\d{7,})-\d\.\d+\.pkl", "kimg"),
    Naming("denoising-diffusion-pytorch", "model-{step}.pt", r"model-(?P<step>0|[1-9]\d*)\.pt", "milestone"),
    Naming(
        "Lightning",
        "epoch=3-step={step}.ckpt",
        rf"(?:[^=]+[-_.])?(?:epoch=(?P<any>\d+)(?P<any2>{METRICS})-)?step=(?P<step>\d+)(?P<any3>{METRICS}{AGAIN})\.ckpt",
    ),
    Naming(
        "Lightning, without steps",
        "epoch={step}.ckpt",
        rf"(?:[^=]+[-_.])?epoch=(?P<step>\d+)(?P<any>{METRICS}{AGAIN})\.ckpt",
        "epoch",
        first=0,
    ),
    Naming("taumem run", "{step:08d}.safetensors", r"(?P<step>\d{8,})\.safetensors"),
    Naming("taumem.Guard", "weights-{step}.pt", r"weights-(?P<step>\d+)\.pt"),
    Naming("accelerate", "checkpoint_{step}", r"checkpoint_(?P<step>\d+)", "milestone", first=0),
    Naming("kohya, musubi-tuner", "{stem}-{step:06d}.safetensors", rf"{SERIES}-(?P<step>\d{{6}}){SUFFIX}?", "epoch"),
    Naming(
        "whoever says so",
        "{stem}_step_{step}.pt",
        rf"(?:{SERIES}[-_.])??(?:{EPOCH}(?P<any>\d+)[-_.])?"
        rf"steps?[-_=]?(?P<step>\d+)(?:[-_.]{EPOCH}(?P<any2>\d+))?{SUFFIX}?",
    ),
    Naming("whoever says so", "{stem}_epoch_{step}.pt", rf"(?:{SERIES}[-_.])?{EPOCH}(?P<step>\d+){SUFFIX}?", "epoch"),
)
"""In this order: the first that fits a name is taken."""


@dataclass(frozen=True)
class CheckpointName:
    """What a name says.

    Attributes:
        name: of the file or folder.
        number: in it, counted from 0 before training: a first epoch or save is 1, whatever the trainer calls it.
        unit: what it counts.
        series: the name with a star for what differs within a run.
        trainers: who names so.
    """

    name: str
    number: int
    unit: Unit
    series: str
    trainers: str


def read_name(name: str, pattern: re.Pattern[str] | None = None) -> CheckpointName | None:
    """Read the name of a checkpoint; None where it is none that is known.

    Args:
        name: of a file or folder, without those above it.
        pattern: of one's own, as :func:`compiled` gives it; what it finds is one series.

    >>> read_name("my-lora-step00000400.safetensors").number
    400
    >>> read_name("ema_0.9999_010000.pt").series
    'ema_0.9999_*.pt'
    >>> read_name("epoch=2-step=300.ckpt").series, read_name("model-7.pt").unit
    ('epoch=*-step=*.ckpt', 'milestone')
    >>> read_name("optimizer.pt")
    """
    if name.startswith(".") or name.endswith(".tmp"):
        return None
    if pattern is not None:
        found = pattern.search(name)
        unit = _unit_of(pattern)
        if found is None or not (found[unit] or "").isdecimal():
            return None
        return CheckpointName(name, int(found[unit]), unit, pattern.pattern, "--pattern")
    if is_beside_weights(name):
        return None
    for naming in NAMINGS:
        if found := re.fullmatch(naming.pattern, name):
            number = int(found["step"]) + 1 - naming.first
            return CheckpointName(name, number, naming.unit, _series_of(found), naming.trainers)
    return None


def is_beside_weights(name: str) -> bool:
    """Whether a name is of what trainers save beside the weights: optimizers, random states.

    >>> is_beside_weights("optimizer.bin"), is_beside_weights("opt000100.pt"), is_beside_weights("optimum-step_5.pt")
    (True, True, False)
    """
    return BESIDE.fullmatch(name) is not None


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of one's own for names of checkpoints.

    Args:
        pattern: a regular expression with a named group of digits: ``(?P<step>\\d+)``, or epoch, kimg, milestone.

    Raises:
        ConfigError: it is no regular expression, or has no such group or several.
    """
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--pattern {pattern!r} is no regular expression ({error}).") from None
    if len(groups := set(found.groupindex) & set(get_args(Unit))) != 1:
        raise ConfigError(
            f"--pattern {pattern!r} has {' and '.join(sorted(groups)) or 'no number'}; expected one named group of "
            "digits, such as 'net_(?P<step>[0-9]+)[.]pt' (or epoch, kimg, milestone instead of step)."
        )
    return found


def one_series(names: Collection[CheckpointName], only: str | None = None) -> list[CheckpointName]:
    """The names of one run, in the order of their numbers.

    Args:
        names: that were read, at least one.
        only: a series of several, as :attr:`CheckpointName.series` writes it, or a pattern of names with stars.

    Raises:
        ConfigError: they are of several runs and none was chosen, or none is of the one that was; or a number is there
            twice.
    """
    every = sorted(names, key=lambda name: (name.number, name.name))
    chosen = every
    if only is not None:
        chosen = [name for name in every if name.series == only] or [n for n in every if fnmatchcase(n.name, only)]
        if not chosen:
            raise ConfigError(f"--only {only!r}: no checkpoint is called so. There are: {_listed(every)}.")
    if len({name.series for name in chosen}) > 1:
        example = chosen[-1].series
        raise ConfigError(
            f"checkpoints of several models, or of one in several ways: {_listed(chosen)}. Which are of one run? Say "
            f"--only '{example}', or --pattern REGEX with a group (?P<step>[0-9]+)."
        )
    for one, other in pairwise(chosen):
        if one.number == other.number:
            raise ConfigError(
                f"two checkpoints of {one.unit} {one.number:,}: {one.name} and {other.name}. Keep one of them in the "
                "folder, or choose by --only or --pattern."
            )
    return chosen


def _listed(names: Iterable[CheckpointName]) -> str:
    """Series with how many there are of each, and who names so."""
    series: dict[str, list[CheckpointName]] = {}
    for name in names:
        series.setdefault(name.series, []).append(name)
    return "; ".join(
        f"{found[0].name if len(found) == 1 else key} ({len(found)}, by {found[0].unit}: {found[0].trainers})"
        for key, found in sorted(series.items())
    )


def _series_of(found: re.Match[str]) -> str:
    name = found[0]
    spans = (found.span(group) for group, part in found.groupdict().items() if part is not None)
    for start, end in sorted(spans, reverse=True):
        name = f"{name[:start]}*{name[end:]}"
    return re.sub(r"\*+", "*", name)


def _unit_of(pattern: re.Pattern[str]) -> Unit:
    return next(unit for unit in get_args(Unit) if unit in pattern.groupindex)
