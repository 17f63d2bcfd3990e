"""Goes with a training: looks when it is due, judges, and acts on what is seen. Training goes on whatever happens."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from taumem.analysis.stopping import Reason, StoppingRule, Verdict, best_until
from taumem.errors import ConfigError, DataError, RecordError, TaumemWarning
from taumem.monitor.arguments import OnOnset, due_steps, whole_step
from taumem.monitor.kept_checkpoints import KeptCheckpoints
from taumem.monitor.observer import Observer
from taumem.monitor.schedule import Plan, Schedule
from taumem.monitor.sinks import numbers_of, tell
from taumem.monitor.weights import unwrapped
from taumem.processes import is_first, n_processes, together, told_by_first

__all__ = ["Watchman"]

NEVER = math.inf
VERSION = 1
"""Of the state."""


class Watchman:
    """What a guard does.

    Args:
        observer: asks the model.
        schedule: says when.
        rule: judges.
        stop_step: the step at which a forecast says stop; None without one.
        on_onset: what to do once the rule says stop.
        batch_size: training examples per optimizer step; 0 if unknown.
        sinks: told the numbers of each look.
        folder: where weights are kept with ``on_onset`` "checkpoint".
        strict: whether to raise what goes wrong.

    Attributes:
        last: the step of the last visit.
        wake: the next step that may need one; between the two nothing is to be done.
        checkpoints: those that a trainer told of.
    """

    def __init__(
        self,
        observer: Observer,
        schedule: Schedule,
        rule: StoppingRule,
        *,
        stop_step: float | None,
        on_onset: OnOnset,
        batch_size: int,
        sinks: Sequence[object],
        folder: Path | None,
        strict: bool,
    ) -> None:
        self.observer, self.schedule, self.rule = observer, schedule, rule
        self.stop_step, self.on_onset, self.batch_size, self.strict = stop_step, on_onset, batch_size, strict
        self.checkpoints = KeptCheckpoints()
        self.last = -1
        self.wake: float = 0
        self.onset: Verdict | None = None
        self._judged = rule.judge(observer.record, 0)
        self._due = due_steps(rule)
        self._sinks, self._folder = tuple(sinks), folder
        self._notes: list[str] = []
        self._why_off = ""

    # --- called -----------------------------------------------------------------------------------------------------

    def visit(self, model: Any, step: int) -> bool:
        """Look if a look is due, and judge; say whether to stop."""
        return self._attempt(model, step, self._visit)

    def look(self, model: Any, step: int) -> None:
        """Look now, and judge."""
        self._attempt(model, step, self._look_now)

    def keeps(self, step: int) -> bool:
        """Whether the checkpoint of a step is to be left."""
        record, verdict = self.observer.record, self.onset or self._judged
        might = (verdict, *(replace(verdict, keep=keep, reason=Reason.COPIES) for keep in self._wanted() if keep))
        best = [self.checkpoints.best(one, record) for one in might]
        return any(one is not None and one.step == step for one in best)

    @property
    def verdict(self) -> Verdict:
        """The first verdict to stop; before there is one, the latest."""
        judged = self.onset or self._judged
        looked = self.schedule.looked
        step = max(self.last, looked)
        examples = step * self.batch_size if self.batch_size else None
        return replace(
            judged,
            step=step,
            examples=examples,
            passes=None if examples is None else examples / self.observer.record.header.data.n_train,
            checkpoint=self.checkpoints.best(judged, self.observer.record),
            not_checked=(*judged.not_checked, *self._unchecked()),
            not_watched=self._why_off or ("" if self.last > 0 or looked else "The guard was not called yet."),
        )

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the record, of plain types."""
        return {
            "version": VERSION,
            "step": max(self.last, 0),
            "schedule": self.schedule.state(),
            "checkpoints": self.checkpoints.state(),
            "onset": None if self.onset is None else self.onset.to_json(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from where a run was interrupted.

        Raises:
            ConfigError: it is not the state of a guard.
        """
        try:
            version, last = int(state["version"]), int(state["step"])
            if version != VERSION:
                raise ConfigError(f"the state of a guard of version {version}; this taumem reads version {VERSION}.")
            onset = None if state["onset"] is None else Verdict.of_json(state["onset"])
            checkpoints = KeptCheckpoints()
            checkpoints.load(state["checkpoints"])
            self.schedule.load(state["schedule"])
        except ConfigError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not the state of a guard ({type(error).__name__}: {error}).") from None
        self.checkpoints = checkpoints
        self.last, self.wake = last, 0
        self._rejudge(last)
        self.onset = self.onset or onset
        looks = [look for look in self.observer.record.steps if look <= self.schedule.looked]
        if is_first() and self.schedule.looked and not looks:
            told = (
                f"training goes on from step {last:,}, and the guard's record has no look before it: what was seen is "
                "lost, and a gap that is open by now is taken for the beginning. Give the guard the folder that it had."
            )
            self._notes.append(told[0].upper() + told[1:])
            warnings.warn(told, TaumemWarning, stacklevel=4)

    def close(self) -> None:
        """Look no more."""
        self.last, self.wake = max(self.last, 0), NEVER
        self.observer.close()

    # --- done -------------------------------------------------------------------------------------------------------

    def _attempt(self, model: Any, step: int, how: Callable[[Any, int], bool]) -> bool:
        """Do it, so that training goes on whatever happens."""
        if self._why_off or self.wake == NEVER:
            return False
        try:
            return how(unwrapped(model), whole_step(step))
        except Exception as error:
            if self.strict:
                raise
            self.wake = NEVER
            self._why_off = f"The guard is off since step {step}: {error}"
            warnings.warn(
                f"the guard is off from step {step} on, and training goes on without it: {error}",
                TaumemWarning,
                stacklevel=4,
            )
            return False

    def _visit(self, model: Any, step: int) -> bool:
        self._begin(model, step, self.last)
        if step != self.last:
            plan: Plan = told_by_first(self.schedule.plan(step) if is_first() else None)
            if plan.look:
                self._look(model, step, samples=plan.samples)
            else:
                self._judge(step)
                self._keep_weights(model, step)
            self._sleep(step, plan.again)
        return self._says_stop

    def _look_now(self, model: Any, step: int) -> bool:
        self._begin(model, step, self.schedule.looked)
        self._look(model, step, samples=self.schedule.sample_cadence is not None)
        self._sleep(step, step + 1)
        return self._says_stop

    def _begin(self, model: Any, step: int, last: int) -> None:
        if not is_first() and n_processes() == 1:
            raise ConfigError(
                "RANK or LOCAL_RANK says that this is one of several processes, and they do not know of one another: "
                "call torch.distributed.init_process_group before the first step, or unset it."
            )
        if self.observer.meet():
            self._rejudge(max(self.last, 0))
        if step < last:
            self._go_back(step)
        with self.schedule.budget.spending():
            self.observer.begin(model)
        self.schedule.budget.begin(step)

    def _sleep(self, step: int, until: int) -> None:
        """Note a visit, and when the next one is needed."""
        coming = [due for due in self._due if due > step]
        self.last, self.wake = step, 0 if self._says_stop else min([until, *coming])

    def _look(self, model: Any, step: int, *, samples: bool) -> None:
        try:
            with self.schedule.budget.spending(*self.schedule.kinds(samples=samples)):
                told = self.observer.look(model, step, step * self.batch_size, samples=samples)
                self.schedule.done(step, samples=samples)
                self._judge(step)
                self._keep_weights(model, step)
                if self._sinks and is_first():
                    numbers = numbers_of(told, self.verdict, self.stop_step)
                    self._notes += tell(self._sinks, numbers, step, strict=self.strict)
        except (RecordError, DataError) as error:  # training has diverged, or the disk is full: the next may be better
            if self.strict:
                raise
            self.schedule.done(step, samples=samples)
            self._notes.append(f"The look at step {step}: {error}")
            warnings.warn(f"the look at step {step} is lost: {error}", TaumemWarning, stacklevel=6)

    def _judge(self, step: int) -> None:
        self._judged = self.rule.judge(self.observer.record, step)
        if self.onset is None and self._judged.stop:
            self.onset = self._judged
            if self.on_onset != "stop":
                then = "on_onset='stop' would stop here; training goes on." if self.on_onset == "warn" else ""
                keep = "" if self.onset.keep is None else f" Keep the weights of step {self.onset.keep:,}."
                told = f"step {step:,}: {self.onset.message}{keep} {then}".rstrip()
                warnings.warn(told, TaumemWarning, stacklevel=7)

    def _rejudge(self, step: int) -> None:
        """What would have been said up to a step: rules are functions of the record."""
        record = self.observer.record
        looks = [look for look in record.steps if 0 < look <= step]
        looks += [due for due in self._due if due <= step]
        verdicts = [self.rule.judge(record, look) for look in sorted(looks)]
        self.onset = next((verdict for verdict in verdicts if verdict.stop), None)
        self._judged = verdicts[-1] if verdicts else self.rule.judge(record, step)

    def _go_back(self, step: int) -> None:
        last = max(self.last, self.schedule.looked)
        warnings.warn(
            f"step {step} comes after step {last}: training went back. If it goes on from a checkpoint, all is well: "
            "looks that were made are kept. If it is another run, give it a guard and a folder of its own.",
            TaumemWarning,
            stacklevel=6,
        )
        looked = max((look for look in self.observer.record.steps if look < step), default=0)
        self.schedule.back_to(looked)
        self._rejudge(looked)

    def _wanted(self) -> set[int]:
        """Looks whose weights may be those to keep: the verdict's, and the best up to the last samples.

        Should the next samples be copies, those will be kept.
        """
        looks = {(self.onset or self._judged).keep}
        if self.onset is None and self.schedule.sample_cadence is not None:
            looks.add(best_until(self.observer.record, self.schedule.sampled))
        return {look for look in looks if look is not None}

    def _keep_weights(self, model: Any, step: int) -> None:
        """Keep the weights of the looks that may be kept, in place of others."""
        if self.on_onset != "checkpoint" or self._folder is None or step not in (wanted := self._wanted()):
            return
        weights = self.observer.weights(model)
        with together("could not keep weights", RecordError):
            if is_first():
                try:
                    self.checkpoints.keep(self._folder, step, weights, wanted)
                except Exception as error:
                    raise RecordError(f"the weights of step {step} were not kept: {error}") from error

    @property
    def _says_stop(self) -> bool:
        return self.onset is not None and self.on_onset == "stop"

    def _unchecked(self) -> Iterator[str]:
        if self.schedule.sample_cadence is None:
            yield "Copies among samples: no sampler was given."
        if "heldout" not in self.observer.losses.sets:
            yield "The gap to held-out items, and membership: no held-out items were given."
        budget = self.schedule.budget
        if budget.waits and budget.share is not None:
            yield (
                f"Every look of the cadence: some waited, to keep to {budget.share:.1%} of the time (budget); "
                f"{len(self.observer.record.steps)} were made."
            )
        yield from self._notes
