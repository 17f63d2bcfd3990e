"""Does the guard stop in time, in loops that know nothing of it? The runs behind docs/guard.md.

    python experiments/guard/study.py heldout LOOP SEED...    # guarded with held-out items: all rules, one run each
    python experiments/guard/study.py pilots LOOP SEED...     # without: pilots, and the law says when to stop
    python experiments/guard/study.py null LOOP SEED...       # nothing to find: fresh data, flat loss, plateau
    python experiments/guard/study.py budget LOOP SEED...     # what budgets of time leave of the looks
    python experiments/guard/tables.py                        # what came out

Each run adds a line to ``results.jsonl`` beside this file; runs that are there are skipped. The protocol stands in
README.md, committed before the seeds that report (0 to 9); seeds from 100 on were used to make it.
"""

import json
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loops import BATCH, LOOPS, TIMESTEPS, Loop, train
from torch import Tensor, nn

import taumem
from taumem.analysis.stopping import Located, rule_named
from taumem.probes import Copies
from taumem.randomness import generator_for

RESULTS = Path(__file__).with_name("results.jsonl")
RULES = ("quality", "balanced", "no_copies", "privacy")
P, P_OF_PILOTS, SIZES = 16, 48, (12, 24)
SAMPLES = 512


def images(seed: int, n_train: int) -> tuple[Tensor, Tensor, Tensor]:
    """Training images, 512 held out for the guard, and 512 kept aside for the truth."""
    small = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
    split = taumem.Split.make("fashion-mnist", small, n_heldout=1024, seed=seed).first(n_train)
    return split.train, split.heldout[:512], split.heldout[512:]


def truth_about(loop: Loop, items: Tensor, aside: Tensor, **options: Any) -> taumem.Guard:
    """A second guard that is asked for its numbers alone: its held-out items are those kept aside."""
    return taumem.Guard(
        loop.loss, train=items, heldout=aside[:256], batch_size=BATCH, budget=None, n_draws=2, strict=True, **options
    )


def guarded(loop: Loop, items: Tensor, held: Tensor, seed: int, **options: Any) -> taumem.Guard:
    """A guard that looks at every step of its cadences, and asks at timesteps where the loop's loss takes them."""
    return taumem.Guard(
        loop.loss_at or loop.loss,
        train=items,
        heldout=held,
        batch_size=BATCH,
        budget=None,
        sampler=loop.sample,
        sample_cadence=taumem.LogCadence(64, 2),
        timesteps=TIMESTEPS if loop.loss_at else None,
        seed=seed,
        strict=True,
        **options,
    )


def onset(record: taumem.RunRecord, clock: str) -> list[float] | None:
    """Step, lower and upper end; None where the run has it not, or ended before it was located."""
    found = [o for o in taumem.find_onsets([record]) if o.clock == clock and o.usable]
    return [found[0].step, found[0].low, found[0].high] if found else None


# --- with held-out items ----------------------------------------------------------------------------------------------


def heldout(loop: Loop, seed: int) -> dict[str, Any]:
    """One run to well past the first copies, judged afterwards by every rule as if it had been asked at each look."""
    items, held, aside = images(seed, P)
    guard = guarded(loop, items, held, seed, rule="balanced", n_draws=None if loop.loss_at else 4)
    truth = truth_about(loop, items, aside, rule="quality")
    weights: dict[int, dict[str, Tensor]] = {}

    def on_step(model: nn.Module, step: int) -> bool:
        guard(model, step)
        if step in guard.record.steps[-1:]:
            truth.look(model, step)
            weights[step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return False

    model = train(loop, items, seed, loop.steps, on_step)
    counts = Copies(items, aside)
    losses = truth.record.curve("heldout_loss")
    best = float(losses.values.min())

    @cache
    def facts(step: int) -> dict[str, Any]:
        model.load_state_dict(weights[step])
        drawn = [loop.sample(model.eval(), generator_for(seed, "check", k)) for k in range(SAMPLES // 64)]
        copied, chance = counts.measure(torch.cat(drawn)).estimates
        return {
            "step": step,
            "copies": round(copied.value * copied.count),
            "samples": copied.count,
            "by_chance": round(chance.value * chance.count),
            "aside": chance.count,
            "loss": float(losses.values[losses.steps == step][0]) / best,
        }

    with torch.no_grad():
        found = {}
        for name in RULES:
            rule = rule_named(name)
            at = next((s for s in guard.record.steps if rule.judge(guard.record, s).stop), None)
            verdict = rule.judge(guard.record, at) if at is not None else None
            found[name] = {
                "stop": facts(at) if at is not None else None,
                "keep": facts(verdict.keep) if verdict is not None and verdict.keep is not None else None,
            }
    return {
        "tau_val": onset(truth.record, "tau_val"),
        "tau_copy": onset(guard.record, "tau_copy[0.05]"),
        "last": loop.steps,
        "rules": found,
    }


# --- without ----------------------------------------------------------------------------------------------------------


def pilots(loop: Loop, seed: int) -> dict[str, Any]:
    """Pilots on subsets of all items, then a run on all of them: the law's stop against the truth kept aside."""
    items, _, aside = images(seed, P_OF_PILOTS)
    made = []

    def train_on(some: Tensor, guard: taumem.Guard) -> None:
        made.append(len(some))
        train(loop, some, 1000 * seed + len(made), 40 * loop.steps, guard)

    with tempfile.TemporaryDirectory() as folder:
        study = taumem.pilot(
            train_on,
            items,
            loss=loop.loss,
            sizes=SIZES,
            folder=Path(folder) / "pilots",
            seed=seed,
            batch_size=BATCH,
            n_draws=8,
        )
        of_pilots = [[o.n_train, o.step] for o in study.onsets if o.clock == "tau_val"]
        steps = [record.last_step for record in study.records]
    forecast = study.forecast(P_OF_PILOTS).predicted
    guard = taumem.Guard(loop.loss, train=items, forecast=study, batch_size=BATCH, on_onset="warn", strict=True)
    stop = int(np.ceil(guard.stop_step or 0))
    truth = truth_about(loop, items, aside, rule=Located("tau_val"), on_onset="stop")

    def on_step(model: nn.Module, step: int) -> bool:
        guard(model, step)
        if step == stop:
            truth.look(model, step)
        return truth(model, step) and step > stop

    train(loop, items, seed, 40 * loop.steps, on_step)
    losses = truth.record.curve("heldout_loss")
    return {
        "pilots": of_pilots,
        "pilot_steps": steps,
        "stop": stop,
        "said": [guard.verdict.stop, guard.verdict.since],
        "forecast": [forecast.value, forecast.low, forecast.high],
        "tau_val": onset(truth.record, "tau_val"),
        "loss": float(losses.values[losses.steps == stop][0] / losses.values.min()),
    }


# --- nothing to find --------------------------------------------------------------------------------------------------


def null(loop: Loop, seed: int) -> dict[str, Any]:
    """Training on other images than those that the guard takes for training images: nothing of these is memorized."""
    kind = ("fresh", "flat", "plateau")[seed % 3]
    items, held, _ = images(seed, 3072)
    watched, others = items[:64], items[64:]
    guard = guarded(loop, watched, held, seed, rule=list(RULES))
    # Fresh: no image twice. Flat: a rate at which nothing is learned. Plateau: many images, over and over.
    steps = {"fresh": len(others) // BATCH, "flat": 1500, "plateau": 3000}[kind]
    seen = (lambda step: others[(step - 1) * BATCH : step * BATCH]) if kind == "fresh" else others
    train(loop, seen, seed, steps, guard, rate=1e-6 if kind == "flat" else None)
    alarms = {name: any(rule_named(name).judge(guard.record, s).stop for s in guard.record.steps) for name in RULES}
    return {"kind": kind, "steps": steps, "looks": len(guard.record.steps), "alarms": alarms}


# --- budgets of time --------------------------------------------------------------------------------------------------


def budget(loop: Loop, seed: int) -> dict[str, Any]:
    """One training thrice, under a guard whose looks may take 2 %, 20 % and any share of the time."""
    items, held, _ = images(seed, P)
    found: dict[str, Any] = {}
    for share in (0.02, 0.2, None):
        guard = taumem.Guard(
            loop.loss, train=items, heldout=held, batch_size=BATCH, budget=share, seed=seed, strict=True
        )
        train(loop, items, seed, loop.steps, guard)
        steps = guard.record.steps
        stops = {
            name: next((s for s in steps if rule_named(name).judge(guard.record, s).stop), None)
            for name in ("quality", "balanced")
        }
        found[str(share)] = {"looks": len(steps), "stops": stops}
        if share is None:
            found["tau_val"] = onset(guard.record, "tau_val")
    return {"steps": loop.steps, "budgets": found}


# --- all of it --------------------------------------------------------------------------------------------------------


def done() -> list[dict[str, Any]]:
    """What is there already."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def main() -> None:
    """Make the runs that were asked for."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", taumem.TaumemWarning)
    what, loop, *seeds = sys.argv[1:]
    make = {"heldout": heldout, "pilots": pilots, "null": null, "budget": budget}[what]
    for seed in map(int, seeds):
        key = {"what": what, "loop": loop, "seed": seed}
        if any(key.items() <= line.items() for line in done()):
            continue
        line = json.dumps(key | make(LOOPS[loop], seed))
        with RESULTS.open("a") as file:
            file.write(line + "\n")
        print(line[:300], flush=True)


if __name__ == "__main__":
    main()
