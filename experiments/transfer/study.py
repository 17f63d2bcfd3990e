"""Rate and stopping step, chosen on pilots and used at P: the rule of README.md, which was written first.

python experiments/transfer/study.py pilots grammar   # domains: grammar, vectors
python experiments/transfer/study.py choose grammar   # writes grammar.choices.tsv
python experiments/transfer/study.py target grammar   # the runs at P, and grammar.outcomes.tsv
python experiments/transfer/study.py table            # of all outcomes that are there
"""

import argparse
import csv
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from taumem import Experiment, RunRecord, Study, load_experiment, make_study
from taumem.errors import ConfigError, TaumemError, TaumemWarning

sys.path.append(str(Path(__file__).parents[1]))
from making_arms import changed

HERE = Path(__file__).parent
RATES = {
    "grammar": (4e-4, 1.2e-3, 3.6e-3, 1.08e-2),
    "vectors": (4e-4, 1.2e-3, 3.6e-3, 1.08e-2),
}
LONGER = {"grammar": {4e-4: 1.5}, "vectors": {4e-4: 1.5, 3.6e-3: 2.0, 1.08e-2: 4.0}}
"""By domain and rate, how much longer runs may take than the TOML says; README.md tells why those of vectors do."""
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Choice:
    """What a seed's pilots say of the run at P: by transfer, and by its pilots at P/8 alone."""

    seed: int
    rate: float
    step: int
    low: int
    high: int
    has_forecast: bool
    rate_of_eighth: float
    step_of_eighth: int
    pilot_steps: int
    pilot_steps_of_eighth: int


@dataclass(frozen=True)
class Outcome:
    """What a way came to with a seed: the held-out loss, and the steps of all runs."""

    seed: int
    way: str
    rate: float
    step: int
    best_step: int
    loss: float
    steps: int


@dataclass(frozen=True)
class Stop:
    """What a seed's forecast at one rate comes to, against the lowest look of the same run at P."""

    seed: int
    rate: float
    step: int
    low: int
    high: int
    best_step: int
    loss: float
    best_loss: float


class Runs:
    """The runs of a domain, a folder for each rate."""

    def __init__(self, domain: str, folder: Path) -> None:
        self.domain, self.folder = domain, folder / domain
        self.base = load_experiment(HERE / f"{domain}.toml")
        self.pilots, self.target = self.base.sizes[:-1], self.base.sizes[-1]
        self.read = cache(self._read)

    def make(self, rate: float, sizes: Iterable[int], seeds: Iterable[int], at_least: int = 0) -> None:
        """Make runs, or what is left of them; they take this many steps at least."""
        longer = self.base.training.steps_per_example * LONGER[self.domain].get(rate, 1)
        training = {"learning_rate": rate, "steps_per_example": longer}
        training["min_steps"] = max(self.base.training.min_steps, at_least)
        experiment = changed(self.base, f"{self.base.name}-{rate:g}", {"training": training})
        some = experiment.model_dump(mode="json") | {"n_train": list(sizes), "seeds": list(seeds)}
        make_study(Experiment.model_validate(some), self.folder / f"rate-{rate:g}", workers=1)
        self.read.cache_clear()

    def _read(self, rate: float, n_train: int, seed: int) -> RunRecord:
        return RunRecord.read(self.folder / f"rate-{rate:g}" / f"P{n_train:06d}-seed{seed}")

    def lowest(self, rate: float, n_train: int, seed: int) -> tuple[float, int]:
        """The lowest held-out loss of all looks, and its step."""
        curve = self.read(rate, n_train, seed).curve("heldout_loss")
        at = int(np.argmin(curve.values))
        return float(curve.values[at]), int(curve.steps[at])

    def stopped(self, rate: float, seed: int, step: int) -> tuple[float, int]:
        """The held-out loss at P at the first look at or after a step, and where that is."""
        if self.read(rate, self.target, seed).last_step < step:
            self.make(rate, [self.target], [seed], at_least=step)
        curve = self.read(rate, self.target, seed).curve("heldout_loss")
        at = int(np.searchsorted(curve.steps, step))
        return float(curve.values[at]), int(curve.steps[at])

    def steps(self, sizes: Iterable[int], seed: int) -> int:
        """Steps of all rates' runs of these sizes."""
        return sum(self.read(rate, size, seed).last_step for size in sizes for rate in RATES[self.domain])


def choose(runs: Runs) -> list[Choice]:
    """Apply the rule to the pilots of each seed."""
    return [_choice(runs, seed) for seed in runs.base.seeds]


def _choice(runs: Runs, seed: int) -> Choice:
    eighth, half, rates = runs.pilots[0], runs.pilots[-1], RATES[runs.domain]
    rate = min(rates, key=lambda rate: runs.lowest(rate, half, seed)[0])
    of_eighth = min(rates, key=lambda rate: runs.lowest(rate, eighth, seed)[0])
    forecast = _forecast(runs, rate, seed)
    has = forecast is not None
    step, low, high = forecast or (2 * runs.lowest(rate, half, seed)[1], 0, 0)
    return Choice(
        seed,
        rate,
        step,
        low,
        high,
        has,
        of_eighth,
        8 * runs.lowest(of_eighth, eighth, seed)[1],
        runs.steps(runs.pilots, seed),
        runs.steps([eighth], seed),
    )


def _forecast(runs: Runs, rate: float, seed: int) -> tuple[int, int, int] | None:
    """The median of tau_val at P and its interval, from the pilots at a rate; None where they give none."""
    try:
        study = Study.of(runs.read(rate, size, seed) for size in runs.pilots)
        predicted = study.forecast(runs.target).predicted
    except ConfigError:
        return None
    return round(predicted.value), round(predicted.low), round(predicted.high)


def stops(runs: Runs) -> list[Stop]:
    """For each seed and rate with a forecast, what stopping there comes to."""
    found = []
    for seed in runs.base.seeds:
        for rate in RATES[runs.domain]:
            if (forecast := _forecast(runs, rate, seed)) is not None:
                loss, step = runs.stopped(rate, seed, forecast[0])
                best_loss, best_step = runs.lowest(rate, runs.target, seed)
                found.append(Stop(seed, rate, step, *forecast[1:], best_step, loss, best_loss))
    return found


def outcomes(runs: Runs, choices: Iterable[Choice]) -> list[Outcome]:
    """What each way comes to, for each seed; what pilots chose is read from the file."""
    found: list[Outcome] = []
    for chosen in choices:
        seed, target = chosen.seed, runs.target
        all_rates = runs.steps([target], seed)  # before any run is made longer
        ends = {rate: runs.read(rate, target, seed).last_step for rate in RATES[runs.domain]}
        best = min(RATES[runs.domain], key=lambda rate: runs.lowest(rate, target, seed)[0])
        loss, lowest = runs.lowest(best, target, seed)
        found.append(Outcome(seed, "tuned at P", best, lowest, lowest, loss, all_rates))
        rate = chosen.rate_of_eighth
        loss, lowest = runs.lowest(rate, target, seed)
        paid = chosen.pilot_steps_of_eighth + ends[rate]
        found.append(Outcome(seed, "P/8, watched", rate, lowest, lowest, loss, paid))
        of_transfer = runs.lowest(chosen.rate, target, seed)[1]
        loss, step = runs.stopped(rate, seed, chosen.step_of_eighth)
        paid = chosen.pilot_steps_of_eighth + step
        found.append(Outcome(seed, "P/8, as many passes", rate, step, lowest, loss, paid))
        loss, step = runs.stopped(chosen.rate, seed, chosen.step)
        paid = chosen.pilot_steps + step
        found.append(Outcome(seed, "transfer", chosen.rate, step, of_transfer, loss, paid))
    return found


def table(domain: str, found: list[Outcome]) -> None:
    """Print, for each way, how much worse its loss is and how many steps it took."""
    tuned = {each.seed: each for each in found if each.way == "tuned at P"}
    print(f"\n{domain}, {len(tuned)} seeds\n")
    print(
        "| way | held-out loss: worse than tuned at P by | steps in all, over tuned at P | best rate | stop / lowest |"
    )
    print("|---|---|---|---|---|")
    for way in dict.fromkeys(each.way for each in found):
        of_way = [each for each in found if each.way == way]
        loss = mean_and_interval([math.log(each.loss / tuned[each.seed].loss) for each in of_way])
        steps = mean_and_interval([math.log(each.steps / tuned[each.seed].steps) for each in of_way])
        stop = mean_and_interval([math.log(each.step / each.best_step) for each in of_way])
        percent = "{:.1f} % [{:.1f}, {:.1f}]".format(*(100 * math.expm1(x) for x in loss))
        same = sum(each.rate == tuned[each.seed].rate for each in of_way)
        factors = ["{:.2f} [{:.2f}, {:.2f}]".format(*map(math.exp, numbers)) for numbers in (steps, stop)]
        print(f"| {way} | {percent} | {factors[0]} | {same} of {len(of_way)} | {factors[1]} |")


def table_of_stops(domain: str, found: list[Stop]) -> None:
    """Print, for each rate, what stopping at the forecast step costs."""
    print(f"\n{domain}, at each rate\n\n| rate | forecasts | loss over the lowest, less 1 | stop / lowest | held |")
    print("|---|---|---|---|---|")
    for rate in dict.fromkeys(stop.rate for stop in sorted(found, key=lambda stop: stop.rate)):
        here = [stop for stop in found if stop.rate == rate]
        loss = mean_and_interval([math.log(stop.loss / stop.best_loss) for stop in here])
        step = mean_and_interval([math.log(stop.step / stop.best_step) for stop in here])
        percent = "{:.2f} % [{:.2f}, {:.2f}]".format(*(100 * math.expm1(x) for x in loss))
        factor = "{:.2f} [{:.2f}, {:.2f}]".format(*map(math.exp, step))
        held = sum(stop.low <= stop.best_step <= stop.high for stop in here)
        print(f"| {rate:g} | {len(here)} | {percent} | {factor} | {held} of {len(here)} |")


def mean_and_interval(values: list[float]) -> tuple[float, float, float]:
    """The mean, and its interval by Student's t."""
    mean, n = float(np.mean(values)), len(values)
    half = (
        float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    )
    return mean, mean - half, mean + half


def write(file: Path, rows: list[Choice] | list[Outcome] | list[Stop]) -> None:
    """Write rows, with their names above."""
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, [f.name for f in fields(rows[0])], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    print(f"wrote {file.name}", flush=True)


def read(file: Path, row: type[Any]) -> list[Any]:
    """Read what :func:`write` wrote."""
    take: dict[object, Callable[[str], object]] = {int: int, float: float, str: str, bool: lambda word: word == "True"}
    with file.open() as source:
        rows = csv.DictReader(source, delimiter="\t")
        return [row(**{f.name: take[f.type](line[f.name]) for f in fields(row)}) for line in rows]


def main() -> None:
    """Do one step of the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("pilots", "choose", "target", "table"))
    parser.add_argument("domain", nargs="?", choices=tuple(RATES), help="all that have outcomes, for the table")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "runs", help="folder of the runs")
    asked = parser.parse_args()
    if asked.step == "table":
        for domain in [asked.domain] if asked.domain else RATES:
            if (file := HERE / f"{domain}.outcomes.tsv").exists():
                table(domain, read(file, Outcome))
                table_of_stops(domain, read(HERE / f"{domain}.stops.tsv", Stop))
        return
    if asked.domain is None:
        parser.error(f"which domain? there are {', '.join(RATES)}")
    runs = Runs(asked.domain, asked.output)
    choices = HERE / f"{asked.domain}.choices.tsv"
    if asked.step == "choose":
        write(choices, choose(runs))
        return
    for rate in RATES[asked.domain]:
        runs.make(rate, runs.pilots if asked.step == "pilots" else [runs.target], runs.base.seeds)
        print(f"{asked.domain}, rate {rate:g}: made", flush=True)
    if asked.step == "target":
        write(HERE / f"{asked.domain}.outcomes.tsv", outcomes(runs, read(choices, Choice)))
        write(HERE / f"{asked.domain}.stops.tsv", stops(runs))


if __name__ == "__main__":
    warnings.simplefilter("ignore", TaumemWarning)
    try:
        main()
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
