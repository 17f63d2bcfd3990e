"""The checkpoints in a folder: which of its files and folders are those of one run, in which order, at which steps."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from taumem.errors import ConfigError
from taumem.monitor.checkpoint_files import SUFFIXES
from taumem.monitor.checkpoint_names import CheckpointName, Unit, compiled, is_beside_weights, one_series, read_name

__all__ = ["CheckpointFolder"]

MOST_STEPS = 2**53
DEPTH = 3
"""How many folders below one that holds none are looked into, for the message."""


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one run.

    Attributes:
        series: how they are named, with a star for what differs.
        unit: what their steps are: "step", or what the names count.
        paths: by step, ascending.
        nameless: what else looks like a checkpoint, and why it is none, by name.
    """

    series: str
    unit: Unit
    paths: dict[int, Path]
    nameless: dict[str, str]

    @classmethod
    def read(
        cls,
        folder: Path,
        *,
        pattern: str | None = None,
        only: str | None = None,
        steps_per: float | None = None,
        batch_size: int | None = None,
    ) -> "CheckpointFolder":
        """Find them.

        Args:
            folder: that holds them.
            pattern: of their names, with a group of digits; None for those that are known.
            only: which series of names, where there are several.
            steps_per: optimizer steps for each of what the names count.
            batch_size: training examples per step, if known: by it thousands of images are steps.

        Raises:
            ConfigError: there are none, or those of several runs; or steps that cannot be converted so.
        """
        own = None if pattern is None else compiled(pattern)
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "no such folder"
            raise ConfigError(f"{folder}: {what}; expected the folder that holds the checkpoints of a run.")
        entries = sorted(entry for entry in folder.iterdir() if _may_be_weights(entry))
        names = [found for entry in entries if (found := read_name(entry.name, own))]
        if not names:
            raise ConfigError(f"{folder}: no checkpoints here whose names are understood.{_hint(folder, entries)}")
        chosen = one_series(names, only)
        unit, steps = _steps(chosen, steps_per, batch_size)
        read = {name.name for name in names}
        nameless = [entry.name for entry in entries if entry.name not in read and not entry.is_dir()]
        return cls(
            chosen[0].series,
            unit,
            {step: folder / name.name for step, name in zip(steps, chosen, strict=True)},
            dict.fromkeys(nameless, "no number in its name says when it was saved"),
        )


def _may_be_weights(entry: Path) -> bool:
    return entry.is_dir() or (entry.suffix in SUFFIXES and not is_beside_weights(entry.name))


def _hint(folder: Path, entries: Iterable[Path]) -> str:
    below = next(_below(folder, DEPTH), None)
    if below is not None:
        return f" There are some in {below.parent}."
    files = [entry.name for entry in entries if not entry.is_dir()]
    there = f" It holds {', '.join(files[:3])}{', ...' if len(files) > 3 else ''}." if files else ""
    return f"{there} docs/checkpoints.md lists the names; of others say --pattern 'net_(?P<step>[0-9]+)[.]pt'."


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Checkpoints in the folders of a folder, and in theirs."""
    for part in sorted(part for part in folder.iterdir() if part.is_dir() and not part.name.startswith(".")):
        yield from (entry for entry in part.iterdir() if _may_be_weights(entry) and read_name(entry.name))
        if depth > 1:
            yield from _below(part, depth - 1)


def _steps(names: list[CheckpointName], steps_per: float | None, batch_size: int | None) -> tuple[Unit, list[int]]:
    """What the steps are, and that of each name: converted, if it is known how."""
    unit, numbers = names[0].unit, [name.number for name in names]
    if numbers[-1] * (steps_per or 1) > MOST_STEPS:
        raise ConfigError(f"{names[-1].name}: {unit} {numbers[-1]:,} is beyond all that a record counts.")
    if unit == "step":
        if steps_per is not None:
            raise ConfigError("--steps-per converts epochs, kimg or milestones; the names of these count steps.")
        return unit, numbers
    if steps_per is None and unit == "kimg" and batch_size:
        steps_per = 1000 / batch_size
    if steps_per is None:
        return unit, numbers
    if not 0 < steps_per < math.inf:
        raise ConfigError(f"--steps-per: expected a number above 0; got {steps_per}.")
    steps = [round(number * steps_per) for number in numbers]
    if len(set(steps)) < len(steps):
        raise ConfigError(f"--steps-per {steps_per:g}: several checkpoints come to the same step.")
    return "step", steps
