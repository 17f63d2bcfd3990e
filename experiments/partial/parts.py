"""What docs/partial.md says of the studies in this folder: which parts are copied first, and who is bland at tau_val.

python experiments/partial/parts.py              # all studies
python experiments/partial/parts.py text zipf
"""

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from taumem import Interval, Onset, RunRecord, Study, read_runs
from taumem.analysis import families, order_of
from taumem.analysis.wording import multiple
from taumem.lab import load_experiment, plans_of
from taumem.record import RunKey, family_of

HERE = Path(__file__).parent
STUDIES = ("text", "grammar", "zipf", "images")
CLOCKS = [clock.name for clock in families()["tau_part"]]
BESIDE = ("tau_val", "tau_copy[0.05]")
AROUND = (0.5, 1, 2, 4, 8)
"""Times tau_val, at which motifs are looked at."""


def main() -> None:
    """Print the tables of those that are asked for."""
    for name in sys.argv[1:] or STUDIES:
        study = Study.of(read_runs(HERE / name))
        print(f"\n## {name}\n")
        onsets(study)
        factors(study)
        bland(study, name)


def onsets(study: Study) -> None:
    """Print all onsets, a row for each run."""
    names = [*BESIDE, *CLOCKS]
    print(f"| P | seed | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}")
    for record in study.records:
        found = of_run(study, record)
        cells = [said(found[name]) if name in found else "" for name in names]
        print(f"| {record.header.data.n_train} | {record.header.seed} | {' | '.join(cells)} |")


def of_run(study: Study, record: RunRecord) -> dict[str, Onset]:
    """The onsets of a run, by clock."""
    return {onset.clock: onset for onset in study.onsets if onset.run == record.header.key}


def said(onset: Onset) -> str:
    """A step with its interval, or the bound."""
    if onset.censored == "no":
        return f"{onset.step:.0f} [{onset.low:.0f}, {onset.high:.0f}]"
    return f"> {onset.step:.0f}" if onset.censored == "right" else f"< {onset.step:.0f}"


def factors(study: Study) -> None:
    """Print by which factor whole copies come after parts, and parts after tau_val; and whether it changes with P."""
    for reference, clocks in (("tau_part[0.5]", ["tau_part[1]", "tau_copy[0.05]"]), ("tau_val", CLOCKS)):
        for found in order_of(study.onsets, reference, clocks=[*clocks, reference]):
            if found.clock != reference:
                trend = f", times P to the {span(found.trend)}" if found.factor else ""
                said = f"{multiple(found)}{trend}"
                print(f"{found.clock} / {reference} = {said} ({found.n_located} of {found.n_runs} runs)")


def span(found: Interval | None) -> str:
    """A number with its interval."""
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else "?"


def bland(study: Study, name: str) -> None:
    """Print surprise and divergence less chance around tau_val, and less what the training set has: means over runs."""
    names = {name for record in study.records for name in record.quantities if family_of(name).startswith("motif_")}
    names = sorted(name for name in names if "_chance" not in name)
    training = {record.header.key: of_training(HERE / f"{name}.toml", record) for record in study.records}
    heads = [*map(str, AROUND), "training set", "1, less training set"]
    print(f"\n| less chance, at tau_val times | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for quantity in names:
        rows = {factor: excess(study, quantity, factor) for factor in AROUND}
        own = {key: values[quantity] for key, values in training.items() if quantity in values}
        beyond = [value - own[key] for key, value in rows[1].items() if key in own]
        cells = [*(list(row.values()) for row in rows.values()), list(own.values()), beyond]
        print(f"| {quantity} | {' | '.join(mean_of(cell) for cell in cells)} |")
    print("\nRuns at tau_val (and their training set):")
    for quantity in names:
        found = excess(study, quantity, 1)
        runs = [
            f"P = {key.n_train}: {value:+.3f} ({training[key].get(quantity, np.nan):+.3f})"
            for key, value in found.items()
        ]
        print(f"{quantity}: {'; '.join(runs)}")


def excess(study: Study, quantity: str, factor: float) -> dict[RunKey, float]:
    """A quantity less its chance at a multiple of tau_val, of each run that was still trained there."""
    found = {}
    for record in study.records:
        tau = of_run(study, record).get("tau_val")
        if tau is not None and tau.usable and factor * tau.step <= 1.2 * record.header.steps:
            found[record.header.key] = at(record, quantity, factor * tau.step)
    return found


def of_training(file: Path, record: RunRecord) -> dict[str, float]:
    """What the same probe says of the training set of a run, less chance: of copies that take turns."""
    header = record.header
    experiment = load_experiment(str(file), [f"n_train=[{header.data.n_train}]", f"seeds=[{header.seed}]"])
    (plan,) = plans_of(experiment)
    prepared = plan.prepare()
    probe = prepared.domain.part_probes(prepared.split)[1]
    turns = torch.arange(experiment.monitor.n_samples) % header.data.n_train
    said = {each.quantity: each.value for each in probe.measure(prepared.split.train[turns]).estimates}
    chance = {name: name.replace("[", "_chance[") for name in said if "_chance" not in name}
    return {name: said[name] - said[by_chance] for name, by_chance in chance.items()}


def mean_of(values: list[float]) -> str:
    """The mean over runs with its interval, and their number."""
    if not values:
        return ""
    mean, low, high = interval(values)
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] ({len(values)})"


def at(record: RunRecord, name: str, step: float) -> float:
    """A quantity less its chance at the look nearest to a step."""
    curve, chance = record.curve(name), record.curve(name.replace("[", "_chance["))
    look = int(np.abs(np.log(np.maximum(curve.steps, 1)) - np.log(step)).argmin())
    return float(curve.values[look] - chance.values[look])


def interval(values: list[float]) -> tuple[float, float, float]:
    """The mean with its 90 % interval, by Student's t; without bounds for a single run."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, -np.inf, np.inf
    half = float(student.ppf(0.95, n - 1)) * float(np.std(values, ddof=1)) / n**0.5
    return mean, mean - half, mean + half


if __name__ == "__main__":
    main()
