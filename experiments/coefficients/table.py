"""What coefficients do to the clocks: by which factor each arm moves tau, and whether it moves the exponent of P.

    python experiments/coefficients/table.py read -o RUNS   # the onsets of these runs, to onsets.tsv
    python experiments/coefficients/table.py                # the tables of docs/transfer.md, from onsets.tsv

A factor is that of one law for an arm and its base together, tau = c P^a e^(b z), with z = 1 in the arm and 0 in the
base: exp(b), with its interval, bounds included. For the exponent the law has a second covariate, z log(P / P_0). The
rates' and widths' powers are those of one law for all their arms.
"""

import argparse
import csv
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from arms import DOMAINS, arms_of, experiment_of

from taumem import Interval, Law, Onset, Study, fit_law, read_runs
from taumem.analysis.settings import numbers_of
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import RunKey

HERE = Path(__file__).parent
ONSETS = HERE / "onsets.tsv"
CLOCKS = ("tau_val", "tau_gap[0.1]", "tau_gap[0.2]", "tau_copy[0.05]")
NAMES = ("domain", "arm", "clock", "n_train", "seed", "censored", "step", "low", "high")
POWERS = {
    "rate": ("training.learning_rate", ("base", "rate-0.25", "rate-4")),
    "width": ("model.width", ("base", "width-0.5", "width-2")),
}
AUGMENTED = ("flips", "shifts-1", "flips-shifts-1")
FEWEST = 6
"""Located onsets below which no factor is given."""


def read(folder: Path) -> None:
    """Write the onsets of all arms that have been made; arms without runs in this folder keep what they had."""
    with ONSETS.open() as source:
        had = [tuple(row) for row in csv.reader(source, delimiter="\t")][1:]
    rows: list[tuple[str | int | float, ...]] = []
    for domain in DOMAINS:
        for arm in arms_of(domain):
            rows += list(_rows(folder, domain, arm)) or [row for row in had if row[:2] == (domain, arm)]
    with ONSETS.open("w", newline="") as out:
        csv.writer(out, delimiter="\t", lineterminator="\n").writerows([NAMES, *rows])
    print(f"{len(rows)} onsets of {len({row[:2] for row in rows})} arms: {ONSETS.name}")


def _rows(folder: Path, domain: str, arm: str) -> Iterator[tuple[str | int | float, ...]]:
    if (folder / domain / arm).is_dir():
        for onset in Study.of(read_runs(folder / domain / arm)).onsets:
            if onset.clock in CLOCKS:
                numbers = (round(x, 2) for x in (onset.step, onset.low, onset.high))
                yield domain, arm, onset.clock, onset.n_train, onset.seed or 0, onset.censored, *numbers


def onsets_of(domain: str, arm: str, clock: str) -> list[Onset]:
    """An arm's onsets, with the settings of its experiment."""
    experiment = experiment_of(domain, arm)
    settings, batch = numbers_of(experiment.recipe), experiment.training.batch_size
    with ONSETS.open() as source:
        rows = list(csv.DictReader(source, delimiter="\t"))
    found = []
    for row in rows:
        if (row["domain"], row["arm"], row["clock"]) == (domain, arm, clock):
            run = RunKey(int(row["n_train"]), int(batch), int(row["seed"]), experiment=arm)
            numbers = (float(row[name]) for name in ("step", "low", "high"))
            found.append(Onset(*numbers, row["censored"], clock, run, settings=settings))
    return found


def with_settings(onset: Onset, settings: Mapping[str, float]) -> Onset:
    """An onset as if its run had these settings, of the base's clock and name."""
    run = RunKey(onset.n_train, onset.batch_size, onset.seed)
    return Onset(onset.step, onset.low, onset.high, onset.censored, onset.clock, run, settings=dict(settings))


def joined(base: Sequence[Onset], arm: Sequence[Onset]) -> list[Onset]:
    """Both, told apart by z."""
    sizes = [onset.n_train for onset in base]
    middle = math.exp(sum(map(math.log, sizes)) / len(sizes))
    both = [(onset, 0.0) for onset in base] + [(onset, 1.0) for onset in arm]
    return [with_settings(o, {"z": z, "z log P": z * math.log(o.n_train / middle)}) for o, z in both]


def coefficient(onsets: Sequence[Onset], *names: str) -> tuple[Law, Interval] | None:
    """A law with these covariates, and the coefficient of the last; None where too little was located."""
    if sum(onset.usable for onset in onsets) < FEWEST:
        return None
    try:
        law = fit_law(onsets, exponent=None, covariates=names)
    except ConfigError:
        return None
    return law, next(each.coefficient for each in law.covariates if each.name == names[-1])


def located(onsets: Sequence[Onset]) -> str:
    """How many of the onsets were located, where it is not all."""
    n = sum(onset.usable for onset in onsets)
    return "" if n == len(onsets) else f" ({n} of {len(onsets)})"


def bound(onsets: Sequence[Onset], base: Sequence[Onset]) -> str:
    """By which factor every run's bound is above the base's onset of its size and seed, where those are located."""
    steps = {(o.n_train, o.seed): o.step for o in base if o.usable}
    pairs = [(o, steps[o.n_train, o.seed]) for o in onsets if (o.n_train, o.seed) in steps]
    if not pairs or any(onset.censored != "right" for onset, _ in pairs):
        return "-"
    return f"> {min(onset.low / step for onset, step in pairs):.2f}"


def print_factors(domain: str) -> None:
    """By arm and clock, the factor and what it does to the exponent."""
    print(f"\n{domain}\n")
    clocks = [clock for clock in CLOCKS if sum(o.usable for o in onsets_of(domain, "base", clock)) >= FEWEST]
    print("| arm | " + " | ".join(f"{clock}: factor | exponent, change" for clock in clocks) + " |")
    print("|---|" + "---|---|" * len(clocks))
    laws = {clock: fit_law(onsets_of(domain, "base", clock), exponent=None) for clock in clocks}
    of_base = [f"1 | {text(laws[clock].exponent)} (its value)" for clock in clocks]
    print("| base | " + " | ".join(of_base) + " |")
    for arm in arms_of(domain):
        if arm == "base" or not any(onsets_of(domain, arm, clock) for clock in clocks):
            continue
        cells = []
        for clock in clocks:
            onsets = onsets_of(domain, arm, clock)
            both = joined(onsets_of(domain, "base", clock), onsets)
            factor, shift = coefficient(both, "z"), coefficient(both, "z", "z log P")
            if sum(o.usable for o in onsets) < 3 or factor is None:
                cells.append(f"{bound(onsets, onsets_of(domain, 'base', clock))}{located(onsets)} | -")
                continue
            cell = text(factor[1], of_log=True) + located(onsets) + " | " + ("-" if shift is None else text(shift[1]))
            cells.append(cell)
        print(f"| {arm} | " + " | ".join(cells) + " |")


def print_equivalents(domain: str) -> None:
    """By augmentation and clock, the size of the training set that would do the same, over P."""
    for clock in CLOCKS:
        base = onsets_of(domain, "base", clock)
        if sum(onset.usable for onset in base) < FEWEST:
            continue
        for arm in (arm for arm in AUGMENTED if arm in arms_of(domain)):
            found = coefficient(joined(base, onsets_of(domain, arm, clock)), "z")
            if found is not None:
                law, b = found
                a = law.exponent.value
                equivalent = Interval(*(x / a for x in (b.value, b.low, b.high)), b.confidence)
                print(f"{domain}, {arm}, {clock}: as {text(equivalent, of_log=True)} P, at the exponent {a:.2f}")


def print_powers(domain: str) -> None:
    """By clock, the powers of the rate and of the width."""
    for name, (setting, arms) in POWERS.items():
        for clock in CLOCKS:
            onsets = [with_width(o) for arm in arms for o in onsets_of(domain, arm, clock)]
            if found := coefficient(onsets, setting):
                print(f"{domain}, {clock}: tau goes as {name}^{text(found[1])}")


def with_width(onset: Onset) -> Onset:
    """A tree has a list of widths, of which the last is the largest."""
    width = onset.settings.get("model.width", float("nan"))
    if math.isnan(width):
        factor = {"width-0.5": 0.5, "width-2": 2.0}.get(onset.run.experiment, 1.0)
        width = 384 * factor
    return with_settings(onset, {**onset.settings, "model.width": width})


def text(interval: Interval, *, of_log: bool = False) -> str:
    """An interval, or that of its exponential."""
    numbers = (interval.value, interval.low, interval.high)
    return "{:.2f} [{:.2f}, {:.2f}]".format(*(map(math.exp, numbers) if of_log else numbers))


def main() -> None:
    """Read the runs, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", choices=("read", "print"), default="print")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "runs", help="folder of the runs")
    asked = parser.parse_args()
    if asked.step == "read":
        read(asked.output)
        return
    with ONSETS.open() as source:
        made = {row["domain"] for row in csv.DictReader(source, delimiter="\t")}
    for domain in (domain for domain in DOMAINS if domain in made):
        print_factors(domain)
    print()
    for domain in (domain for domain in DOMAINS if domain in made):
        print_powers(domain)
        print_equivalents(domain)


if __name__ == "__main__":
    warnings.simplefilter("ignore", TaumemWarning)
    sys.stdout.reconfigure(encoding="utf-8")
    main()
