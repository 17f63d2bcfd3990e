"""How far off would the forecasts of finished studies have been? Each size from three sizes before it.

    python experiments/forecasts.py                                        # every table of forecasts in the docs
    python experiments/forecasts.py experiments/text/english --clock tau_val --each

The pilots of a forecast are the runs of one seed at three sizes in a row; what was measured at a larger size, by both
models of the seed where there are two, is held against it. Nothing is trained. The forecaster is that of `taumem
forecast`; beside it stands the one before it, without a floor and with an exponent of 1 give or take 0.1.
"""

import argparse
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taumem import Interval, Onset, find_onsets, fit_law, read_runs
from taumem.analysis import usual_prior
from taumem.errors import ConfigError, TaumemError, TaumemWarning, nearest_name

HERE = Path(__file__).parent
STUDIES = ("images/fashion", "text/english", "text/text8", "grammar/uniform", "grammar/masked")
CLOCKS = ("tau_val", "tau_gap_sym[0.2]", "tau_copy[0.05]")
EACH = ("text/english",)
"""Whose forecasts of the next size the docs list one by one."""

N_PILOTS = 3
WITHIN = 0.25
"""The relative error that a forecast should not exceed."""
FORECASTERS: dict[str, dict[str, Any]] = {
    "now": {"prior": usual_prior()},
    "before": {"exponent": (1.2, 0.2), "floor": True},
}


@dataclass(frozen=True)
class Made:
    """A forecast from some pilots, and what was measured."""

    pilots: tuple[int, ...]
    n_train: int
    seed: int
    predicted: dict[str, Interval]
    measured: tuple[Onset, ...]

    @property
    def reach(self) -> float:
        """How far beyond the largest pilot."""
        return self.n_train / self.pilots[-1]

    def error(self, forecaster: str) -> float | None:
        """Relative to the geometric mean of what was measured; None where a bound is all that is known of a run."""
        if not all(onset.usable for onset in self.measured):
            return None
        mean = math.exp(sum(math.log(onset.step) for onset in self.measured) / len(self.measured))
        return self.predicted[forecaster].value / mean - 1

    def covered(self, forecaster: str) -> list[bool]:
        """Whether each run lies in the interval: a bound beyond its end is a miss, one before it says nothing."""
        interval = self.predicted[forecaster]
        return [o.step in interval for o in self.measured if o.usable or o.step > interval.high]


def forecasts(onsets: Sequence[Onset]) -> Iterator[Made | str]:
    """Every forecast that the onsets of one clock allow, or why there is none from these pilots."""
    sizes = sorted({onset.n_train for onset in onsets})
    for k in range(N_PILOTS, len(sizes)):
        pilots = tuple(sizes[k - N_PILOTS : k])
        for seed in sorted({onset.seed for onset in onsets if onset.seed is not None}):
            own = [o for o in onsets if o.seed == seed]
            try:
                laws = {n: fit_law([o for o in own if o.n_train in pilots], **how) for n, how in FORECASTERS.items()}
            except ConfigError as error:
                yield f"{', '.join(map(str, pilots))}, seed {seed}: {error}"
                continue
            for n_train in sizes[k:]:
                measured = tuple(o for o in own if o.n_train == n_train)
                if measured:
                    predicted = {name: law.predict(n_train) for name, law in laws.items()}
                    yield Made(pilots, n_train, seed, predicted, measured)


def show_all(study: str, clock: str, made: Sequence[Made]) -> None:
    """Print a row for each reach and forecaster."""
    for reach in sorted({each.reach for each in made}):
        own = [each for each in made if each.reach == reach]
        for forecaster in FORECASTERS:
            errors = sorted(e for each in own if (e := each.error(forecaster)) is not None)
            covered = [hit for each in own for hit in each.covered(forecaster)]
            cells = ["-"] * 5
            if errors:
                size = sorted(abs(math.log1p(e)) for e in errors)[len(errors) // 2]
                near = sum(abs(e) <= WITHIN for e in errors)
                late = sum(e > 0 for e in errors)
                span = f"{errors[0]:+.0%} to {errors[-1]:+.0%}".replace("%", " %")
                cells = [f"{len(errors)}", f"{size:.2f}", span, f"{len(errors) - late}, {late}", f"{near}"]
            hits = f"{sum(covered)} of {len(covered)}"
            print(f"| {study} | {clock} | x{reach:g} | {forecaster} | {' | '.join(cells)} | {hits} |")


def show_each(clock: str, made: Sequence[Made]) -> None:
    """Print a row for each forecast of the next size."""
    print(f"| pilots | P | seed | forecast of {clock} | 90 % interval | measured | error | covered | error before |")
    print("|---|---|---|---|---|---|---|---|---|")
    for each in sorted(made, key=lambda m: (m.n_train, m.seed)):
        if each.pilots[-1] != max(m.pilots[-1] for m in made if m.n_train == each.n_train):
            continue
        now, covered = each.predicted["now"], each.covered("now")
        errors = (each.error("now"), each.error("before"))
        error, before = ("not reached" if e is None else f"{e:+.0%}".replace("%", " %") for e in errors)
        print(
            f"| {', '.join(map(str, each.pilots))} | {each.n_train} | {each.seed} | {now.value:,.0f} "
            f"| {now.low:,.0f} to {now.high:,.0f} | {', '.join(map(told, each.measured))} | {error} "
            f"| {sum(covered)} of {len(covered)} | {before} |"
        )


def told(onset: Onset) -> str:
    """The onset's step, or the bound that is known of it."""
    return f"{'' if onset.usable else '> ' if onset.censored == 'right' else '< '}{onset.step:,.0f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="*", help="folders of runs, or sealed studies; all of the docs")
    parser.add_argument("--clock", action="append", help="may be given several times")
    parser.add_argument("--each", action="store_true", help="also list the forecasts of the next size one by one")
    arguments = parser.parse_args()
    studies = arguments.studies or [HERE / name for name in STUDIES]

    try:
        found = {study: find_onsets(read_runs(study)) for study in studies}
        names = {onset.clock for onsets in found.values() for onset in onsets}
        for clock in arguments.clock or ():
            if clock not in names:
                raise ConfigError(f"these runs have no clock '{clock}'; {nearest_name(clock, names)}")
    except (TaumemError, OSError) as error:
        sys.exit(f"error: {error}")

    warnings.simplefilter("ignore", TaumemWarning)  # how far a forecast reaches stands in the table
    table = {}
    reasons = []
    for study, onsets in found.items():
        name = str(study.resolve().relative_to(HERE)) if study.resolve().is_relative_to(HERE) else str(study)
        for clock in arguments.clock or CLOCKS:
            all_of_it = list(forecasts([onset for onset in onsets if onset.clock == clock]))
            table[name, clock] = [each for each in all_of_it if isinstance(each, Made)]
            reasons += [f"{name}, {each}" for each in all_of_it if isinstance(each, str)]
    print(
        "| study | clock | reach | forecaster | forecasts | median abs log error | errors | early, late | within "
        f"{WITHIN:.0%} | runs covered |".replace("%", " %")
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (name, clock), made in table.items():
        show_all(name, clock, made)
    for (name, clock), made in table.items():
        if made and (arguments.each or (name in EACH and clock == "tau_val" and not arguments.studies)):
            print(f"\n{name}:\n")
            show_each(clock, made)
    if reasons:
        print("\nNo forecast from:\n")
        print("\n".join(f"- {reason}" for reason in reasons))


if __name__ == "__main__":
    main()
