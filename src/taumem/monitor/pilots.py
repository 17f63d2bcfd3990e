"""Small pilot runs of anybody's training, whose law says how long all items may train.

::

    def train_on(items, guard): ...   # the training, on whatever it is given; returns when guard(model, step) says so

    study = taumem.pilot(train_on, items, loss=loss, sizes=(10, 20), folder="pilots")
    guard = taumem.Guard(loss, train=items, forecast=study, on_onset="stop")
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from taumem.analysis import Study
from taumem.analysis.cautions import full_batches
from taumem.analysis.feasibility import doubts, feasibility
from taumem.analysis.stopping import Located
from taumem.data.item_set import Collate, ItemSet, digests
from taumem.errors import ConfigError, nearest_name
from taumem.monitor.guard import Guard
from taumem.monitor.pilot_folder import PilotFolder, done_by_first
from taumem.monitor.pilot_log import PilotLog
from taumem.monitor.subsets import Subset, as_labels, as_sizes, subsets
from taumem.probes.isolation import random_states_kept
from taumem.processes import is_first
from taumem.record import RunRecord

__all__ = ["pilot"]

SAID = ("heldout", "train", "rule", "on_onset", "forecast", "strict", "n_train", "name")
"""What a pilot says to its guard by itself."""
OF_ONE_TRAINING = ("ema", "optimizer", "twin")
"""What belongs to one model: every pilot trains another."""
ASKED = ("batch_size", "times", "timesteps", "deterministic", "n_items", "n_draws")
"""Options without which numbers of two pilots are not of one law."""
FEW_READ = 16
"""Items of a Dataset that are read to tell it from another one."""


def pilot(
    train_on: Callable[[Any, Guard], Any],
    items: Any,
    *,
    loss: Callable[..., Any],
    sizes: Sequence[int],
    folder: Path | str,
    repeats: int = 2,
    clock: str = "tau_val",
    max_steps: int | None = None,
    groups: Sequence[Hashable] | None = None,
    nested: bool = True,
    n_heldout: int = 256,
    collate: Collate | None = None,
    seed: int = 0,
    log: Callable[[str], Any] | None = print,
    **options: Any,
) -> Study:
    """Train on small subsets, each until memorization is seen to begin.

    What is left out of a subset is its held-out set, so that no item is given up: in the run that is forecast all of
    them train. A pilot that is finished is skipped when the call is made again; one that was interrupted begins anew.

    Looks are not thinned in pilots (``budget=None``): they are short, and what they are for is to be looked at.

    Args:
        train_on: ``train_on(items, guard)`` trains a fresh model on the items that it is given, which have the form of
            all items, calls ``guard(model, step)`` after every optimizer step, and returns once that says stop. One
            that returns earlier leaves a bound. Averaged weights are watched by handing them to the guard as the model.
        items: all of them, as in :class:`Guard`.
        loss: as in :class:`Guard`.
        sizes: numbers of training examples of the pilots, ascending; with groups, numbers of groups. With three or more
            it can be seen whether one law holds for all.
        folder: where the runs go.
        repeats: pilots of each size, on other draws.
        clock: what a pilot waits for, and what is to be forecast.
        max_steps: at which a pilot stops at the latest; None for no limit. One that is overdue says so.
        groups: a label for each item, such as its patient, scene or clip: items of one group stay together.
        nested: whether larger subsets hold the smaller ones; False: they have nothing in common.
        n_heldout: items to hold out of each pilot, at most.
        collate: as in :class:`Guard`.
        seed: of the draws.
        log: told what is planned and what was found, a line each; None for silence.
        options: of each pilot's guard, such as ``batch_size``, ``times`` or ``sampler``.

    Returns:
        The runs, and the law that they make: ``Guard(..., forecast=study)``; of another clock than tau_val
        ``Guard(..., forecast=study.forecast(len(items), clock))``.

    Raises:
        ConfigError: sizes, groups or options that cannot be used; a training that never asks its guard.
        RecordError: the folder holds other pilots, another process makes them, or it cannot be written to.
        TaumemError: what the guard of a pilot found wrong with the loss or the items.
    """
    if not callable(train_on):
        raise ConfigError(f"train_on is called with (items, guard); got {type(train_on).__name__}.")
    if max_steps is not None and (isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1):
        raise ConfigError(f"max_steps is a number of optimizer steps, or None for no limit; got {max_steps!r}.")
    _check_options(options)
    whole, sizes = ItemSet.of(items, "items", collate=collate), as_sizes(sizes)
    labels = None if groups is None else as_labels(groups, len(whole))
    rule = Located(clock, max_steps)
    planned = subsets(len(whole), sizes, repeats=repeats, nested=nested, groups=labels, n_heldout=n_heldout, seed=seed)
    n_all = len(whole) if labels is None else len(set(labels))
    usual = inspect.signature(Guard).parameters
    asked = {name: options.get(name, usual[name].default) for name in ASKED}
    drawn = {"nested": nested, "n_heldout": n_heldout, "seed": seed} | ({} if nested else {"sizes": sizes})
    facts = {"n_items": len(whole), "items": _fingerprint(whole, labels), **drawn, "clock": clock, **asked}

    folder = Path(folder)
    told = PilotLog(log if is_first() else None, len(planned), clock)
    with PilotFolder(folder).opened(facts) as home:
        held = [len(subset.heldout) for subset in planned]
        told.say(feasibility(sizes, repeats, n_all, (min(held), max(held)), "items" if labels is None else "groups"))
        if labels is None:
            told.say(full_batches(sizes, options.get("batch_size") or 0, exclude=""))
        for doubt in doubts(sizes, n_all):
            told.say(doubt)
        for subset in planned:
            found = done_by_first(partial(home.finished, subset, max_steps))
            if found is None:
                run = done_by_first(partial(home.clear, subset))
                guard = Guard(
                    loss,
                    train=whole.subset(subset.train),
                    heldout=whole.subset(subset.heldout),
                    folder=run,
                    rule=rule,
                    on_onset="stop",
                    n_train=subset.size,
                    collate=whole.collate,
                    seed=seed + subset.repeat,
                    name=folder.name or "pilots",
                    strict=True,
                    sinks=(*options.get("sinks", ()), told.overdue(subset)),
                    **({"budget": None} | {name: given for name, given in options.items() if name != "sinks"}),
                )
                found = _trained(train_on, whole, subset, guard, home)
            told.of_pilot(subset, found)
        records = done_by_first(lambda: [RunRecord.read(folder / subset.name) for subset in planned])
    study = Study.of(records)
    told.of_study(study, n_all)
    return study


def _check_options(options: Mapping[str, Any]) -> None:
    if taken := sorted(set(SAID) & options.keys()):
        raise ConfigError(f"a pilot says by itself: {', '.join(taken)}; leave it out.")
    if single := sorted(set(OF_ONE_TRAINING) & options.keys()):
        raise ConfigError(
            f"{', '.join(single)}: belongs to one training, and every pilot is another one. Make it in train_on; of "
            "averaged weights, hand these to the guard as the model: guard(averaged, step)."
        )
    known = set(inspect.signature(Guard).parameters) - {*SAID, *OF_ONE_TRAINING}
    if unknown := next((name for name in options if name not in known), None):
        raise ConfigError(f"neither pilots nor their guards know '{unknown}'; {nearest_name(unknown, known)}")


def _trained(
    train_on: Callable[[Any, Guard], Any], whole: ItemSet, subset: Subset, guard: Guard, home: PilotFolder
) -> dict[str, Any]:
    """Make a pilot, and note what came of it."""
    with guard:
        train_on(whole.subset(subset.train), guard)
    if not guard.record.steps:
        raise ConfigError(
            f"the training on {len(subset.train)} items returned without a look of its guard; train_on calls "
            "guard(model, step) after every optimizer step, step = 1, 2, ..., and returns once it says stop."
        )
    verdict = guard.verdict
    if not verdict.stop:
        verdict = replace(verdict, message=f"ended by step {verdict.step:,}, before its clock was located.")
    done_by_first(partial(home.finish, subset, verdict))
    return json.loads(json.dumps(verdict.to_json()))  # type: ignore[no-any-return]


def _fingerprint(whole: ItemSet, labels: Sequence[Hashable] | None) -> str:
    """Tell these items, and their groups, from others; of a Dataset by a few items, if these can be read twice."""
    if whole.collate:
        places = sorted({k * (len(whole) - 1) // (FEW_READ - 1) for k in range(FEW_READ)})
        with random_states_kept():
            known, again = (digests(whole.take(places), len(places)) for _ in range(2))
        known = known if known == again else []
    else:
        known = digests(whole.given, len(whole))
    words = None if labels is None else [str(label) for label in labels]
    return hashlib.sha256(json.dumps([known, words]).encode()).hexdigest()[:16]
