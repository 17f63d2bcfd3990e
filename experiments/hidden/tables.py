"""What is hidden before copies show: the tables of docs/hidden.md, from the studies in this folder.

    python experiments/hidden/tables.py factors      # by how much each clock precedes tau_copy, against P
    python experiments/hidden/tables.py shares       # what each probe counts at tau_val, and once copies show

A factor is the geometric mean, over runs in which both clocks are located, of tau_copy over the other clock, with the
90 % t interval of its logarithm; the slope is that of log factor against log P, 0 where the lead is a constant factor.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import stats

from taumem.analysis import CLOCKS, Seen
from taumem.errors import TaumemWarning
from taumem.record import RunRecord, read_runs

HERE = Path(__file__).parent
STUDIES = ("images", "grammar")
LATER = "tau_copy[0.05]"
EARLIER = ("tau_val", "tau_cycled[0.05]", "tau_uturn[0.05]", "tau_uturn[0.1]", "tau_infill[0.1]")
COUNTED = ("copy_fraction", "cycled_copies", "uturn_returns")


def main() -> None:
    """Print the table that is asked for."""
    warnings.simplefilter("ignore", TaumemWarning)
    tables = {"factors": factors, "shares": shares}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=tables)
    print("\n".join(tables[parser.parse_args().table]()))


def runs_of(study: str) -> list[RunRecord]:
    """All runs of a study, sealed or not."""
    return read_runs(HERE / study if (HERE / study).is_dir() else HERE / f"{study}.sealed")


def factors() -> Iterator[str]:
    """How much earlier than copies in one shot each clock strikes, size by size."""
    yield "| | clock | P | runs with both (of) | tau_copy[0.05] over it | slope against log P |"
    yield "|---|---|---|---|---|---|"
    for study in STUDIES:
        runs = runs_of(study)
        sizes = sorted({run.header.data.n_train for run in runs})
        for clock in EARLIER:
            pairs = [(run.header.data.n_train, ratio) for run in runs if (ratio := log_ratio(run, clock)) is not None]
            for n_train in (*sizes, None) if pairs else ():
                found = [ratio for size, ratio in pairs if n_train in (size, None)]
                n = sum(n_train in (run.header.data.n_train, None) for run in runs)
                told = slope(pairs) if n_train is None else ""
                yield f"| {study} | `{clock}` | {n_train or 'all'} | {len(found)} ({n}) | {factor(found)} | {told} |"


def step_of(run: RunRecord, clock: str) -> float | None:
    """Where a clock struck; None where it is not located."""
    onset = CLOCKS[clock].onset(Seen(run), 0.9)
    return onset.step if onset is not None and onset.usable else None


def log_ratio(run: RunRecord, clock: str) -> float | None:
    """The logarithm of tau_copy over the clock; None where either is not located."""
    later, earlier = step_of(run, LATER), step_of(run, clock)
    return None if later is None or earlier is None else float(np.log(later / earlier))


def factor(logs: list[float]) -> str:
    """The geometric mean with its 90 % interval."""
    if not logs:
        return ""
    middle = float(np.mean(logs))
    if len(logs) < 2:
        return f"{np.exp(middle):.2f}"
    half = stats.t.ppf(0.95, len(logs) - 1) * np.std(logs, ddof=1) / len(logs) ** 0.5
    return f"{np.exp(middle):.2f} [{np.exp(middle - half):.2f}, {np.exp(middle + half):.2f}]"


def slope(pairs: list[tuple[int, float]]) -> str:
    """Of log factor against log P, with its 90 % interval."""
    x, y = np.log([size for size, _ in pairs]), np.array([ratio for _, ratio in pairs])
    if len(set(x)) < 2 or len(x) < 3:
        return ""
    found = stats.linregress(x, y)
    half = stats.t.ppf(0.95, len(x) - 2) * found.stderr
    return f"{found.slope:.2f} [{found.slope - half:.2f}, {found.slope + half:.2f}]"


def shares() -> Iterator[str]:
    """What is counted at the look at samples that is nearest to tau_val, and at the last one, summed over runs."""
    yield "| | P | at | " + " | ".join(f"{name}, by chance" for name in COUNTED) + " | basin, held-out |"
    yield "|---" * (4 + len(COUNTED)) + "|"
    for study in STUDIES:
        runs = runs_of(study)
        for n_train in sorted({run.header.data.n_train for run in runs}):
            chosen = [run for run in runs if run.header.data.n_train == n_train]
            for when in ("tau_val", "the end"):
                told = [" , ".join(mean_at(chosen, name + end, when) for end in ("", "_chance")) for name in COUNTED]
                told.append(" , ".join(mean_at(chosen, name, when) for name in ("basin", "basin_heldout")))
                yield f"| {study} | {n_train} | {when} | {' | '.join(told)} |".replace(" , ", ", ")


def mean_at(runs: list[RunRecord], quantity: str, when: str) -> str:
    """A quantity at a look, on average over the runs that have one."""
    values = []
    for run in runs:
        curve, at = run.curve(quantity), step_of(run, "tau_val") if when == "tau_val" else np.inf
        if at is not None:
            past = np.log(np.maximum(curve.steps, 1))
            values.append(curve.values[-1 if at == np.inf else int(np.argmin(np.abs(past - np.log(at))))])
    return f"{np.mean(values):.2g}" if values else "–"


if __name__ == "__main__":
    main()
