"""A guard for anybody's training loop: it asks the loss, records, judges, and says when to stop.

::

    guard = taumem.Guard(loss, train=train_items, heldout=heldout_items, folder="runs/mine", on_onset="stop")
    for step, batch in enumerate(loader, start=1):
        ...                                    # the training step, unchanged
        if guard(model, step):
            break
    print(guard.verdict)
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from taumem.analysis import Forecast, Interval, Study
from taumem.analysis.stopping import Verdict
from taumem.data.item_set import Collate, ItemSet
from taumem.monitor.arguments import (
    OnOnset,
    Rule,
    Weights,
    check_choices,
    check_kinds,
    checked_times,
    chosen_rule,
    onset_forecast,
    stop_step_of,
)
from taumem.monitor.asked import apart, common_places, facts_of, header_of, probe_of_copies
from taumem.monitor.budget import Budget
from taumem.monitor.cadence import LogCadence
from taumem.monitor.observer import Observer
from taumem.monitor.schedule import Schedule
from taumem.monitor.sinks import Sink
from taumem.monitor.watchman import Watchman
from taumem.probes.asked_items import AskedItems
from taumem.probes.asked_loss import AskedLoss
from taumem.probes.item_losses import ItemLosses, TwinGap
from taumem.probes.of_the_loop import OwnMetric
from taumem.probes.probe import Probe, Sampler
from taumem.record import RunRecord
from taumem.training.pace import EffectiveTime, OptimizerState

__all__ = ["Guard"]


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
        n_draws: draws of noise for each item; None: as many as give 256 answers about each set, at most 16.
        block: answers in a batch; None: four times the batch size, or 32 if that is unknown.
        collate: makes a batch of single items of a list or Dataset; None takes torch's ``default_collate``.
        sampler: ``sampler(model, generator)`` -> samples [n, ...], comparable with the items (or with their first
            column); None counts no copies.
        twin: another model and its training items, disjoint from these: the gap between the two is measured too.
        metrics: functions of the model by name, whose numbers are recorded: a reward, a score.
        optimizer: whose learning rate, gradient size and effective time are recorded (see ``docs/unit.md``).
        ema: averaged weights: a module, or an object with ``store``, ``copy_to`` and ``restore``.
        weights: which weights to watch: "raw", "ema", or "both" (two records, judged by the average); None: the
            average if there is one.
        restores: objects that the loss writes into, such as meters: their attributes are put back after each look.
        cadence: when to look; None: 4 times while the steps double, from step 8 on.
        sample_cadence: when to draw samples; None: twice while the steps double, from step 64 on.
        budget: largest share of wall time that looks may take: looks that cannot be afforded wait. None for no limit.
        sinks: told the numbers of each look: ``log(dict, step)``, or objects with such a method.
        n_train: number of training examples P, where it is not that of the items: groups, say.
        pretrained: whether training starts from a pretrained model, which ``guard.look(model, 0)`` shows before step 1.
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
        pretrained: bool = False,
        seed: int = 0,
        name: str = "guard",
        strict: bool = False,
    ) -> None:
        check_choices(on_onset, weights, ema, folder)
        counts = {"batch_size": batch_size, "n_items": n_items, "n_draws": n_draws, "block": block}
        check_kinds(sinks, metrics, twin, counts | {"n_train": n_train, "timesteps": timesteps})
        asked = AskedLoss(loss, checked_times(times, timesteps), timesteps, deterministic, seed)
        items = ItemSet.of(train, "training items", collate=collate)
        held = None if heldout is None else apart(items, ItemSet.of(heldout, "held-out items", collate=collate))

        def chosen(some: ItemSet, without: Collection[int] = ()) -> AskedItems:
            return AskedItems.of(
                some,
                n_items=n_items,
                n_draws=1 if deterministic else n_draws,
                n_times=max(len(asked.times), 1),
                block=block or 4 * (batch_size or 8),
                seed=seed,
                without=without,
            )

        sets = {"train": chosen(items)} | ({"heldout": chosen(held)} if held else {})
        if held and (common := common_places(sets["train"], sets["heldout"])):
            sets["heldout"] = chosen(held, common)
        twins: list[Probe] = []
        if twin is not None:
            theirs = chosen(ItemSet.of(twin[1], "twin's items", collate=collate))
            twins.append(TwinGap(asked, sets["train"], twin[0], theirs))
        self._optimizer, self._time = optimizer, EffectiveTime()
        alone: list[Probe] = [] if optimizer is None else [OptimizerState(optimizer, self._time)]
        alone += [OwnMetric(key, measure, seed=seed) for key, measure in (metrics or {}).items()]
        digests = sorted({digest for part in sets.values() for digest in part.digests})
        facts = facts_of(name, items, held, digests, sets["train"].few, n_train)
        header = header_of(facts, seed=seed, batch_size=batch_size or 0, pretrained=pretrained)
        onset = onset_forecast(forecast, facts.n_train, batch_size)
        self.rule = chosen_rule(rule, onset, heldout=held is not None, sampler=sampler is not None, twin=bool(twin))
        self.stop_step = stop_step_of(self.rule)
        self.on_onset = on_onset
        self.strict = strict
        home = None if folder is None else Path(folder)
        of_samples = (sample_cadence or LogCadence(64, 2)) if sampler else None
        self._watchman = Watchman(
            Observer(
                header,
                ("ema", "raw") if weights == "both" else (weights or ("raw" if ema is None else "ema"),),
                home,
                losses=ItemLosses(asked, sets),
                others=twins,
                alone=alone,
                sampler=sampler,
                sample_probes=[probe_of_copies(items, held)] if sampler else [],
                ema=ema,
                restores=restores,
            ),
            Schedule(cadence or LogCadence(), of_samples, Budget(budget)),
            self.rule,
            stop_step=self.stop_step,
            on_onset=on_onset,
            batch_size=batch_size or 0,
            sinks=sinks,
            folder=home,
            strict=strict,
        )
        self._time.load({"step": self.record.last_step})

    # --- what a loop calls ------------------------------------------------------------------------------------------

    def __call__(self, model: Any, step: int) -> bool:
        """Look if a look is due; say whether to stop.

        Args:
            model: as it is after the step: one module or several (tuple, list, dict), handed on to the loss.
            step: optimizer steps taken, from 1.

        Returns:
            True to stop: a rule says so, and ``on_onset`` is "stop".
        """
        watchman = self._watchman
        try:
            self._time.after(self._optimizer, index(step)) if self._optimizer is not None else None
            if watchman.last < step < watchman.wake:
                return False
        except TypeError:  # no number: told as what goes wrong in a visit is
            pass
        return watchman.visit(model, step)

    def look(self, model: Any, step: int) -> Verdict:
        """Look now, whatever the cadence and the budget: of a finished run's checkpoints, say, one after another.

        Args:
            model: as in a call.
            step: optimizer steps taken.
        """
        self._watchman.look(model, step)
        return self.verdict

    def saved(self, step: int, path: str | Path = "") -> None:
        """Tell of a checkpoint that exists now; the verdict names the one to keep among those.

        Args:
            step: whose weights it holds.
            path: where it is.
        """
        self._watchman.checkpoints.add(step, str(path))

    def keeps(self, step: int) -> bool:
        """Whether a saver that deletes old checkpoints must leave that of a step: it is the best so far.

        A checkpoint that is gone is to be forgotten by ``deleted``.
        """
        return self._watchman.keeps(step)

    def deleted(self, step: int) -> None:
        """Tell of a checkpoint that exists no longer."""
        self._watchman.checkpoints.remove(step)

    # --- what it found ----------------------------------------------------------------------------------------------

    @property
    def record(self) -> RunRecord:
        """What was measured; of both kinds of weights, that of the average."""
        return self._watchman.observer.record

    @property
    def verdict(self) -> Verdict:
        """The first verdict to stop; before there is one, the latest."""
        return self._watchman.verdict

    @property
    def should_stop(self) -> bool:
        """Whether a rule has said stop, whatever is done about it."""
        return self._watchman.onset is not None

    # --- state ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside the record, of plain types."""
        return {**self._watchman.state(), "time": self._time.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where a run was interrupted; the record is read from its folder.

        Raises:
            ConfigError: it is not the state of a guard.
        """
        self._watchman.load(state)
        self._time.load(state.get("time") or {"step": self._watchman.last})

    def close(self) -> None:
        """Let others write to the record; it can still be read, and the guard looks no more."""
        self._watchman.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
