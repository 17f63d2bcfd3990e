"""How far off would the forecasts of a finished study have been? Each size from the three smaller ones, seed by seed.

    python experiments/forecasts.py experiments/text/english

The pilots of a forecast are the runs of one seed at the three sizes before; what was measured at the size itself, both
models of it, is held against it. Nothing is trained.
"""

import argparse
import math
from pathlib import Path

from taumem import Onset, find_onsets, fit_law, read_runs
from taumem.analysis import NEAR_ONE
from taumem.errors import ConfigError

N_PILOTS = 3
WITHIN = 0.25
"""The relative error that a forecast should not exceed."""


def main() -> None:
    """Print a line for each size and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder of a study's runs")
    parser.add_argument("--clock", default="tau_val")
    arguments = parser.parse_args()

    runs = read_runs(arguments.runs)
    found = [onset for onset in find_onsets(runs) if onset.clock == arguments.clock]
    sizes = sorted({run.header.data.n_train for run in runs})
    print("pilots          P     seed  forecast  90 % interval     measured         error  covered")
    errors: list[float] = []
    covered: list[bool] = []
    for k, n_train in enumerate(sizes[N_PILOTS:], start=N_PILOTS):
        pilots = sizes[k - N_PILOTS : k]
        for seed in sorted({run.header.seed for run in runs}):
            onsets = [o for o in found if o.seed == seed]
            line = f"{', '.join(map(str, pilots)):<15} {n_train:<5} {seed:<5}"
            try:
                forecast = fit_law([o for o in onsets if o.n_train in pilots], exponent=NEAR_ONE).predict(n_train)
            except ConfigError as error:
                print(line, error)
                continue
            measured = [o for o in onsets if o.n_train == n_train]
            line += f" {forecast.value:>8,.0f}  {f'{forecast.low:,.0f} to {forecast.high:,.0f}':<16}"
            line += f"  {', '.join(map(told, measured)):<15}"
            # A bound beyond the forecast's end is a miss, one before it says nothing.
            inside = [o.step in forecast for o in measured if o.usable or o.step > forecast.high]
            covered += inside
            if not all(o.usable for o in measured):
                print(line, "not reached")
                continue
            errors.append(forecast.value / math.exp(sum(math.log(o.step) for o in measured) / len(measured)) - 1)
            print(line, f"{errors[-1]:>+6.0%}  {sum(inside)} of {len(inside)}")
    near = sum(abs(error) <= WITHIN for error in errors)
    print(f"\nwithin {WITHIN:.0%}: {near} of {len(errors)} forecasts; covered: {sum(covered)} of {len(covered)}")


def told(onset: Onset) -> str:
    """The onset's step, or the bound that is known of it."""
    return f"{'' if onset.usable else '> ' if onset.censored == 'right' else '< '}{onset.step:,.0f}"


if __name__ == "__main__":
    main()
