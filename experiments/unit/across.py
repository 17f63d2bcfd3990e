"""Forecasts across settings: pilots at one batch size, rate, schedule and optimizer, and targets at others.

    python experiments/unit/across.py grammar                  # makes the runs: grammar, images, text
    python experiments/unit/across.py --table                  # every forecast, from the sealed runs
    python experiments/unit/across.py --table -o FOLDER        # from a folder of runs

``experiments/unit/README.md`` has the rule, which was written down before any of these runs was read.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from taumem import Interval, find_onsets, fit_law, read_runs
from taumem.analysis import Onset
from taumem.analysis.prior import Prior, usual_prior
from taumem.analysis.timeline import reached
from taumem.errors import ConfigError, TaumemError
from taumem.lab.experiment import Experiment
from taumem.lab.loading import load_experiment
from taumem.lab.studies import make_study
from taumem.record import RunRecord

HERE = Path(__file__).parent
NOISES = HERE / "noise.json"
SEEDS = (10, 11)
PILOTS: dict[str, tuple[int, ...]] = {"grammar": (32, 64, 128), "images": (16, 32, 64), "text": (16, 32, 64)}
TARGET = {"grammar": 256, "images": 128, "text": 128}
BATCH = {"grammar": 32, "images": 16, "text": 16}
RATE, SGD_RATE = 2e-3, 0.2
CLOCKS = ("tau_val", "tau_gap[0.2]")
UNITS = ("steps", "effective_time")
FORECASTERS = ("steps", "T", "T, noise")


def settings_of(domain: str) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """Each setting: its name, whether it is one of pilots, and what of the training differs from the TOML."""
    batch = BATCH[domain]
    usual = {"learning_rate": RATE, "batch_size": batch}
    yield "pilots", True, usual
    yield "batch-quarter", False, usual | {"batch_size": batch // 4}
    yield "batch-x4", False, usual | {"batch_size": 4 * batch}
    yield "batch-whole", False, usual | {"batch_size": "P"}
    yield "rate-x2", False, usual | {"learning_rate": 2 * RATE}
    yield "rate-half", False, usual | {"learning_rate": RATE / 2}
    yield "cosine", False, usual | {"schedule": "cosine", "stop_at_clock": None}
    sgd = {"optimizer": "sgd", "learning_rate": SGD_RATE if domain == "grammar" else SGD_RATE / 2}
    yield "sgd-pilots", True, usual | sgd
    yield "sgd-batch-x4", False, usual | sgd | {"batch_size": 4 * batch}
    yield "sgd-rate-half", False, usual | sgd | {"learning_rate": sgd["learning_rate"] / 2}


def experiment_of(domain: str, name: str) -> Experiment:
    """The experiment of a setting."""
    is_pilot, changes = {of: (pilot, what) for of, pilot, what in settings_of(domain)}[name]
    base = load_experiment(HERE / f"{domain}.toml")
    content = base.model_dump(mode="json")
    longer = 2.0 if name in ("batch-quarter", "rate-half", "sgd-rate-half") else 1.2
    lengths = {"steps_per_example": base.training.steps_per_example * longer}
    content |= {
        "name": f"across-{domain}-{name}",
        "n_train": PILOTS[domain] if is_pilot else (TARGET[domain],),
        "seeds": SEEDS,
    }
    content["training"] |= {"together": domain == "grammar" and is_pilot} | lengths | changes
    return Experiment.model_validate(content)


def forecasts(records: list[RunRecord]) -> Iterator[tuple[str, ...]]:
    """Every forecast: domain, setting, clock, seed, and of each forecaster the forecast, its interval and error."""
    for domain in PILOTS:
        runs = {
            of: [r for r in records if r.header.name == f"across-{domain}-{of}"] for of, _, _ in settings_of(domain)
        }
        for name, is_pilot, _ in settings_of(domain):
            pilots = runs["sgd-pilots" if name.startswith("sgd") else "pilots"]
            for clock, seed in product(CLOCKS, SEEDS):
                if not is_pilot and any(r.header.seed == seed for r in runs[name]):
                    yield from _forecast(domain, name, clock, seed, runs[name], pilots)


def _forecast(
    domain: str, name: str, clock: str, seed: int, targets: list[RunRecord], pilots: list[RunRecord]
) -> Iterator[tuple[str, ...]]:
    own = [record for record in pilots if record.header.seed == seed]
    (target,) = (record for record in targets if record.header.seed == seed)
    measured = next((o for o in find_onsets([target]) if o.clock == clock), None)
    if measured is None:
        return
    n_train = target.header.data.n_train
    steps, times = ([o for o in find_onsets(own, unit=unit) if o.clock == clock] for unit in UNITS)
    prior = usual_prior(clock, kind=target.header.data.kind)
    came = f"{measured.step:,.0f}" if measured.usable else f"> {measured.low:,.0f}"
    cells = [domain, name, f"`{clock}`", str(seed), came]
    for how in FORECASTERS:
        try:
            forecast = _by(how, steps, times, prior, target, n_train)
        except ConfigError as error:
            cells += [f"none: {str(error).split(':')[1].strip()[:40]}", "", ""]
            continue
        cells += [f"{forecast.value:,.0f} ({forecast.low:,.0f} to {forecast.high:,.0f})"]
        cells += (
            [f"{forecast.value / measured.step - 1:+.0%}", _covered(forecast, measured)]
            if measured.usable
            else ["", "yes" if forecast.high >= measured.low else "no"]
        )
    yield tuple(cells)


def _by(how: str, steps: list[Onset], times: list[Onset], prior: Prior, target: RunRecord, n_train: int) -> Interval:
    if how == "steps":
        return fit_law(steps, prior=prior).predict(n_train, batch_size=target.header.batch_size)
    law = fit_law(times, prior=replace(prior, noise=_noise(times[0].clock, target) if how == "T, noise" else None))
    found = reached(law, target, n_train)
    if found is None:
        raise ConfigError("no effective time: was measured in the run")
    return found


def _noise(clock: str, target: RunRecord) -> tuple[float, float]:
    table = json.loads(NOISES.read_text(encoding="utf-8"))
    mean, sd = table["tau_val" if clock == "tau_val" else "others"][target.header.data.kind]
    return mean, sd


def _covered(forecast: Interval, measured: Onset) -> str:
    return "yes" if forecast.low <= measured.high and forecast.high >= measured.low else "no"


def print_table(folder: Path) -> None:
    """Every forecast, and of each forecaster the median error, the mean and how many runs were covered."""
    rows = list(forecasts(read_runs(folder)))
    heads = [f"{how}{what}" for how in FORECASTERS for what in (": forecast", ", error", ", covered")]
    print(f"| data | run | clock | seed | measured | {' | '.join(heads)} |", f"|{'---|' * (5 + len(heads))}", sep="\n")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(
        "\n| data | clock | forecaster | forecasts | median error | mean error | covered |", f"|{'---|' * 7}", sep="\n"
    )
    for domain, clock in product((*PILOTS, "all"), CLOCKS):
        mine = [
            row for row in rows if row[0] in (domain, *(PILOTS if domain == "all" else ())) and row[2] == f"`{clock}`"
        ]
        for k, how in enumerate(FORECASTERS):
            errors = [float(row[6 + 3 * k].strip("%")) for row in mine if row[6 + 3 * k] not in ("", "+inf%")]
            told = [row[7 + 3 * k] for row in mine if row[7 + 3 * k]]
            if told and errors:
                middle, mean = statistics.median(map(abs, errors)), statistics.fmean(errors)
                covered = f"{told.count('yes')} of {len(told)}"
                print(f"| {domain} | `{clock}` | {how} | {len(errors)} | {middle:.0f} % | {mean:+.0f} % | {covered} |")


def main() -> None:
    """Make the runs of a domain, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("domain", nargs="?", choices=tuple(PILOTS))
    parser.add_argument("--table", action="store_true", help="print the forecasts of all domains")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "across", help="folder of the runs")
    parser.add_argument("--workers", type=int, help="processes at once; one per processor if not said")
    asked = parser.parse_args()
    if asked.table or asked.domain is None:
        print_table(asked.output)
        return
    for name, _, _ in settings_of(asked.domain):
        make_study(experiment_of(asked.domain, name), asked.output / asked.domain / name, workers=asked.workers)
        print(f"{asked.domain}/{name}: made", flush=True)


if __name__ == "__main__":
    try:
        main()
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
