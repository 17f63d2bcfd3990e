"""Small pilot runs of anybody's training, whose law says how long all items may train.

::

    def train_on(items, guard): ...   # the training, on whatever it is given; returns when guard(model, step) says so

    study = taumem.pilot(train_on, items, loss=loss, sizes=(10, 20), folder="pilots")
    guard = taumem.Guard(loss, train=items, forecast=study, on_onset="stop")
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from taumem.analysis import Study
from taumem.analysis.cautions import full_batches
from taumem.analysis.feasibility import feasibility
from taumem.analysis.stopping import Located
from taumem.data.item_set import Collate, ItemSet, digests
from taumem.errors import ConfigError, RecordError, TaumemError, first_difference
from taumem.monitor.guard import Guard
from taumem.monitor.subsets import Subset, subsets
from taumem.record import RunRecord, write_atomically

__all__ = ["pilot"]

PLAN, FINISHED = "pilots.json", "pilot.json"
"""Beside the runs: what all have in common. In a run's folder, once it is finished: what came out."""
SAID = frozenset({"heldout", "train", "rule", "on_onset", "forecast", "strict", "n_train", "name"})
"""What a pilot says to its guard by itself."""


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
            that returns earlier leaves a bound.
        items: all of them, as in :class:`Guard`.
        loss: as in :class:`Guard`.
        sizes: numbers of training examples of the pilots, ascending; with groups, numbers of groups.
        folder: where the runs go.
        repeats: pilots of each size, on other draws.
        clock: what a pilot waits for, and what is to be forecast.
        max_steps: at which a pilot stops at the latest; None for no limit.
        groups: a label for each item, such as its patient, scene or clip: items of one group stay together.
        nested: whether larger subsets hold the smaller ones; False: they have nothing in common.
        n_heldout: items to hold out of each pilot, at most.
        collate: as in :class:`Guard`.
        seed: of the draws.
        log: told what is planned and what was found, a line each; None for silence.
        options: of each pilot's guard, such as ``batch_size``, ``times`` or ``ema``.

    Returns:
        The runs, and the law that they make: ``Guard(..., forecast=study)``.

    Raises:
        ConfigError: sizes, groups or options that cannot be used; a training that never asks its guard.
        RecordError: the folder holds other pilots, or cannot be written to.
        TaumemError: what the guard of a pilot found wrong with the loss or the items.
    """
    if not callable(train_on):
        raise ConfigError(f"train_on is called with (items, guard); got {type(train_on).__name__}.")
    if taken := sorted(
        {"heldout", "train", "rule", "on_onset", "forecast", "strict", "n_train", "name"} & options.keys()
    ):
        raise ConfigError(f"a pilot says by itself: {', '.join(taken)}; leave it out.")
    tell = log or (lambda line: None)
    whole, home = ItemSet.of(items, "items", collate=collate), Path(folder)
    rule = Located(clock, max_steps)
    planned = subsets(len(whole), sizes, repeats=repeats, nested=nested, groups=groups, n_heldout=n_heldout, seed=seed)
    n_all = len(whole) if groups is None else len(set(groups))
    _same_plan(home, whole, groups, nested, seed, n_heldout)
    held = [len(subset.heldout) for subset in planned]
    tell(feasibility(sizes, repeats, n_all, (min(held), max(held)), "items" if groups is None else "groups"))
    if told := full_batches(sizes, options.get("batch_size") or 0, exclude=""):
        tell(told)
    for number, subset in enumerate(planned, start=1):
        run = home / subset.name
        if not (run / FINISHED).exists():
            _begin_anew(run)
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
                name=home.name or "pilots",
                strict=True,
                **({"budget": None} | options),
            )
            _train(train_on, whole, subset, guard)
        found = json.loads((run / FINISHED).read_text(encoding="utf-8"))
        tell(f"Pilot {number} of {len(planned)}, P = {subset.size}: {found['message']}")
    study = Study.of(RunRecord.read(home / subset.name) for subset in planned)
    tell(_forecast(study, n_all, clock))
    return study


def _train(train_on: Callable[[Any, Guard], Any], whole: ItemSet, subset: Subset, guard: Guard) -> None:
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
    write_atomically(guard.record.path / FINISHED, json.dumps(verdict.to_json()) + "\n")


def _begin_anew(run: Path) -> None:
    """Remove what an interrupted pilot left: its training cannot be gone on with."""
    if (run / "run.json").exists():
        shutil.rmtree(run)


def _same_plan(
    home: Path, whole: ItemSet, groups: Sequence[Hashable] | None, nested: bool, seed: int, n_heldout: int
) -> None:
    """Refuse a folder with pilots on other items, or drawn otherwise; sizes and repeats may be added."""
    known = [] if whole.collate else digests(whole.given)
    labels = None if groups is None else [str(label) for label in groups]
    facts = {
        "n_items": len(whole),
        "items": hashlib.sha256(json.dumps([known, labels]).encode()).hexdigest(),
        "nested": nested,
        "n_heldout": n_heldout,
        "seed": seed,
    }
    file = home / PLAN
    if not file.exists():
        write_atomically(file, json.dumps(facts) + "\n")
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(f"{file}: cannot be read ({error}); remove the folder, and make the pilots again.") from None
    if before != facts:
        raise RecordError(
            f"{home}: holds other pilots: {first_difference(before, facts)}. Choose another folder, or remove it."
        )


def _forecast(study: Study, n_train: int, clock: str) -> str:
    try:
        steps = study.forecast(n_train, clock).predicted
    except TaumemError as error:
        return f"No forecast: {error}"
    examples = steps.examples
    passes = "" if examples is None else f", {examples.value / n_train:,.0f} passes"
    span = f"[{steps.low:,.0f}, {steps.high:,.0f}]"
    return f"Forecast for all {n_train:,}: {clock} at {steps.value:,.0f} steps {span}{passes}."
