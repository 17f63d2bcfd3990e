"""Which checkpoint of a finished run to keep: by each policy one, why, and what the next one has come to.

A policy is a stopping rule, asked as a guard would have asked it, look by look. Which of the checkpoints has the lowest
held-out loss is a question about these very weights: their jitter does not count, only the draw of items and of noise
does, which they share. So it has an answer from two checkpoints on, long before a rule knows its noise.

Reference: Hsu 1984, Ann. Stat. 12, 1136 (comparisons with the best).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtrit

from taumem.analysis.course import FEWEST_LOOKS
from taumem.analysis.stopping import RULES, Checkpoint, Reason, StoppingRule, Verdict
from taumem.analysis.wording import percent, plural
from taumem.record import Curve, RunRecord

__all__ = ["CONFIDENCE", "Choice", "as_good_as_best", "choices_of", "replayed", "what_they_tell"]

CONFIDENCE = 0.95
"""Of all comparisons with the best together, and of each change from one checkpoint to the next."""

FEW = 6
"""Steps that a sentence lists."""

CheckpointOf = Callable[[Verdict], Checkpoint | None]
"""From a verdict to the checkpoint that exists and comes next to what it would keep."""


@dataclass(frozen=True)
class Choice:
    """What a policy says of a finished run.

    Attributes:
        policy: the name of its rule.
        verdict: of the rule, with the checkpoint to keep among those that exist; without one, none is worth keeping,
            or the rule could not be asked.
        reason: why this one, or why none.
        beyond: what the next checkpoint has come to; empty where there is none.
    """

    policy: str
    verdict: Verdict
    reason: str
    beyond: str = ""

    @property
    def keep(self) -> int | None:
        """The step of the checkpoint to keep."""
        return None if self.verdict.checkpoint is None else self.verdict.checkpoint.step

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        found = self.verdict.checkpoint
        return {
            "policy": self.policy,
            "keep": self.keep,
            "path": found.path if found else None,
            "stop": self.verdict.stop,
            "since": self.verdict.since,
            "interval": self.verdict.interval,
            "reason": self.reason,
            "beyond": self.beyond,
            "not_checked": list(self.verdict.not_checked),
        }


def replayed(rule: StoppingRule, record: RunRecord) -> Verdict:
    """What a guard with this rule says after the run: its first verdict to stop, or the last one."""
    verdicts = [rule.judge(record, look) for look in record.steps if look > 0] or [rule.judge(record, 0)]
    return next((verdict for verdict in verdicts if verdict.stop), verdicts[-1])


def choices_of(record: RunRecord, checkpoint_of: CheckpointOf, rule: StoppingRule) -> tuple[Choice, ...]:
    """What the rule that decides says of a finished run, and then each policy.

    Args:
        record: of all its checkpoints.
        checkpoint_of: finds those that exist.
        rule: that decides.
    """
    return tuple(_choice(one, record, checkpoint_of) for one in (rule, *RULES.values()))


def _choice(rule: StoppingRule, record: RunRecord, checkpoint_of: CheckpointOf) -> Choice:
    # A guard cannot know that the loss will fall below its minimum once more; of a finished run it is known.
    verdict = rule.judge(record) if rule.name == RULES["quality"].name else replayed(rule, record)
    if verdict.not_checked and not verdict.stop and not verdict.power:
        return Choice(rule.name, verdict, " ".join(verdict.not_checked))
    found = checkpoint_of(verdict)
    verdict = replace(verdict, checkpoint=found)
    if found is None:
        return Choice(rule.name, verdict, f"{verdict.message} That is so of the first checkpoint: none is before it.")
    if not verdict.stop and "balanced" in rule.name and (first := _first_as_good(record, checkpoint_of, verdict)):
        verdict = replace(verdict, checkpoint=first)
        return Choice(rule.name, verdict, _why_first(record, first.step), _beyond(record, first.step))
    return Choice(rule.name, verdict, " ".join(_reasons(verdict, found, record)), _beyond(record, found.step))


def _first_as_good(record: RunRecord, checkpoint_of: CheckpointOf, verdict: Verdict) -> Checkpoint | None:
    """Of so few checkpoints that no gap can be seen to open, the first that exists of those as good as the best."""
    curve = record.curve_or_none("heldout_loss")
    if curve is None or (curve.steps > 0).sum() >= FEWEST_LOOKS:
        return None
    for step in as_good_as_best(curve):
        found = checkpoint_of(replace(verdict, keep=step, reason=Reason.GAP_OPENED))
        if found is not None and found.step == step > 0:
            return found
    return None


def _why_first(record: RunRecord, step: int) -> str:
    """Why the first of those as good as the best."""
    loss, gap = record.curve("heldout_loss"), record.curve_or_none("gap")
    best = int(loss.steps[np.argmin(loss.values)])
    if step == best and step == loss.steps[0]:
        return "Its held-out loss is the lowest, and it is the first one: an earlier one might be better."
    if step == best:
        return "Its held-out loss is the lowest, and that of every one before is higher for certain."
    pair = None if gap is None else gap.at_steps(np.array([step, best]))
    gaps = f", and its gap is {percent(pair.values[0])} in place of {percent(pair.values[1])}" if pair else ""
    return f"It is the first whose held-out loss cannot be told from the lowest, that of step {best:,}{gaps}."


def _reasons(verdict: Verdict, found: Checkpoint, record: RunRecord) -> Iterator[str]:
    steps = [step for step in record.steps if step > 0]
    if verdict.stop:
        yield verdict.message
    if verdict.reason is Reason.LOSS_TURNED:
        pass
    elif verdict.stop and verdict.interval is not None:
        before, since = verdict.interval
        when = f"between steps {before:,} and {since:,}" if before else f"by step {since:,}, the first"
        until = (
            f"up to step {verdict.step:,}, when that was certain" if verdict.reason is Reason.GAP_OPENED else "before"
        )
        yield f"It began {when}; of those {until}, this one has the lowest held-out loss."
    else:
        yield "Its held-out loss is the lowest."
        if len(steps) > 1 and found.step in (steps[0], steps[-1]):
            which = ("first", "an earlier") if found.step == steps[0] else ("last", "a later")
            yield "It is the {} one: {} one might be better.".format(*which)
    if _base_is_better(record, found.step):
        yield "But that of step 0, before training, is lower still."
    if verdict.keep is not None and found.step != verdict.keep:
        yield f"(Step {verdict.keep:,} would be better, and no checkpoint of it is there any more.)"
    if not verdict.stop:
        yield verdict.power


def _base_is_better(record: RunRecord, step: int) -> bool:
    loss = record.curve_or_none("heldout_loss")
    pair = None if loss is None else loss.at_steps(np.array([0, step]))
    return pair is not None and len(pair) == 2 and bool(pair.values[0] < pair.values[1])


def _beyond(record: RunRecord, step: int) -> str:
    later = [look for look in record.steps if look > step]
    if not later:
        return ""
    told = [*_changes(record, step, later[0])]
    return f"The next one, step {later[0]:,}: {', '.join(told)}." if told else ""


def _changes(record: RunRecord, step: int, later: int) -> Iterator[str]:
    both = np.array([step, later])
    loss = record.curve_or_none("heldout_loss")
    if loss is not None and len(pair := loss.at_steps(both)) == 2 and pair.values[0] > 0:
        yield f"held-out loss {_relative_change(pair)}"
    for name, words in (("gap", "gap"), ("copy_fraction", "copies"), ("membership_auc", "membership AUC")):
        curve = record.curve_or_none(name)
        if curve is not None and len(pair := curve.at_steps(both)) == 2:
            show = (lambda value: f"{value:.2f}") if name == "membership_auc" else percent
            yield f"{words} {show(float(pair.values[0]))} → {show(float(pair.values[1]))}"


def _relative_change(pair: Curve) -> str:
    change = float(pair.values[1] / pair.values[0]) - 1
    if pair.items is None or (n := pair.items.shape[1]) < 2:
        return f"{change:+.1%}"
    error = float((pair.items[1] - pair.items[0]).std(ddof=1)) / n**0.5 / float(pair.values[0])
    return f"{change:+.1%} ± {error * float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)):.1%}"


def as_good_as_best(curve: Curve, confidence: float = CONFIDENCE) -> tuple[int, ...]:
    """The looks that cannot be told from the best: with this confidence the truly best one is among them.

    Each look is held against the one with the lowest mean by a paired t test over items, one-sided, at
    (1 - confidence) / (looks - 1). The truly best look is left out only if one of these tests errs on it.

    Args:
        curve: of a loss; without the loss of each item, or of one item alone, none can be told from another.
        confidence: in (0, 1).
    """
    if curve.items is None or curve.items.shape[1] < 2 or len(curve) < 2:
        return tuple(map(int, curve.steps))
    n = curve.items.shape[1]
    above = curve.items - curve.items[int(np.argmin(curve.values))]
    error = above.std(axis=1, ddof=1) / n**0.5
    limit = float(stdtrit(n - 1, 1 - (1 - confidence) / (len(curve) - 1)))
    return tuple(map(int, curve.steps[above.mean(axis=1) <= limit * error]))


def what_they_tell(record: RunRecord) -> str:
    """What so many checkpoints can tell about their held-out loss, in a few sentences; empty where there is none."""
    curve = record.curve_or_none("heldout_loss")
    return "" if curve is None or len(curve) < 2 else " ".join(_told(record, curve))


def _told(record: RunRecord, curve: Curve) -> Iterator[str]:
    best, certain = int(curve.steps[np.argmin(curve.values)]), percent(CONFIDENCE)
    good = as_good_as_best(curve)
    others = [step for step in good if step != best]
    items = plural(int(curve.counts.min()), "held-out item")
    if not others:
        yield f"Step {best:,} has the lowest held-out loss, for certain ({certain})."
    elif len(good) == len(curve):
        yield f"Step {best:,} has the lowest held-out loss, but {items} cannot tell any of the {len(curve)} from it."
    else:
        which = f"steps {', '.join(f'{step:,}' for step in others)}"
        if len(others) > FEW:
            which = f"{len(others)} others of the {len(curve)}, from step {min(good):,} to {max(good):,}"
        yield f"Step {best:,} has the lowest held-out loss; {items} cannot tell it from {which} ({certain})."
    if others and (earliest := min(others)) < best:
        yield f"Of these step {earliest:,} comes first: where copies matter more than the last bit of quality, keep it."
    if (looks := int((curve.steps > 0).sum())) < FEWEST_LOOKS:
        yield (
            "Whether the held-out loss has turned, or a gap opened since the first look, cannot be told from noise by "
            f"{plural(looks, 'checkpoint')}: that takes {FEWEST_LOOKS}, better 20 (save more often)."
        )
