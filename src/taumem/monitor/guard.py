"""A guard for anybody's training loop: it asks the loss, records, judges, and says when to stop.

::

    guard = taumem.Guard(loss, train=train_items, heldout=heldout_items, folder="runs/mine", on_onset="stop")
    for step, batch in enumerate(loader, start=1):
        ...                                    # the training step, unchanged
        if guard(model, step):
            break
    print(guard.verdict)
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from taumem.analysis import Forecast, Interval, Study
from taumem.analysis.stopping import Verdict
from taumem.data.item_set import Collate, ItemSet
from taumem.errors import ConfigError, RecordError, TaumemWarning
from taumem.monitor.arguments import (
    OnOnset,
    Rule,
    Weights,
    answers_of,
    check_choices,
    checked_times,
    chosen_rule,
    onset_forecast,
    refuse_common,
    versions,
)
from taumem.monitor.asked import apart, facts_of, probe_of_copies
from taumem.monitor.budget import Budget
from taumem.monitor.cadence import LogCadence
from taumem.monitor.kept_checkpoints import KeptCheckpoints
from taumem.monitor.schedule import Plan, Schedule
from taumem.monitor.sinks import Sink, numbers_of, tell
from taumem.monitor.watch import Watch
from taumem.monitor.weights import averaged, state_of, unwrapped
from taumem.probes.isolation import device_of, undisturbed
from taumem.probes.item_losses import AskedItems, AskedLoss, ItemLosses, TwinGap
from taumem.probes.of_the_loop import OptimizerState, OwnMetric
from taumem.probes.probe import Probe, SampleProbe, Sampler
from taumem.probes.processes import is_first, told_by_first
from taumem.record import RunHeader, RunRecord, write_atomically

__all__ = ["Guard"]

NEVER = math.inf


class Guard:
    """Watches a training loop of anybody's for the beginning of memorization.

    Called after every optimizer step, it compares two numbers, and now and then looks: it asks the loss about fixed
    training and held-out items under noise that stays the same, writes down the answers, and judges by its rules. The
    run is bit-identical to one without a guard: modes, buffers, gradients, autocast, random states are put back.

    The training never dies of it: what goes wrong in a look is told in one warning, and the guard is off from then on;
    with ``strict`` it raises. Errors in what is handed over here are raised at once.

    Args:
        loss: ``loss(model, items, generator)``, one loss per item [n]: the loop's own loss, its noise drawn with the
            generator (or from the global random states). With ``times`` it is called with a fourth argument, t [n].
        train: training items: a tensor or array [n, ...], a dict or tuple of these (columns), a list of items, or a
            Dataset.
        heldout: items that the model never trains on, held likewise; None if all are trained on.
        folder: where the record goes; None for a temporary folder.
        rule: by what to judge: "quality", "balanced", "no_copies", "privacy", "forecast", a rule of
            :mod:`taumem.analysis.stopping`, or several of these, of which the first to say stop decides. None takes
            what can be asked: "balanced" with held-out items, "no_copies" with a sampler, "forecast" with a forecast.
        on_onset: what to do once a rule says stop: "warn" says so and returns False; "stop" returns True; "checkpoint"
            goes on, and has kept the weights of the best look in the folder.
        forecast: of the step to stop at: a Study of pilots (see :func:`taumem.pilot`), whose law is asked about this
            many training items; a Forecast or an Interval, in steps.
        batch_size: training examples per optimizer step, of all processes and accumulated batches together; None if
            unknown: the verdict is in steps alone then.
        times: diffusion times in (0, 1) to ask at, lowest noise first; None if the loss draws its own.
        timesteps: into how many whole timesteps the loss divides time: t is then int64, from 0 to timesteps - 1.
        deterministic: whether the loss has no noise, as that of an autoregressive model.
        n_items: items of each set to ask about at a look, at most.
        n_draws: draws of noise for each item; None: as many as give 256 answers per set, or 8 for each example of a
            small batch, so that a look costs what a few steps do.
        block: answers in a batch; None: four times the batch size, or 32 if that is unknown.
        collate: makes a batch of single items of a list or Dataset; None takes torch's ``default_collate``.
        sampler: ``sampler(model, generator)`` -> samples [n, ...], comparable with the items (or with their first
            column); None counts no copies.
        twin: another model and its training items, disjoint from these: the gap between the two is measured too.
        metrics: functions of the model by name, whose numbers are recorded: a reward, a score.
        optimizer: whose learning rate and gradient size are recorded.
        ema: averaged weights: a module, or an object with ``store``, ``copy_to`` and ``restore``.
        weights: which weights to watch: "raw", "ema", or "both" (two records, judged by the average); None: the
            average if there is one.
        restores: objects that the loss writes into, such as meters: their attributes are put back after each look.
        cadence: when to look; None: 4 times while the steps double, from step 8 on.
        sample_cadence: when to draw samples; None: twice while the steps double, from step 64 on.
        budget: largest share of wall time that looks may take: looks that cannot be afforded wait. None for no limit.
        sinks: told the numbers of each look: ``log(dict, step)``, or objects with such a method.
        n_train: number of training examples P, where it is not that of the items: groups, say.
        seed: of the choice of items, of noise and of samples.
        name: of the run.
        strict: raise what goes wrong in a look.

    Raises:
        ConfigError: an argument that cannot be used, or nothing to judge by.
        DataError: items that cannot be used; held-out items that are all training items.
        RecordError: the folder holds another run, or cannot be written to.
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        *,
        train: Any,
        heldout: Any = None,
        folder: Path | str | None = None,
        rule: Rule | Sequence[Rule] | None = None,
        on_onset: OnOnset = "warn",
        forecast: Study | Forecast | Interval | None = None,
        batch_size: int | None = None,
        times: Sequence[float] | None = None,
        timesteps: int | None = None,
        deterministic: bool = False,
        n_items: int = 256,
        n_draws: int | None = None,
        block: int | None = None,
        collate: Collate | None = None,
        sampler: Sampler | None = None,
        twin: tuple[Any, Any] | None = None,
        metrics: Mapping[str, Callable[[Any], Any]] | None = None,
        optimizer: Any = None,
        ema: Any = None,
        weights: Weights | None = None,
        restores: Sequence[object] = (),
        cadence: LogCadence | None = None,
        sample_cadence: LogCadence | None = None,
        budget: float | None = 0.02,
        sinks: Sequence[Sink | object] = (),
        n_train: int | None = None,
        seed: int = 0,
        name: str = "guard",
        strict: bool = False,
    ) -> None:
        check_choices(on_onset, batch_size, weights, ema, folder)
        asked = AskedLoss(loss, checked_times(times, timesteps), timesteps, deterministic, seed)
        items = ItemSet.of(train, "training items", collate=collate)
        held = None if heldout is None else apart(items, ItemSet.of(heldout, "held-out items", collate=collate))

        def chosen(some: ItemSet) -> AskedItems:
            answers = max(answers_of(batch_size) // max(len(asked.times), 1), 1)
            return AskedItems.of(
                some,
                n_items=n_items,
                n_draws=1 if deterministic else n_draws,
                n_answers=answers,
                block=block or 4 * (batch_size or 8),
                seed=seed,
            )

        sets = {"train": chosen(items)} | ({"heldout": chosen(held)} if held else {})
        refuse_common(sets)
        self.losses = ItemLosses(asked, sets)
        shared: list[Probe] = [self.losses]
        if twin is not None:
            shared.append(
                TwinGap(asked, sets["train"], twin[0], chosen(ItemSet.of(twin[1], "twin's items", collate=collate)))
            )
        alone: list[Probe] = [OptimizerState(optimizer)] if optimizer is not None else []
        alone += [OwnMetric(key, measure, seed=seed) for key, measure in (metrics or {}).items()]
        copies: list[SampleProbe] = [probe_of_copies(items, held)] if sampler else []

        digests = sorted({digest for part in sets.values() for digest in part.digests})
        facts = facts_of(name, items, held, digests, sets["train"].few, n_train)
        onset = onset_forecast(forecast, facts.n_train, batch_size)
        self.rule = chosen_rule(rule, held is not None, sampler is not None, onset)
        self.stop_step = None if onset is None else onset.low
        self.on_onset = on_onset
        self.batch_size = batch_size
        self.strict = strict
        self._n_train, self._ema, self._restores, self._sinks = facts.n_train, ema, tuple(restores), tuple(sinks)
        of_samples = (sample_cadence or LogCadence(64, 2)) if sampler else None
        self._schedule = Schedule(cadence or LogCadence(), of_samples, Budget(budget))
        self._checkpoints = KeptCheckpoints()

        home = None if folder is None else Path(folder)
        kinds = ("ema", "raw") if weights == "both" else (weights or ("ema" if ema is not None else "raw"),)
        self._watches: dict[str, Watch] = {}
        for kind in kinds:
            header = RunHeader(
                name=name, data=facts, seed=seed, batch_size=batch_size or 0, steps=0, weights=kind, versions=versions()
            )
            place = home / kind if home and len(kinds) > 1 else home
            self._watches[kind] = Watch(
                header, place, shared=shared, alone=alone, sampler=sampler, sample_probes=copies, seed=seed
            )
        self._folder = home
        self._last = -1  # the step of the last visit
        self._wake: float = 0  # the next step that may need a visit
        self._judged = self.rule.judge(self.record, 0)
        self._onset: Verdict | None = None
        self._notes: list[str] = []
        self._is_off = False

    # --- what a loop calls ------------------------------------------------------------------------------------------

    def __call__(self, model: Any, step: int) -> bool:
        """Look if a look is due; say whether to stop.

        Args:
            model: as it is after the step: a module, or several in a tuple, list or dict; handed on to the loss.
            step: optimizer steps taken, from 1.

        Returns:
            True to stop: a rule says so, and ``on_onset`` is "stop".
        """
        if self._last < step < self._wake:
            return False
        return self._attempt(model, step, self._visit)

    def look(self, model: Any, step: int) -> Verdict:
        """Look now, whatever the cadence and the budget: of a finished run's checkpoints, say, one after another.

        Args:
            model: as in a call.
            step: optimizer steps taken.
        """
        self._attempt(model, step, self._look_now)
        return self.verdict

    def saved(self, step: int, path: str | Path = "") -> None:
        """Tell of a checkpoint that exists now; the verdict names the one to keep among those.

        Args:
            step: whose weights it holds.
            path: where it is.
        """
        self._checkpoints.add(step, str(path))

    def keeps(self, step: int) -> bool:
        """Whether a saver that deletes old checkpoints must leave that of a step: it is the best so far.

        A checkpoint that is gone is to be forgotten by ``deleted``.
        """
        best = self.verdict.checkpoint
        return best is not None and best.step == step

    def deleted(self, step: int) -> None:
        """Tell of a checkpoint that exists no longer."""
        self._checkpoints.remove(step)

    # --- what it found ----------------------------------------------------------------------------------------------

    @property
    def record(self) -> RunRecord:
        """What was measured; of both kinds of weights, that of the average."""
        return next(iter(self._watches.values())).record

    @property
    def verdict(self) -> Verdict:
        """The first verdict to stop; before there is one, the latest."""
        judged = self._onset or self._judged
        step = max(self._last, self._schedule.looked)
        examples = None if self.batch_size is None else step * self.batch_size
        return replace(
            judged,
            step=step,
            examples=examples,
            passes=None if examples is None else examples / self._n_train,
            checkpoint=self._checkpoints.best(judged, self.record),
            not_checked=(*judged.not_checked, *self._unchecked()),
        )

    @property
    def should_stop(self) -> bool:
        """Whether a rule has said stop, whatever is done about it."""
        return self._onset is not None

    # --- state ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside the record, of plain types."""
        return {
            "version": 1,
            "step": max(self._last, 0),
            "schedule": self._schedule.state(),
            "checkpoints": self._checkpoints.state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where a run was interrupted; the record is read from its folder.

        Raises:
            ConfigError: it is not the state of a guard.
        """
        try:
            if state["version"] != 1:
                raise ValueError(f"version {state['version']}")
            self._last = int(state["step"])
            self._schedule.load(state["schedule"])
            self._checkpoints.load(state["checkpoints"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not the state of a guard of this version ({type(error).__name__}: {error}).") from None
        self._wake = 0
        self._rejudge(self._last)

    def close(self) -> None:
        """Let others write to the record; it can still be read, and the guard looks no more."""
        self._last, self._wake = -1, NEVER
        for watch in self._watches.values():
            watch.record.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- how it goes about it ---------------------------------------------------------------------------------------

    def _attempt(self, model: Any, step: int, visit: Callable[[Any, int], bool]) -> bool:
        """Visit, so that training goes on whatever happens."""
        if self._is_off:
            return False
        try:
            return visit(unwrapped(model), _whole(step))
        except Exception as error:
            if self.strict:
                raise
            self._is_off, self._last, self._wake = True, -1, NEVER
            self._notes.append(f"Anything from step {step} on: the guard was off ({error})")
            warnings.warn(
                f"the guard is off from step {step} on, and training goes on without it: {error}",
                TaumemWarning,
                stacklevel=4,
            )
            return False

    def _visit(self, model: Any, step: int) -> bool:
        self._meet()
        if step < self._last:
            self._went_back(step)
        if step != self._last:
            self._begin(model, step)
            plan: Plan = told_by_first(self._schedule.plan(step) if is_first() else None)
            if plan.look:
                self._look(model, step, samples=plan.samples)
            else:
                self._judge(step)
            self._sleep(step, plan.again)
        return self._says_stop

    def _look_now(self, model: Any, step: int) -> bool:
        self._meet()
        if step < self._schedule.looked:
            self._went_back(step)
        self._begin(model, step)
        self._look(model, step, samples=self._schedule.sample_cadence is not None)
        self._sleep(step, step + 1)
        return self._says_stop

    def _sleep(self, step: int, until: int) -> None:
        """Note a visit, and when the next one is needed."""
        due = math.ceil(self.stop_step) if self.stop_step is not None else 0
        self._last, self._wake = step, 0 if self._says_stop else min(until, due) if due > step else until

    def _meet(self) -> None:
        """Know what is recorded: a guard may be made before there are several processes."""
        learned = [watch.meet() for watch in self._watches.values()]
        if any(learned):
            self._rejudge(max(self._last, 0))

    def _begin(self, model: Any, step: int) -> None:
        """At the first step: start the clock, and try the loss."""
        if not self.losses.is_tried:
            if device_of(model) is None:
                warnings.warn(
                    f"the model ({type(model).__name__}) has no parameters: its mode and its device are not known. "
                    "Hand over the network itself, or a tuple or dict of networks.",
                    TaumemWarning,
                    stacklevel=5,
                )
            with undisturbed(model, restores=self._restores), self._schedule.budget.spending():
                self.losses.try_loss(model)
            for note in self.losses.notes:
                warnings.warn(note, TaumemWarning, stacklevel=5)
        self._schedule.budget.begin(step)

    def _look(self, model: Any, step: int, *, samples: bool) -> None:
        examples = step * (self.batch_size or 0)
        told = []
        try:
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                torch.cuda.synchronize()  # what training still has to do there is not the look's
            with self._schedule.budget.spending(*self._schedule.kinds(samples=samples)):
                for kind, watch in self._watches.items():
                    with self._asked(kind, model) as asked:
                        told.append(watch.look(asked, step, examples, samples=samples))
                self._schedule.done(step, samples=samples)
                self._judge(step)
                self._keep_weights(model, step)
                if self._sinks and is_first():
                    tell(self._sinks, numbers_of(told[0], self.verdict, self.stop_step), step)
        except RecordError as error:  # training has diverged, or the disk is full: the next look may be better
            if self.strict:
                raise
            self._schedule.done(step, samples=samples)
            self._notes.append(f"The look at step {step}: {error}")
            warnings.warn(f"the look at step {step} is lost: {error}", TaumemWarning, stacklevel=5)

    @contextmanager
    def _asked(self, kind: str, model: Any) -> Iterator[Any]:
        """The model with the weights that are watched, left as it was."""
        weights = averaged(model, self._ema) if kind == "ema" else nullcontext(model)
        with weights as asked, undisturbed(asked, restores=self._restores):
            yield asked

    def _judge(self, step: int) -> None:
        self._judged = self.rule.judge(self.record, step)
        if self._onset is None and self._judged.stop:
            self._onset = self._judged
            if self.on_onset != "stop":
                then = "on_onset='stop' would stop here; training goes on." if self.on_onset == "warn" else ""
                keep = self._onset.keep
                advice = "" if keep is None else f" Keep the weights of step {keep:,}."
                warnings.warn(
                    f"step {step:,}: {self._onset.message}{advice} {then}".rstrip(), TaumemWarning, stacklevel=6
                )

    def _rejudge(self, step: int) -> None:
        """What would have been said up to a step: rules are functions of the record."""
        looks = [look for look in self.record.steps if 0 < look <= step]
        if self.stop_step is not None and math.ceil(self.stop_step) <= step:
            looks.append(math.ceil(self.stop_step))
        verdicts = [self.rule.judge(self.record, look) for look in sorted(looks)]
        self._onset = next((verdict for verdict in verdicts if verdict.stop), None)
        self._judged = verdicts[-1] if verdicts else self.rule.judge(self.record, step)

    def _went_back(self, step: int) -> None:
        last = max(self._last, self._schedule.looked)
        warnings.warn(
            f"step {step} comes after step {last}: training went back. If it goes on from a checkpoint, all is well: "
            "looks that were made are kept. If it is another run, give it a guard and a folder of its own.",
            TaumemWarning,
            stacklevel=5,
        )
        before = [look for look in self.record.steps if look < step]
        self._schedule.back_to(max(before, default=0))
        self._rejudge(self._schedule.looked)

    def _keep_weights(self, model: Any, step: int) -> None:
        """Keep the weights of the look that is to be kept, in place of those of an earlier one."""
        if self.on_onset != "checkpoint" or self._judged.keep != step or self._folder is None or not is_first():
            return
        kind = next(iter(self._watches))
        file = self._folder / f"weights-{step}.pt"
        with self._asked(kind, model) as asked:
            state = state_of(asked)
        write_atomically(file, lambda path: torch.save(state, path))
        for former, path in list(self._checkpoints.paths.items()):
            if former != step and Path(path) == self._folder / f"weights-{former}.pt":
                Path(path).unlink(missing_ok=True)
                self.deleted(former)
        self.saved(step, file)

    @property
    def _says_stop(self) -> bool:
        return self._onset is not None and self.on_onset == "stop"

    def _unchecked(self) -> Iterator[str]:
        budget = self._schedule.budget
        if self._schedule.sample_cadence is None:
            yield "Copies among samples: no sampler was given."
        if "heldout" not in self.losses.sets:
            yield "The gap to held-out items, and membership: no held-out items were given."
        if budget.waits and budget.share is not None:
            yield (
                f"Every look of the cadence: some waited, to keep to {budget.share:.1%} of the time (budget); "
                f"{len(self.record.steps)} were made."
            )
        yield from self._notes


def _whole(step: int) -> int:
    try:
        found = index(step)
    except TypeError:
        raise ConfigError(f"a step is a whole number of optimizer steps; got {step!r}.") from None
    if found < 0 or isinstance(step, bool):
        raise ConfigError(f"a step is a whole number of optimizer steps, from 0; got {step!r}.")
    return found
