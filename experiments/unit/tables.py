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
from pathlib import Path

import numpy as np
from arms import DOMAINS

from taumem import find_onsets, fit_law, read_runs
from taumem.analysis import Law, Onset
from taumem.analysis.onset import NOISE
from taumem.errors import ConfigError, TaumemError
from taumem.record import RunRecord, write_atomically

HERE = Path(__file__).parent
NOISES = HERE / "noise.json"
CLOCKS = ("tau_val", "tau_gap[0.1]", "tau_gap[0.2]", "tau_copy[0.05]")
KINDS = {"grammar": "strings", "images": "images", "text": "texts"}
LEARNED = "adamw-"
"""The arms that noise is learned from: Adam at constant rates."""
FURTHER = 0.3
"""Relative uncertainty that is added to what noise does: clocks and data differ by as much."""

Arms = dict[str, list[RunRecord]]


def arms_in(place: Path) -> Arms:
    """The runs of a domain by arm."""
    arms: Arms = defaultdict(list)
    for record in read_runs(place):
        if record.measurements:
            arms[record.header.name.split("-", 2)[2]].append(record)
    return arms


def onsets_of(arms: Arms, clock: str, unit: str) -> dict[str, list[Onset]]:
    """The onsets of a clock by arm."""
    found = {arm: find_onsets(records, unit=unit) for arm, records in arms.items()}
    return {arm: own for arm, of in found.items() if (own := [o for o in of if o.clock == clock])}


def pooled(onsets: Iterable[Sequence[Onset]]) -> list[Onset]:
    """All located ones."""
    return [o for own in onsets for o in own if o.usable]


def law_or_none(onsets: Sequence[Onset], **options: object) -> Law | None:
    """A law with a free exponent, if there can be one."""
    try:
        return fit_law(onsets, exponent=None, **options)
    except ConfigError:
        return None


def scatter(onsets: Sequence[Onset], law: Law | None) -> str:
    """The scatter about a law, in log."""
    return "" if law is None else f"{law.sigma.value:.2f}"


def explained(domain: str, arms: Arms) -> Iterator[str]:
    """A line for each clock: the scatter that is left in each unit, over all arms and over those of Adam."""
    groups = {
        "all": lambda arm: not arm.startswith(("ema", "rmsprop", "warmup", "cosine")),
        "Adam": lambda arm: arm.startswith("adamw"),
        "Adam, 3e-4": lambda arm: arm.startswith("adamw-0.0003"),
        "Adam, 3e-4 and 1.2e-3": lambda arm: arm.startswith(("adamw-0.0003", "adamw-0.0012")),
        "SGD": lambda arm: arm.startswith("sgd"),
    }
    for clock in CLOCKS:
        steps, times = (onsets_of(arms, clock, unit) for unit in ("steps", "effective_time"))
        for group, belongs in groups.items():
            in_steps, in_time = (pooled(own for arm, own in of.items() if belongs(arm)) for of in (steps, times))
            if len(in_steps) < 9 or len({(o.n_train, o.batch_size) for o in in_steps}) < 6:
                continue
            plain = law_or_none(in_steps, batch_exponent=0.0)
            passes = law_or_none(in_steps, batch_exponent=1.0)
            batch = law_or_none(in_steps)
            rate = law_or_none(in_steps, covariates=["training.learning_rate"])
            time, noise = law_or_none(in_time), law_or_none(in_time, covariates=[NOISE])
            cells = [scatter(in_steps, law) for law in (plain, passes, batch, rate, time, noise)]
            k = batch.batch_exponent if batch else None
            numbers = [
                "" if noise is None else f"{noise.exponent.value:.2f} ± {half(noise.exponent):.2f}",
                "" if noise is None else f"{noise.covariates[0].coefficient.value:.2f}",
                "" if k is None else f"{k.value:.2f} ± {half(k):.2f}",
            ]
            yield row(domain, f"`{clock}`", group, len(in_steps), *cells, *numbers)


def half(interval: object) -> float:
    """Half the width of an interval."""
    return (interval.high - interval.low) / 2  # type: ignore[attr-defined]


def by_arm(domain: str, arms: Arms, clock: str) -> Iterator[str]:
    """A line for each optimizer and rate: exponents of P and of B, in steps and in effective time."""
    steps, times = (onsets_of(arms, clock, unit) for unit in ("steps", "effective_time"))
    for family in sorted({arm.rpartition("-B")[0] for arm in steps}):
        mine = [arm for arm in steps if arm.rpartition("-B")[0] == family]
        in_steps, in_time = pooled(steps[arm] for arm in mine), pooled(times.get(arm, ()) for arm in mine)
        if len(in_steps) < 5:
            continue
        law, in_t = law_or_none(in_steps), law_or_none(in_time, batch_exponent=None)
        cells = []
        for each in (law, in_t):
            k = each.batch_exponent if each else None
            cells += [
                "" if each is None else f"{each.exponent.value:.2f} ± {half(each.exponent):.2f}",
                "" if k is None else f"{k.value:.2f} ± {half(k):.2f}",
            ]
        yield row(domain, f"`{clock}`", family, len(in_steps), *cells)


def noise_of(arms: Arms, clock: str) -> tuple[float, float] | None:
    """What log tau gains per unit of noise: mean and standard deviation."""
    onsets = pooled(own for arm, own in onsets_of(arms, clock, "effective_time").items() if arm.startswith(LEARNED))
    law = law_or_none(onsets, covariates=[NOISE]) if len(onsets) >= 8 else None
    if law is None:
        return None
    coefficient = law.covariates[0].coefficient
    return coefficient.value, math.hypot(half(coefficient) / 1.645, FURTHER * coefficient.value)


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


if __name__ == "__main__":
    try:
        main()
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
