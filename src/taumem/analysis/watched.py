"""Logs of other trainers, judged: has the held-out loss turned, since when, and which step to keep."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taumem.analysis.clocks.losses import TURNED
from taumem.analysis.stopping.losses import LossTurned
from taumem.analysis.stopping.means import FIDELITY, judge_means
from taumem.analysis.stopping.verdict import Verdict
from taumem.analysis.study import Study
from taumem.analysis.wording import percent
from taumem.errors import ConfigError, option
from taumem.logs import Log

__all__ = ["CLOCK", "Watched", "check_sized", "left_out", "sized", "sizes_of", "study_of", "summary"]

CLOCK = "tau_val_mean"
"""What a log is judged by."""
SIZE = re.compile(r"(?<![A-Za-z0-9])(?:P|n_train|n-train)[=_-]?(\d+)(?![A-Za-z0-9])")
"""How a number of training examples stands in the name of a folder or a file, such as P000064-seed0 or n_train=64."""


@dataclass(frozen=True)
class Watched:
    """A log, and what is to be said of it.

    Attributes:
        log: of one run.
        verdict: on its held-out loss; None where it has none.
        n_train: number of training examples P; None where nobody said.
        confidence: probability of the interval.
        said_by: the part of its path that P was read from; empty where it was given, or nobody said.
    """

    log: Log
    verdict: Verdict | None
    n_train: int | None = None
    confidence: float = 0.9
    said_by: str = ""

    @classmethod
    def of(
        cls, log: Log, n_train: int | None = None, *, confidence: float = 0.9, at_every_look: bool = False
    ) -> "Watched":
        """Judge a log.

        Args:
            log: of one run.
            n_train: number of training examples P, if it is known.
            confidence: probability of the interval, in (0, 1).
            at_every_look: whether it is judged again and again while it grows, which takes more for a turn.
        """
        needed = LossTurned().standard_errors if at_every_look else TURNED
        curve = log.curve
        if curve is None:
            return cls(log, None, n_train, confidence)
        verdict = judge_means(curve, confidence=confidence, standard_errors=needed, unit=log.unit)
        return cls(log, verdict, n_train, confidence)

    @property
    def turned(self) -> bool:
        """Whether the held-out loss has turned."""
        return self.verdict is not None and self.verdict.stop

    @property
    def has_steps(self) -> bool:
        """Whether there is a held-out loss over steps, which laws and records are of."""
        return self.log.heldout is not None and self.log.axis == "steps"

    @property
    def could_tell(self) -> bool:
        """Whether a turn could have been seen at all."""
        return self.verdict is not None and not self.verdict.not_watched

    @property
    def reason(self) -> str:
        """Why there is a verdict, or none, in a few sentences."""
        unit = self.log.unit
        if self.verdict is None:
            return f"No verdict: {self.log.why}"
        if not self.turned:
            what_then = self.verdict.not_watched or self.verdict.power
            return f"The held-out loss has not turned by {unit} {self.verdict.step:,}. {what_then}"
        low, high = self.verdict.interval or (0, 0)
        between = f"It lies between {unit}s {low:,} and {high:,} with a confidence of {percent(self.confidence)}."
        return f"{self.verdict.message} {between}"

    @property
    def facts(self) -> dict[str, Any] | None:
        """The verdict as JSON has it; None where there is none."""
        if not self.turned or self.verdict is None or self.verdict.interval is None:
            return None
        low, high = self.verdict.interval
        keep = self.verdict.keep
        return {
            "clock": CLOCK,
            "step": self.verdict.since,
            "low": low,
            "high": high,
            "keep": keep,
            "unit": self.log.axis,
            "confidence": self.confidence,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        log, curve = self.log, self.log.heldout
        return {
            "log": log.name,
            "format": log.format,
            "heldout": log.heldout_tag or None,
            "train": log.train_tag or None,
            "axis": log.axis,
            "looks": 0 if curve is None else len(curve),
            "last_step": None if curve is None else int(curve.steps[-1]),
            "n_train": self.n_train,
            "n_train_said_by": self.said_by or None,
            "verdict": self.facts,
            "best_so_far": None if self.verdict is None else self.verdict.keep,
            "reason": self.reason,
            "notes": list(log.notes),
            "scalars": dict(log.tags),
        }


def summary(watched: Sequence[Watched]) -> dict[str, Any]:
    """What is said of all logs together, as JSON has it: the verdict is that of the first log that has one."""
    turned = [each for each in watched if each.turned]
    first = turned[0] if turned else watched[0]
    reason = first.reason
    if len(watched) > 1:
        which = f": {', '.join(each.log.name for each in turned)}" if turned else ""
        reason = f"{len(turned)} of {len(watched)} logs have turned{which}. {first.log.name}: {reason}"
    verdict = first.facts if first.facts is None or len(watched) == 1 else first.facts | {"log": first.log.name}
    said = {"verdict": verdict, "reason": reason, "fidelity": FIDELITY, "left_out": left_out(watched)}
    return said | {"logs": [each.to_json() for each in watched]}


def sizes_of(logs: Sequence[Log], given: Sequence[int]) -> list[tuple[int | None, str]]:
    """The number of training examples of each log and the name that says it, which is empty where it was given.

    Where no name says it, it is None.

    Args:
        logs: of some runs.
        given: one for each log, or one for all; empty to read the paths.

    Raises:
        ConfigError: there are other numbers than logs.
    """
    if wrong := [size for size in given if size < 1]:
        raise ConfigError(f"{option('n_train')}: a training set has at least 1 example; got {wrong[0]}.")
    if len(given) == 1:
        given = [*given] * len(logs)
    if given and len(given) != len(logs):
        named = ", ".join(log.name for log in logs)
        raise ConfigError(f"{option('n_train')}: {len(given)} sizes for {len(logs)} logs ({named}); give one for each.")
    return [(size, "") for size in given] if given else [_size_in(log.path / log.run) for log in logs]


def _size_in(path: Path) -> tuple[int | None, str]:
    """The size that the innermost part of a path names, and what it says there."""
    for part in reversed(path.parts):
        if found := SIZE.search(part):
            return int(found[1]) or None, found[0]
    return None, ""


def sized(watched: Sequence[Watched]) -> Iterator[tuple[Log, int, int]]:
    """The logs that a law can be made of, which have a held-out loss over steps and a known size.

    Args:
        watched: some logs.

    Yields:
        A log, its number of training examples, and a number in place of a seed, which those of one size differ in.
    """
    so_far = Counter[int]()
    for each in watched:
        if each.has_steps and each.n_train is not None:
            yield each.log, each.n_train, so_far[each.n_train]
            so_far[each.n_train] += 1


def check_sized(watched: Sequence[Watched], wanted: str) -> None:
    """Refuse logs that nothing over sizes can be made of.

    Args:
        watched: some logs.
        wanted: by which option something is to be made of them.

    Raises:
        ConfigError: none has a held-out loss over steps, or the size of one that has is not known.
    """
    in_steps = [each for each in watched if each.has_steps]
    if not in_steps:
        raise ConfigError(f"{wanted} needs a held-out loss over steps. {left_out(watched) or 'No log has one.'}")
    if unknown := [each.log.name for each in in_steps if each.n_train is None]:
        raise ConfigError(
            f"{wanted} needs the size of each run, and that of {unknown[0]} is not known; give --n-train."
        )


def left_out(watched: Sequence[Watched]) -> str:
    """Which logs no law is made of because they do not count steps, in two sentences; empty where all do."""
    others = [each.log for each in watched if each.log.heldout is not None and not each.has_steps]
    if not others:
        return ""
    named = ", ".join(f"{log.name} (over {log.axis})" for log in others)
    return f"Laws and records count optimizer steps. Left out: {named}; name a column of steps by {option('step')}."


def study_of(watched: Sequence[Watched], *, confidence: float = 0.9) -> Study:
    """The runs of known size as a study; see :func:`sized`.

    Args:
        watched: some logs.
        confidence: probability of every interval.
    """
    return Study.of([log.record(n_train, seed) for log, n_train, seed in sized(watched)], confidence=confidence)
