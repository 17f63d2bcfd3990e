"""Do clocks stay silent where nothing happened, and do their intervals hold what they promise?

    python benchmarks/clocks.py false-alarms --runs 100        # made up runs in which nothing happens
    python benchmarks/clocks.py intervals --runs 200           # made up runs in which it is known when something does
    python benchmarks/clocks.py twins experiments/*/*.sealed   # real runs: does the interval of one hold the other?

The rule, stated before it was tried on these seeds: a clock is right if it is located in at most 5 % of the runs in
which nothing happens, for every cadence and every correlation of the jitter from look to look.

Made up losses: a course shared by all items, times a jitter of the weights that all items share (a standard deviation
of 1 or 3 %, autoregressive from look to look), times what is each item's own, a part of which changes over training.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from taumem.analysis import (
    find_onsets,
    tau_copy,
    tau_gap,
    tau_gap_grown,
    tau_gap_sym,
    tau_gen,
    tau_level,
    tau_split,
    tau_val,
)
from taumem.analysis.course import FEWEST_LOOKS, Course
from taumem.analysis.placing import Placed
from taumem.analysis.twins import TwinLosses
from taumem.record import Curve, read_runs

Floats = NDArray[np.float64]

CADENCES = {"2 a doubling": 2.0, "4": 4.0, "8": 8.0, "even steps": 0.0}
"""Looks while the steps double; 0: at even distances, as most trainers log."""
CORRELATIONS = (0.0, 0.5, 0.8)
JITTERS = (0.01, 0.03)
COURSES = ("flat", "falling", "falling, then flat")
FIRST = 16


# --- what is made up --------------------------------------------------------------------------------------------------


class MadeUp:
    """A run that is made up: looks, and draws of what jitters."""

    def __init__(self, rng: np.random.Generator, per_doubling: float, rho: float, jitter: float) -> None:
        doublings = float(rng.choice([5, 7, 9]))
        if per_doubling:
            looks = FIRST * 2 ** (np.arange(per_doubling * doublings + 1) / per_doubling)
        else:
            looks = FIRST * np.arange(1, 51)
        self.steps = np.unique(np.round(looks)).astype(np.int64)
        self.rng, self.rho, self.jitter = rng, rho, jitter
        self.u = np.log(self.steps / self.steps[0]) / math.log(self.steps[-1] / self.steps[0])

    def correlated(self, rho: float, *shape: int) -> Floats:
        """Standard normal draws [looks, ...], autoregressive from look to look."""
        fresh = self.rng.standard_normal((len(self.steps), *shape))
        for k in range(1, len(fresh)):
            fresh[k] = rho * fresh[k - 1] + math.sqrt(1 - rho**2) * fresh[k]
        return fresh

    def losses(self, course: Floats, own: Floats | int, common: Floats | None = None) -> Floats:
        """The loss of each item [looks, items] around a course [looks] of its logarithm.

        Args:
            course: what all items share.
            own: how hard each item is, or how many there are.
            common: what jitters, drawn if None.
        """
        common = self.correlated(self.rho) if common is None else common
        own = self.hardness(own) if isinstance(own, int) else own
        return np.exp(course + self.jitter * common)[:, None] * own * np.exp(0.05 * self.correlated(0.7, len(own)))

    def hardness(self, n_items: int) -> Floats:
        """How hard each item is: its loss over that of all."""
        return self.rng.gamma(4.0, 0.25, n_items)

    def course(self, kind: str) -> Floats:
        """The logarithm of a loss [looks] that never turns."""
        depth, end = self.rng.uniform(0.1, 1.2), self.rng.uniform(0.3, 0.8)
        return {
            "flat": 0 * self.u,
            "falling": -depth * self.u,
            "falling, then flat": -depth * np.minimum(self.u / end, 1),
        }[kind]

    def curve(self, quantity: str, items: Floats) -> Curve:
        """A loss as a record holds it."""
        nothing = np.full(len(self.steps), np.nan)
        counts = np.full(len(self.steps), items.shape[1])
        return Curve(
            quantity, self.steps, 16 * self.steps, items.mean(1), nothing, nothing, nothing, counts, None, items
        )

    def counted(self, quantity: str, share: Floats, n: int) -> Curve:
        """A share that is counted among the same samples at every look: their luck lasts as the jitter does."""
        nothing = np.full(len(self.steps), np.nan)
        luck = self.correlated(self.rho, n)
        values = (luck < ndtri(share)[:, None]).mean(1)
        return Curve(quantity, self.steps, 16 * self.steps, values, nothing, nothing, nothing, np.full(len(share), n))

    def held_out_count(self, share: float, n: int) -> Curve:
        """Chance: counted once, among held-out items."""
        nothing = np.full(len(self.steps), np.nan)
        values = np.full(len(self.steps), self.rng.binomial(n, share) / n)
        return Curve("chance", self.steps, 16 * self.steps, values, nothing, nothing, nothing, np.full(len(values), n))

    def twins(self, gap: Floats, n_items: int) -> TwinLosses:
        """The losses of two models on each other's sets, with a gap [looks] between them."""
        models = [self.correlated(self.rho) for _ in range(2)]
        sets = [self.hardness(n_items) for _ in range(2)]

        def losses(model: int, items: int) -> Floats:
            return self.losses(np.log1p(-gap) if model == items else 0 * gap, sets[items], models[model])

        return TwinLosses(self.steps, 16 * self.steps, losses(0, 0), losses(1, 0), losses(1, 1), losses(0, 1))


# --- nothing happens --------------------------------------------------------------------------------------------------


def _stopped(run: MadeUp, items: Floats) -> bool:
    """Whether a guard that asks at every look would have stopped the run."""
    x = np.log(run.steps)
    return any(Course.of(x[:k], items[:k]).rise > 5 for k in range(FEWEST_LOOKS, len(x) + 1))


def _events(run: MadeUp, kind: str, rng: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """What each clock says of one run in which nothing happens."""
    n_train, n_heldout = int(rng.choice([16, 64, 128])), int(rng.choice([64, 128, 256]))
    course = run.course(kind)
    items = run.losses(course, n_heldout)
    heldout = run.curve("heldout_loss", items)
    if kind != "falling, then flat":  # there, the first learning does end
        yield "tau_gen", tau_gen(heldout).usable
    yield "tau_val", tau_val(heldout).usable
    yield "guard, whole run", _stopped(run, items)
    common = run.correlated(run.rho)
    train = run.curve("train_loss", run.losses(course, n_train, common))
    heldout = run.curve("heldout_loss", run.losses(course, n_heldout, common))
    for x in (0.1, 0.2):
        yield f"tau_gap[{x}]", tau_gap(train, heldout, threshold=x).usable
        yield f"tau_gap_grown[{x}]", tau_gap_grown(train, heldout, threshold=x).usable
        yield f"tau_gap_sym[{x}]", tau_gap_sym(run.twins(0 * run.u, n_train), threshold=x).usable
    n, chance = int(rng.choice([64, 128, 512, 1024])), float(rng.choice([0.0, 0.02, 0.1]))
    copies = run.counted("copy_fraction", np.full(len(run.u), chance), n)
    for x in (0.03, 0.05, 0.1):
        expected = run.held_out_count(chance, n_heldout)
        yield f"tau_copy[{x}], tau_infill[{x}]", tau_copy(copies, expected, threshold=x).usable
    yield "tau_level", tau_level(run.counted("valid[1]", np.full(len(run.u), 0.4), n)).usable
    level = 0.85 * (1 + run.jitter * run.correlated(run.rho))[:, None]
    alike = run.curve("agreement", level + 0.15 * run.correlated(0.9, n_train))
    yield "tau_split", tau_split(alike).usable


def false_alarms(runs: int, seed: int) -> str:
    """The table of false alarms, in percent: clocks down, cadences and correlations across."""
    alarms: dict[tuple[str, ...], list[bool]] = {}
    for number, (jitter, (cadence, q), rho) in enumerate(
        (j, c, r) for j in JITTERS for c in CADENCES.items() for r in CORRELATIONS
    ):
        rng = np.random.default_rng([seed, number])
        for kind in COURSES:
            for _ in range(runs):
                for clock, located in _events(MadeUp(rng, q, rho, jitter), kind, rng):
                    alarms.setdefault((clock, f"{jitter:.0%}", cadence, f"{rho:g}"), []).append(located)
    clocks = list(dict.fromkeys(key[0] for key in alarms))
    columns = [(c, f"{r:g}") for c in CADENCES for r in CORRELATIONS]
    lines = [
        "| clock | jitter | " + " | ".join(f"{c}, {r}" for c, r in columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for clock in clocks:
        for jitter in JITTERS:
            cells = [100 * np.mean(alarms[clock, f"{jitter:.0%}", c, r]) for c, r in columns]
            lines.append(f"| `{clock}` | {jitter:.0%} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    return "\n".join(lines)


# --- something happens, and it is known when --------------------------------------------------------------------------


def _known(run: MadeUp, rng: np.random.Generator) -> Iterator[tuple[str, Placed, float]]:
    """By clock, its onset in a run in which it is known when it happened."""
    when = float(np.exp(np.quantile(np.log(run.steps), rng.uniform(0.35, 0.65))))
    n_train, n_heldout, v = int(rng.choice([32, 64, 128])), int(rng.choice([64, 128, 256])), run.steps / when
    turning = np.log(0.5 + 0.2 * (v**-0.6 / 0.6 + v**0.8 / 0.8))
    yield "tau_val", tau_val(run.curve("heldout_loss", run.losses(turning, n_heldout))), when
    common, x = run.correlated(run.rho), 0.2
    gap = np.clip(x + 0.15 * np.log(v), 0.0, 0.9)
    train = run.curve("train_loss", run.losses(np.log1p(-gap), n_train, common))
    heldout = run.curve("heldout_loss", run.losses(0 * gap, n_heldout, common))
    yield "tau_gap[0.2]", tau_gap(train, heldout, threshold=x), when
    yield "tau_gap_sym[0.2]", tau_gap_sym(run.twins(gap, n_train), threshold=x), when
    for n in (64, 128, 512, 1024):
        share = 0.02 + 0.05 * v**1.5 / (1 + 0.05 * (v**1.5 - 1))
        chance = run.held_out_count(0.02, n_heldout)
        yield f"tau_copy[0.05] of {n}", tau_copy(run.counted("copy_fraction", share, n), chance, threshold=0.05), when


def intervals(runs: int, seed: int) -> str:
    """How often 90 % intervals hold the truth, and where onsets lie, over cadences and correlations."""
    found: dict[str, list[tuple[Placed, float]]] = {}
    for number, (q, rho) in enumerate((q, r) for q in (2.0, 4.0, 8.0) for r in CORRELATIONS):
        rng = np.random.default_rng([seed, 1000 + number])
        for _ in range(runs):
            for clock, placed, when in _known(MadeUp(rng, q, rho, 0.003), rng):
                found.setdefault(clock, []).append((placed, when))
    lines = ["| clock | located | its 90 % interval holds the truth | bias ± scatter, doublings |", "|---|---|---|---|"]
    for clock, each in found.items():
        located = [(placed, when) for placed, when in each if placed.usable]
        holds = np.mean([placed.low <= when <= placed.high for placed, when in located])
        off = np.log2([placed.step / when for placed, when in located])
        share = len(located) / len(each)
        lines.append(f"| `{clock}` | {share:.0%} | {holds:.0%} | {off.mean():+.2f} ± {off.std():.2f} |")
    return "\n".join(lines)


# --- real twins -------------------------------------------------------------------------------------------------------


def twins(files: list[Path]) -> str:
    """How often the interval of one twin holds the other's onset: two 90 % intervals of one thing do so in 76 %."""
    lines = [
        "| study | clock | pairs | seeds | holds the other twin | scatter of a run | of its interval |",
        "|---" * 7 + "|",
    ]
    for file in files:
        onsets: dict[str, dict[object, list[object]]] = {}
        for onset in find_onsets(read_runs(file)):
            if onset.run.half in ("a", "b") and onset.usable:
                onsets.setdefault(onset.clock, {}).setdefault(onset.run.pair, []).append(onset)
        for clock, pairs in onsets.items():
            both = [pair for pair in pairs.values() if len(pair) == 2]
            if len(both) < 5:
                continue
            holds = [a.low <= b.step <= a.high for one, other in both for a, b in ((one, other), (other, one))]
            scatter = math.sqrt(np.mean([math.log(a.step / b.step) ** 2 for a, b in both]) / 2)
            width = np.mean([math.log(o.high / max(o.low, 1e-9)) / 2 / 1.645 for pair in both for o in pair])
            seeds = len({o.run.seed for pair in both for o in pair})
            cells = (
                file.stem,
                f"`{clock}`",
                len(both),
                seeds,
                f"{np.mean(holds):.0%}",
                f"{scatter:.3f}",
                f"{width:.3f}",
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["false-alarms", "intervals", "twins"])
    parser.add_argument("files", nargs="*", type=Path, help="of twins: sealed studies, or folders with runs")
    parser.add_argument("--runs", type=int, default=100, help="in each cell")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    made: dict[str, Callable[[], str]] = {
        "false-alarms": lambda: false_alarms(arguments.runs, arguments.seed),
        "intervals": lambda: intervals(arguments.runs, arguments.seed),
        "twins": lambda: twins(arguments.files),
    }
    print(made[arguments.what]())


if __name__ == "__main__":
    main()
