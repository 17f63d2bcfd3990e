"""What came out of the arms of experiments/unit: how much each unit explains, exponents by arm, and what noise does.

    python experiments/unit/tables.py                       # from the sealed studies beside this file
    python experiments/unit/tables.py --runs FOLDER         # from the folders that arms.py made
    python experiments/unit/tables.py --noise               # writes what noise does into noise.json

Tables in Markdown, as docs/unit.md has them.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from arms import DOMAINS
from scipy.special import stdtrit

from taumem import find_onsets, read_runs
from taumem.analysis import Onset
from taumem.analysis.onset import NOISE
from taumem.analysis.timeline import in_effective_time
from taumem.errors import TaumemError
from taumem.record import write_atomically

HERE = Path(__file__).parent
NOISES = HERE / "noise.json"
CLOCKS = ("tau_val", "tau_gap[0.1]", "tau_gap[0.2]", "tau_copy[0.05]")
KINDS = {"grammar": "strings", "images": "images", "text": "texts"}
LEARNED = "adamw-"
"""The arms that noise is learned from: Adam at constant rates."""
FURTHER = 0.3
"""Relative uncertainty that is added to what noise does: clocks and data differ by as much."""

Arms = dict[str, dict[str, list[Onset]]]
"""Onsets of all clocks by unit and by arm."""


def arms_in(place: Path) -> Arms:
    """The onsets of a domain."""
    runs = {record.header.key: record for record in read_runs(place) if record.measurements}
    steps: dict[str, list[Onset]] = defaultdict(list)
    times: dict[str, list[Onset]] = defaultdict(list)
    for onset in find_onsets(list(runs.values())):
        arm = onset.run.experiment.split("-", 2)[2]
        if onset.clock in CLOCKS:
            steps[arm].append(onset)
            if (in_time := in_effective_time(onset, [runs[onset.run]])) is not None:
                times[arm].append(in_time)
    return {"steps": steps, "effective_time": times}


def onsets_of(arms: Arms, clock: str, unit: str) -> dict[str, list[Onset]]:
    """The onsets of a clock by arm."""
    return {arm: own for arm, of in arms[unit].items() if (own := [o for o in of if o.clock == clock])}


def pooled(onsets: Iterable[Sequence[Onset]]) -> list[Onset]:
    """All located ones."""
    return [o for own in onsets for o in own if o.usable]


@dataclass(frozen=True)
class Fit:
    """A power law by least squares in logarithms.

    Attributes:
        coefficients: by name: each with half the width of its 90 % t interval.
        scatter: of the logarithms about the law.
    """

    coefficients: dict[str, tuple[float, float]]
    scatter: float

    def told(self, name: str) -> str:
        """A coefficient with half its interval."""
        return "{:.2f} ± {:.2f}".format(*self.coefficients[name]) if name in self.coefficients else ""


def fitted(onsets: Sequence[Onset], *names: str, passes: bool = False) -> Fit | None:
    """The fit of log tau to log P and to what is named; None where the onsets cannot tell.

    Args:
        onsets: located ones.
        names: ``B`` (its exponent is -k), ``rate`` or ``noise``, beside P.
        passes: whether tau is counted in passes over the data.
    """
    values = {
        "P": [math.log(o.n_train) for o in onsets],
        "B": [-math.log(o.batch_size) for o in onsets],
        "rate": [-math.log(o.settings["training.learning_rate"]) for o in onsets],
        "noise": [o.settings.get(NOISE, math.nan) for o in onsets],
    }
    used = ("P", *names)
    design = np.column_stack([np.ones(len(onsets)), *(values[name] for name in used)])
    freedom = len(onsets) - design.shape[1]
    if freedom < 2 or not np.isfinite(design).all() or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    y = np.log([o.step * (o.batch_size / o.n_train if passes else 1) for o in onsets])
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    rest = y - design @ found
    scatter = math.sqrt(rest @ rest / freedom)
    halves = stdtrit(freedom, 0.95) * scatter * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    pairs = zip(found[1:].tolist(), halves[1:].tolist(), strict=True)
    return Fit(dict(zip(used, pairs, strict=True)), scatter)


def explained(domain: str, arms: Arms) -> Iterator[str]:
    """A line for each clock and group of arms: the scatter that is left in each unit."""
    groups = {
        "all": lambda arm: not arm.startswith(("ema", "rmsprop", "warmup", "cosine")),
        "Adam": lambda arm: arm.startswith("adamw"),
        "Adam, 3e-4 and 1.2e-3": lambda arm: arm.startswith(("adamw-0.0003", "adamw-0.0012")),
        "Adam, 3e-4": lambda arm: arm.startswith("adamw-0.0003"),
        "SGD": lambda arm: arm.startswith("sgd"),
    }
    for clock in CLOCKS:
        steps, times = (onsets_of(arms, clock, unit) for unit in ("steps", "effective_time"))
        for group, belongs in groups.items():
            in_steps, in_time = (pooled(own for arm, own in of.items() if belongs(arm)) for of in (steps, times))
            if len(in_steps) < 9:
                continue
            fits = (
                fitted(in_steps),
                fitted(in_steps, passes=True),
                batch := fitted(in_steps, "B"),
                fitted(in_steps, "B", "rate"),
                fitted(in_time),
                noise := fitted(in_time, "noise"),
            )
            told = ("" if fit is None else f"{fit.scatter:.2f}" for fit in fits)
            numbers = (noise.told("P"), noise.told("noise")) if noise else ("", "")
            yield row(domain, f"`{clock}`", group, len(in_steps), *told, *numbers, batch.told("B") if batch else "")


def by_arm(domain: str, arms: Arms, clock: str) -> Iterator[str]:
    """A line for each optimizer and rate: exponents of P and of B, in steps and in effective time."""
    steps, times = (onsets_of(arms, clock, unit) for unit in ("steps", "effective_time"))
    for family in sorted({arm.rpartition("-B")[0] for arm in steps}):
        mine = [arm for arm in steps if arm.rpartition("-B")[0] == family]
        in_steps, in_time = pooled(steps[arm] for arm in mine), pooled(times.get(arm, ()) for arm in mine)
        if len(in_steps) >= 5:
            fits = [fitted(of, "B") or fitted(of) for of in (in_steps, in_time)]
            cells = [fit.told(name) if fit else "" for fit in fits for name in ("P", "B")]
            yield row(domain, f"`{clock}`", family, len(in_steps), *cells)


def by_size(domain: str, arms: Arms, clock: str) -> Iterator[str]:
    """A line for each arm and size: located runs, the geometric means of onsets in steps and in T, and the heat."""
    times = onsets_of(arms, clock, "effective_time")
    for arm, own in onsets_of(arms, clock, "steps").items():
        for n_train in sorted({o.n_train for o in own}):
            steps, in_time = (pooled([[o for o in of if o.n_train == n_train]]) for of in (own, times[arm]))
            if steps:
                middle = (math.exp(np.mean([math.log(o.step) for o in of])) for of in (steps, in_time))
                heat = np.mean([o.settings[NOISE] for o in in_time]) / n_train**0.5
                means = (*(f"{mean:,.0f}" for mean in middle), f"{heat:.3f}")
                yield row(
                    domain,
                    f"`{clock}`",
                    arm,
                    n_train,
                    f"{len(steps)} of {sum(o.n_train == n_train for o in own)}",
                    *means,
                )


def noise_of(arms: Arms, clock: str) -> tuple[float, float] | None:
    """What log tau gains per unit of noise: mean and standard deviation."""
    onsets = pooled(own for arm, own in onsets_of(arms, clock, "effective_time").items() if arm.startswith(LEARNED))
    fit = fitted(onsets, "noise") if len(onsets) >= 8 else None
    if fit is None:
        return None
    value, half = fit.coefficients["noise"]
    return value, math.hypot(half / 1.645, FURTHER * value)


def write_noise(studies: dict[str, Arms]) -> None:
    """Write what noise does, by kind of items: a mean and a standard deviation, for tau_val and for other clocks."""
    table: dict[str, dict[str, list[float]]] = {"tau_val": {}, "others": {}}
    for domain, kind in KINDS.items():
        for name, clocks in (("tau_val", CLOCKS[:1]), ("others", CLOCKS[1:])):
            found = [noise for clock in clocks if (noise := noise_of(studies[domain], clock)) is not None]
            if found:
                mean, sd = np.mean(found, axis=0)
                table[name][kind] = [round(float(mean), 2), round(float(sd), 2)]
    write_atomically(NOISES, json.dumps(table, indent=2) + "\n")
    print(json.dumps(table))


def row(*cells: object) -> str:
    """A line of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder that arms.py wrote to; the sealed studies if not said")
    parser.add_argument("--noise", action="store_true", help="write what noise does into noise.json")
    asked = parser.parse_args()
    places = {d: asked.runs / d if asked.runs else HERE / f"{d}.sealed" for d in DOMAINS}
    studies = {domain: arms_in(place) for domain, place in places.items() if place.exists()}
    if asked.noise:
        write_noise(studies)
        return
    heads = (
        "steps",
        "passes",
        "steps, B",
        "steps, B, rate",
        "T",
        "T, noise",
        "a in T, noise",
        "per noise",
        "k in steps",
    )
    print(row("data", "clock", "arms", "onsets", *heads), row(*["---"] * 13), sep="\n")
    for domain, arms in studies.items():
        print(*explained(domain, arms), sep="\n")
    print()
    print(row("data", "clock", "arms", "onsets", "a, steps", "k, steps", "a, T", "k, T"), row(*["---"] * 8), sep="\n")
    for domain, arms in studies.items():
        for clock in CLOCKS:
            print(*by_arm(domain, arms, clock), sep="\n")
    print()
    print(row("data", "clock", "arm", "P", "located", "steps", "T", "heat"), row(*["---"] * 8), sep="\n")
    for domain, arms in studies.items():
        for clock in CLOCKS[1:3]:
            print(*by_size(domain, arms, clock), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
