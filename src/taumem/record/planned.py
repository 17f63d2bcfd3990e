"""Which runs the studies in a folder are to have, by what they note when they begin (``experiment.json``)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from taumem.record.files import visible
from taumem.record.key import run_name
from taumem.record.sealed import twin_of

__all__ = ["PlannedRun", "find_planned", "steps_at_most"]


@dataclass(frozen=True)
class PlannedRun:
    """A run that a study is to have.

    Attributes:
        path: its folder.
        experiment: the study's name.
        n_train: number of training examples P.
        seed: of the run.
        half: of a pair of twins.
        steps: that it takes at most.
    """

    path: Path
    experiment: str
    n_train: int
    seed: int
    half: str | None
    steps: int


def steps_at_most(min_steps: int, steps_per_example: float, n_train: int) -> int:
    """Optimizer steps of a run with P training examples, by the words of an experiment."""
    return max(min_steps, round(steps_per_example * n_train))


def find_planned(folder: Path) -> list[PlannedRun]:
    """The runs that the studies in a folder, at any depth, are to have; a file that is no experiment's has none."""
    found: list[PlannedRun] = []
    for file in visible(folder, "experiment.json"):
        if twin_of(file.parent) is None:  # else its runs are sealed
            try:
                found += _runs(json.loads(file.read_text(encoding="utf-8")), file.parent)
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                continue
    return found


def _runs(content: dict[str, Any], folder: Path) -> Iterator[PlannedRun]:
    training = content["training"]
    halves = ("a", "b") if content["twins"] else (None,)
    for n_train, seed, half in product(content["n_train"], content["seeds"], halves):
        steps = steps_at_most(training["min_steps"], training["steps_per_example"], n_train)
        yield PlannedRun(folder / run_name(n_train, seed, half), content["name"], n_train, seed, half, steps)
