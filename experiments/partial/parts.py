"""What docs/partial.md says of the studies in this folder: which parts are copied first, and who is bland at tau_val.

python experiments/partial/parts.py              # all studies
python experiments/partial/parts.py text zipf
"""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from taumem import Onset, RunRecord, Study, read_runs
from taumem.analysis import families
from taumem.record import family_of

HERE = Path(__file__).parent
STUDIES = ("text", "grammar", "zipf", "images")
CLOCKS = [clock.name for clock in families()["tau_part"]]
BESIDE = ("tau_val", "tau_copy[0.05]", "tau_infill[0.1]")


def main() -> None:
    """Print the tables of those that are asked for."""
    for name in sys.argv[1:] or STUDIES:
        study = Study.of(read_runs(HERE / name))
        print(f"\n## {name}\n")
        onsets(study)
        factors(study)
        bland(study)


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
    """Print by which factor parts precede whole copies, and how they stand to tau_val: geometric means over runs."""
    pairs = [(late, early) for late in (CLOCKS[-1], "tau_copy[0.05]") for early in CLOCKS[:-1]]
    pairs += [(late, "tau_val") for late in CLOCKS]
    for late, early in pairs:
        logs = []
        for record in study.records:
            found = of_run(study, record)
            if all(name in found and found[name].censored == "no" for name in (late, early)):
                logs.append(np.log(found[late].step / found[early].step))
        if logs:
            mean, low, high = np.exp(interval(logs))
            print(f"{late} / {early} = {mean:.2f} [{low:.2f}, {high:.2f}] ({len(logs)} runs)")


def bland(study: Study) -> None:
    """Print surprise and divergence less chance at the look nearest to tau_val, run by run and over runs."""
    print()
    names = {name for record in study.records for name in record.quantities if family_of(name).startswith("motif_")}
    for name in sorted(name for name in names if "_chance" not in name):
        excess, flagged = [], []
        for record in study.records:
            tau = of_run(study, record).get("tau_val")
            if tau is not None and tau.usable:
                value, se = at(record, name, tau.step)
                excess.append(value)
                flagged.append(f"P = {record.header.data.n_train}: {value:+.3f} ± {2 * se:.3f}")
        if excess:
            mean, low, high = interval(excess)
            print(f"{name} - chance at tau_val = {mean:+.3f} [{low:+.3f}, {high:+.3f}]; {'; '.join(flagged)}")


def at(record: RunRecord, name: str, step: float) -> tuple[float, float]:
    """A quantity less its chance at the look nearest to a step, with its standard error."""
    curve, chance = record.curve(name), record.curve(name.replace("[", "_chance["))
    look = int(np.abs(np.log(np.maximum(curve.steps, 1)) - np.log(step)).argmin())
    return float(curve.values[look] - chance.values[look]), float(np.hypot(curve.se[look], chance.se[look]))


def interval(values: list[float]) -> tuple[float, float, float]:
    """The mean with its 90 % interval, by Student's t; without bounds for a single run."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, -np.inf, np.inf
    half = float(student.ppf(0.95, n - 1)) * float(np.std(values, ddof=1)) / n**0.5
    return mean, mean - half, mean + half


if __name__ == "__main__":
    main()
