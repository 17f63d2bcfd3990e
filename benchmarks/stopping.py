"""How often does each stopping rule stop a run in which nothing happens, and how late one in which something does?

    python benchmarks/stopping.py false-alarms --runs 500 --seed 1    # made up runs in which nothing happens
    python benchmarks/stopping.py few-items --runs 300 --seed 1       # likewise, with few items and heavy tails
    python benchmarks/stopping.py power experiments/*/*.sealed        # real runs, beside the patience of other trainers

The rule, stated before it was tried on these seeds: asked at every look, each stopping rule stops at most 5 % of the
runs in which nothing happens, over whole runs, for every course and jitter, on average over cadences.

Made up runs are those of clocks.py: a loss that is flat, falls, or falls and stays, times a jitter of the weights,
times what is each item's own. Here each item also grows easier or harder in training (a standard deviation of 30 %),
so that training and held-out sets of few items drift apart by chance.

What is asked of few items, stated before its seeds (made with seed 77): from 8 items of each set on, each rule stops at
most 5 % of the runs, whether or not a few items have most of the loss; below 8 it says nothing, since it would not.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from clocks import CADENCES, CORRELATIONS, COURSES, JITTERS, MadeUp
from numpy.typing import NDArray

from taumem.analysis import find_onsets
from taumem.analysis.stopping import RULES, StoppingRule, Verdict, losses, shares
from taumem.analysis.stopping.verdict import FEWEST_ITEMS
from taumem.probes import membership
from taumem.record import Curve, read_runs

Floats = NDArray[np.float64]

DRIFT = 0.3
"""Standard deviation of how much easier or harder an item grows over a run."""
PATIENCE = (2, 4, 8)
FEW = ((2, 2), (4, 4), (8, 8), (8, 128), (16, 16), (64, 256))
"""Training and held-out items."""
TAILS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "gamma, 4": lambda rng, n: rng.gamma(4.0, 0.25, n),
    "gamma, 0.5": lambda rng, n: rng.gamma(0.5, 2.0, n) + 1e-3,
    "log-normal, 1.5": lambda rng, n: np.exp(1.5 * rng.standard_normal(n)),
}
"""How hard items are: as usual, and two in which few items have most of the loss."""


class Patience:
    """What trainers do: stop once the held-out loss has had no new lowest value for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.name = f"patience of {looks} looks"

    def judge(self, record: Any, step: int | None = None) -> Verdict:
        curve = record.curve_or_none("heldout_loss")
        values = curve.values[(curve.steps > 0) & (curve.steps <= (np.inf if step is None else step))]
        lowest = int(np.argmin(values)) if len(values) else 0
        keep = int(curve.steps[curve.steps > 0][lowest])
        return Verdict(len(values) - 1 - lowest >= self.looks, self.name, keep=keep)


RULES_AND_PATIENCE: tuple[Any, ...] = (*RULES.values(), *map(Patience, PATIENCE))


def record_of(*curves: Curve) -> Any:
    """What rules read of a record."""
    by_name = {curve.quantity: curve for curve in curves}
    steps = sorted({int(step) for curve in curves for step in curve.steps})
    return SimpleNamespace(curve_or_none=by_name.get, steps=steps, last_step=steps[-1])


def stop_of(rule: StoppingRule, record: Any) -> Verdict | None:
    """The first verdict to stop, where the rule is asked at every look."""
    verdicts = (rule.judge(record, step) for step in record.steps if step > 0)
    return next((verdict for verdict in verdicts if verdict.stop), None)


# --- nothing happens ------------------------------------------------------------------------------------------------


def nothing_happens(run: MadeUp, kind: str, rng: np.random.Generator) -> Any:
    """A run in which training and held-out items are alike, and copies are as many as chance gives."""
    n_train, n_heldout = int(rng.choice([16, 64, 128])), int(rng.choice([16, 64, 256]))
    course, common = run.course(kind), run.correlated(run.rho)
    drifts = [np.exp(DRIFT * np.outer(run.u, rng.standard_normal(n))) for n in (n_train, n_heldout)]
    sets = [run.losses(course, n, common) * drift for n, drift in zip((n_train, n_heldout), drifts, strict=True)]
    n, chance = int(rng.choice([64, 128, 512])), float(rng.choice([0.0, 0.02, 0.1]))
    copies = run.counted("copy_fraction", np.full(len(run.u), chance), n)
    expected = run.held_out_count(chance, n_heldout)
    chances = Curve(
        "copy_fraction_chance",
        *(expected.steps, expected.examples, expected.values, expected.se, expected.low, expected.high),
        expected.counts,
    )
    return record_of(
        *(run.curve(name, s) for name, s in zip(("train_loss", "heldout_loss"), sets, strict=True)),
        copies,
        chances,
        membership_of(run, *sets),
    )


def losses_and_membership(run: MadeUp, kind: str, hardness: Sequence[Floats]) -> Any:
    """A run in which training and held-out items are alike, of items that are so hard."""
    course, common, rng = run.course(kind), run.correlated(run.rho), run.rng
    drifts = [np.exp(DRIFT * np.outer(run.u, rng.standard_normal(len(own)))) for own in hardness]
    sets = [run.losses(course, own, common) * drift for own, drift in zip(hardness, drifts, strict=True)]
    curves = [run.curve(name, items) for name, items in zip(("train_loss", "heldout_loss"), sets, strict=True)]
    return record_of(*curves, membership_of(run, *sets))


def membership_of(run: MadeUp, train: Floats, heldout: Floats) -> Curve:
    """The AUC at each look, from the losses of both sets [looks, items]."""
    found = [membership(*map(torch.from_numpy, pair))[0] for pair in zip(train, heldout, strict=True)]
    auc, se = np.array([[e.value, e.se] for e in found], dtype=float).T
    counts = np.full(len(found), train.shape[1] + heldout.shape[1])
    nothing = (np.full(len(found), np.nan) for _ in range(2))
    return Curve("membership_auc", run.steps, 16 * run.steps, auc, se, *nothing, counts)


def few_items(runs: int, seed: int) -> str:
    """The table of false alarms with few items, in percent of whole runs; in brackets what rules do not speak of."""
    names = ("quality", "balanced", "privacy")
    lines = ["| training items | held-out | tails | " + " | ".join(names) + " |", "|---" * (len(names) + 3) + "|"]
    for number, ((n_train, n_heldout), (tails, hardness)) in enumerate(product(FEW, TAILS.items())):
        rng, alarms = np.random.default_rng([seed, 7000 + number]), np.zeros(len(names))
        for _ in range(runs):
            run = MadeUp(rng, 4.0, float(rng.choice(CORRELATIONS)), 0.01)
            sets = [hardness(rng, n) for n in (n_train, n_heldout)]
            record = losses_and_membership(run, str(rng.choice(COURSES)), sets)
            with patch.object(losses, "FEWEST_ITEMS", 2), patch.object(shares, "FEWEST_ITEMS", 2):
                alarms += [stop_of(RULES[name], record) is not None for name in names]
        fewest = {"quality": n_heldout}
        cells = [
            f"{100 * count / runs:.1f}"
            if fewest.get(name, min(n_train, n_heldout)) >= FEWEST_ITEMS
            else f"({100 * count / runs:.1f})"
            for name, count in zip(names, alarms, strict=True)
        ]
        lines.append(f"| {n_train} | {n_heldout} | {tails} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def false_alarms(runs: int, seed: int, jitters: Sequence[float], correlations: Sequence[float]) -> str:
    """The table of false alarms, in percent of whole runs: rules down, courses, jitters and correlations across."""
    alarms: dict[tuple[str, str, float, float], list[bool]] = {}
    by_cadence: dict[tuple[str, str, float], list[bool]] = {}
    number = 0
    for jitter in jitters:
        for rho in correlations:
            for kind in COURSES:
                number += 1
                rng = np.random.default_rng([seed, number])
                for _ in range(runs):
                    q = float(rng.choice(list(CADENCES.values())))
                    record = nothing_happens(MadeUp(rng, q, rho, jitter), kind, rng)
                    for rule in RULES_AND_PATIENCE:
                        stopped = stop_of(rule, record) is not None
                        alarms.setdefault((rule.name, kind, jitter, rho), []).append(stopped)
                        by_cadence.setdefault((rule.name, kind, q), []).append(stopped)
    columns = [(j, r) for j in jitters for r in correlations]
    lines = [
        "| rule | course | " + " | ".join(f"{j:.0%}, {r:g}" for j, r in columns) + " | mean | at the worst cadence |",
        "|---" * (len(columns) + 4) + "|",
    ]
    for rule in RULES_AND_PATIENCE:
        for kind in COURSES:
            cells = [100 * np.mean(alarms[rule.name, kind, j, r]) for j, r in columns]
            numbers = " | ".join(f"{cell:.1f}" for cell in cells)
            worst = max(100 * np.mean(by_cadence[rule.name, kind, q]) for q in CADENCES.values())
            lines.append(f"| {rule.name} | {kind} | {numbers} | {np.mean(cells):.1f} | {worst:.1f} |")
    return "\n".join(lines)


# --- real runs --------------------------------------------------------------------------------------------------------


def stops(files: list[Path]) -> Iterator[tuple[str, bool, float, float, float]]:
    """By rule and run: whether it stopped, the stop over tau_val and over tau_copy[0.05], and the loss that is kept."""
    for file in files:
        for record in read_runs(file):
            curve = record.curve_or_none("heldout_loss")
            if curve is None or curve.items is None:
                continue
            when = {onset.clock: onset.step for onset in find_onsets([record]) if onset.usable}
            for rule in RULES_AND_PATIENCE:
                verdict = stop_of(rule, record)
                if verdict is None:
                    yield rule.name, False, np.nan, np.nan, np.nan
                    continue
                at = next(s for s in record.steps if s > 0 and rule.judge(record, s).stop)
                kept = curve.values[curve.steps == verdict.keep]
                lost = float(kept[0] / curve.values.min()) if len(kept) else np.nan
                yield rule.name, True, at / when.get("tau_val", np.nan), at / when.get("tau_copy[0.05]", np.nan), lost


def power(files: list[Path]) -> str:
    """The table of stops of real runs."""
    found: dict[str, list[tuple[bool, float, float, float]]] = {}
    for name, *rest in stops(files):
        found.setdefault(name, []).append(tuple(rest))  # type: ignore[arg-type]
    lines = [
        "| rule | runs | stopped | stop / tau_val (10 to 90 %) | stop / tau_copy[0.05] (10 to 90 %) "
        "| kept loss / lowest, median, 90 % |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in found.items():
        table = np.array(runs, dtype=float)
        spans = [_span(table[:, k]) for k in (1, 2)]
        lost = table[:, 3][np.isfinite(table[:, 3])]
        kept = f"{np.median(lost):.3f}, {np.quantile(lost, 0.9):.3f}" if len(lost) else ""
        lines.append(f"| {name} | {len(table)} | {table[:, 0].mean():.0%} | {spans[0]} | {spans[1]} | {kept} |")
    return "\n".join(lines)


def _span(values: Floats) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["false-alarms", "few-items", "power"])
    parser.add_argument("files", nargs="*", type=Path, help="of power: sealed studies, or folders with runs")
    parser.add_argument("--runs", type=int, default=500, help="of each course, jitter and correlation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jitters", nargs="*", type=float, default=JITTERS, help="of the weights, of false-alarms")
    parser.add_argument("--correlations", nargs="*", type=float, default=CORRELATIONS, help="of it from look to look")
    given = parser.parse_args()
    made: dict[str, Callable[[], str]] = {
        "false-alarms": lambda: false_alarms(given.runs, given.seed, given.jitters, given.correlations),
        "few-items": lambda: few_items(given.runs, given.seed),
        "power": lambda: power(given.files),
    }
    print(made[given.what]())


if __name__ == "__main__":
    main()
