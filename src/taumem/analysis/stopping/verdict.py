"""What a stopping rule is, what it reads, and what it says of a run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from taumem.record import Curve, RunRecord

__all__ = [
    "FEWEST_ITEMS",
    "Checkpoint",
    "Reason",
    "StoppingRule",
    "Verdict",
    "best_until",
    "curve_until",
    "going_on",
]

FEWEST_ITEMS = 8
"""Items of a set, below which their scatter says too little of their noise (docs/stopping.md)."""


class Reason(StrEnum):
    """Why to stop."""

    NO_ONSET = "no_onset"
    LOSS_TURNED = "loss_turned"
    GAP_OPENED = "gap_opened"
    COPIES = "copies"
    MEMBERS = "members"
    FORECAST = "forecast"
    LOCATED = "located"
    LIMIT = "limit"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that exists.

    Attributes:
        step: whose weights it holds.
        path: where it is; empty where that is not known.
    """

    step: int
    path: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a rule says of a run.

    Attributes:
        stop: whether to stop.
        rule: the rule, in a sentence.
        since: the step from which on the rule holds: the onset; None where it is to go on.
        keep: the look whose weights to keep; None where the rule knows none that is better than the last.
        reason: why to stop.
        message: what was seen, in a sentence; empty where nothing was.
        interval: of the onset, in steps: from the last look without it to the first one with it; of a minimum its 90 %
            interval.
        power: where nothing was seen, what would have been, 19 times out of 20.
        not_checked: what was not checked and why, a sentence each.
        step: the last one that was judged.
        examples: training examples seen by then; None where the batch size is not known.
        passes: over the training set by then; likewise.
        checkpoint: of those that exist, the one to keep.
        not_watched: why nothing is judged (any more); empty where all is well.
    """

    stop: bool
    rule: str
    since: int | None = None
    keep: int | None = None
    reason: Reason = Reason.NO_ONSET
    message: str = ""
    interval: tuple[int, int] | None = None
    power: str = ""
    not_checked: tuple[str, ...] = ()
    step: int = 0
    examples: int | None = None
    passes: float | None = None
    checkpoint: Checkpoint | None = None
    not_watched: str = ""

    def __str__(self) -> str:
        goes_on = f"Go on: no onset up to step {self.step:,}. {self.power}"
        lines = [f"Stop. {self.message}" if self.stop else self.not_watched or goes_on]
        if self.stop and self.not_watched:
            lines.append(self.not_watched)
        if self.stop and self.since is not None:
            between = "" if self.interval is None else f", between steps {self.interval[0]:,} and {self.interval[1]:,}"
            lines.append(f"Since step {self.since:,}{between}.")
        if self.keep is not None:
            exists = "" if self.checkpoint is None else f"; of those that exist: {self._existing}"
            if self.stop and self.since is not None and self.keep > self.since:
                exists = f" (the held-out loss was lowest there){exists}"
            lines.append(f"{'Keep the' if self.stop else 'Best so far: the'} weights of step {self.keep:,}{exists}.")
        if self.examples is not None and self.passes is not None:
            lines.append(f"Step {self.step:,}: {self.examples:,} examples, {self.passes:,.1f} passes.")
        lines += [f"Rule: {self.rule}"]
        lines += [f"Not checked: {why[0].lower()}{why[1:]}" for why in self.not_checked]
        return "\n".join(line.rstrip() for line in lines)

    @property
    def _existing(self) -> str:
        assert self.checkpoint is not None
        path = f" ({self.checkpoint.path})" if self.checkpoint.path else ""
        return f"that of step {self.checkpoint.step:,}{path}"

    def beside(self, others: tuple["Verdict", ...]) -> "Verdict":
        """This verdict, with what others could not check, and could have seen."""
        together = (self, *others)
        return replace(
            self,
            rule=" Or: ".join(dict.fromkeys(verdict.rule for verdict in together)),
            power=" ".join(dict.fromkeys(verdict.power for verdict in together if verdict.power)),
            not_checked=tuple(dict.fromkeys(why for verdict in together for why in verdict.not_checked)),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        return asdict(self) | {"reason": str(self.reason)}

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> "Verdict":
        """A verdict from what :meth:`to_json` gave; without a checkpoint, which may be gone."""
        pairs = {name: tuple(facts[name]) for name in ("interval", "not_checked") if facts[name] is not None}
        return cls(**{**facts, **pairs, "reason": Reason(facts["reason"]), "checkpoint": None})


class StoppingRule(Protocol):
    """A pure function of what a record holds up to a step."""

    @property
    def name(self) -> str:
        """By which a user asks for it."""
        ...

    def judge(self, record: RunRecord, step: int | None = None) -> Verdict:
        """Judge what was recorded up to a step; all of it if None."""
        ...


def going_on(record: RunRecord, step: int | None, rule: str) -> Verdict:
    """The verdict of a rule that sees nothing, from which the others differ: go on, and the best look is the lowest."""
    at = record.last_step if step is None else int(step)
    return Verdict(False, rule, keep=best_until(record, at), step=at)


def curve_until(record: RunRecord, quantity: str, step: float | None) -> Curve | None:
    """A quantity at the looks up to a step, all of them if None; None where it was not measured by then."""
    curve = record.curve_or_none(quantity)
    if curve is None or step is None:
        return curve
    return curve.at_steps(curve.steps[curve.steps <= step]) if (curve.steps <= step).any() else None


def best_until(record: RunRecord, step: float) -> int | None:
    """The look with the lowest held-out loss up to a step; without one the last look; None before the first."""
    looks = [look for look in record.steps if 0 < look <= step]
    curve = record.curve_or_none("heldout_loss")
    if curve is not None and (counted := (curve.steps > 0) & (curve.steps <= step)).any():
        return int(curve.steps[counted][np.argmin(curve.values[counted])])
    return looks[-1] if looks else None
