"""How far off would the forecasts of finished studies have been? Each size from three sizes before it.

    python experiments/forecasts.py                                        # the tables of docs/forecasts.md
    python experiments/forecasts.py experiments/text/english --clock tau_val --each

The pilots of a forecast are the runs of one seed at three sizes in a row; what was measured at a larger size, by both
models of the seed where there are two, is held against it. Nothing is trained. The forecaster "as it is" is that of
`taumem forecast`. What it assumes was learned from the finished studies, so for these the honest one is "left out",
which assumes what the studies of other domains taught (experiments/prior/without.json). "before" is the one before
both: a floor and an exponent of 1.2, give or take 0.2. Of the studies in experiments/unseen nothing was learned.
"""

import argparse
import json
import math
import statistics
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taumem import Interval, Onset, Study, fit_law, read_runs
from taumem.analysis import Prior, usual_prior
from taumem.analysis.law import FAR
from taumem.errors import ConfigError, TaumemError, TaumemWarning, nearest_name

HERE = Path(__file__).parent
UNSEEN = ("unseen/cifar10", "unseen/emoji", "unseen/molecules", "unseen/grammar")
STUDIES = (*UNSEEN, "images/fashion", "text/english", "text/text8", "grammar/uniform", "grammar/masked")
CLOCKS = ("tau_val", "tau_gap_sym[0.2]", "tau_copy[0.05]")
N_PILOTS = 3
WITHIN = 0.25
"""The relative error that a forecast should not exceed."""
WITHOUT = json.loads((HERE / "prior/without.json").read_text())["fixed"]


def forecasters(study: str, clock: str, kind: str) -> dict[str, dict[str, Any]]:
    """What each forecaster assumes of a study; the first is the one to judge by."""
    prior = usual_prior(clock, kind=kind)
    as_it_is = {"as it is": {"prior": prior}, "before": {"exponent": (1.2, 0.2), "floor": True}}
    rows = WITHOUT["tau_val" if clock == "tau_val" else "others"].get(study.split("/")[0])
    left_out = {"left out": {"prior": Prior(**{k: tuple(v) for k, v in rows.items()})}} if rows else {}
    return left_out | as_it_is


@dataclass(frozen=True)
class Made:
    """A forecast from some pilots, and what was measured."""

    study: str
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
        """Whether each run lies in the interval: a bound that leaves none of it is a miss, any other says nothing."""
        interval = self.predicted[forecaster]

        def is_known(o: Onset) -> bool:
            return o.usable or (o.step > interval.high if o.censored == "right" else o.step < interval.low)

        return [onset.step in interval for onset in self.measured if is_known(onset)]


def forecasts(study: str, kind: str, onsets: Sequence[Onset]) -> Iterator[Made | str]:
    """Every forecast that the onsets of one clock allow, or why there is none from these pilots."""
    sizes = sorted({onset.n_train for onset in onsets})
    for k in range(N_PILOTS, N_PILOTS + 1 if study in UNSEEN else len(sizes)):
        pilots = tuple(sizes[k - N_PILOTS : k])
        for seed in sorted({onset.seed for onset in onsets if onset.seed is not None}):
            own = [o for o in onsets if o.seed == seed]
            theirs = [o for o in own if o.n_train in pilots]
            try:
                if study in UNSEEN and not all(onset.usable for onset in theirs):
                    raise ConfigError("a pilot is known by a bound only, and the rule asks for all three.")
                laws = {name: fit_law(theirs, **how) for name, how in forecasters(study, onsets[0].clock, kind).items()}
            except ConfigError as error:
                yield f"{onsets[0].clock}, {', '.join(map(str, pilots))}, seed {seed}: {error}"
                continue
            for n_train in sizes[k:]:
                measured = tuple(o for o in own if o.n_train == n_train)
                if measured:
                    predicted = {name: law.predict(n_train) for name, law in laws.items()}
                    yield Made(study, pilots, n_train, seed, predicted, measured)


def show_all(name: str, clock: str, made: Sequence[Made]) -> None:
    """Print a row for each reach and forecaster."""
    for reach in sorted({each.reach for each in made}):
        own = [each for each in made if each.reach == reach]
        for forecaster in own[0].predicted:
            errors = sorted(e for each in own if (e := each.error(forecaster)) is not None)
            covered = [hit for each in own for hit in each.covered(forecaster)]
            cells = ["-"] * 6
            if errors:
                median = statistics.median(map(abs, errors))
                near = sum(abs(e) <= WITHIN for e in errors)
                late = sum(e > 0 for e in errors)
                span = f"{percent(errors[0])} to {percent(errors[-1])}"
                mean = percent(statistics.mean(errors))
                cells = [f"{len(errors)}", f"{median:.0%}".replace("%", " %"), mean, span]
                cells += [f"{len(errors) - late}, {late}", f"{near}"]
            hits = f"{sum(covered)} of {len(covered)}"
            print(f"| {name} | {clock} | x{reach:g} | {forecaster} | {' | '.join(cells)} | {hits} |")


def show_each(made: Sequence[Made]) -> None:
    """Print a row for each forecast."""
    print("| study | pilots | P | seed | forecast | 90 % interval | measured | error | runs covered | error before |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for each in made:
        first = next(iter(each.predicted))
        now, covered = each.predicted[first], each.covered(first)
        error, before = ("not reached" if (e := each.error(n)) is None else percent(e) for n in (first, "before"))
        print(
            f"| {each.study} | {', '.join(map(str, each.pilots))} | {each.n_train} | {each.seed} | {now.value:,.0f} "
            f"| {now.low:,.0f} to {now.high:,.0f} | {', '.join(map(told, each.measured))} | {error} "
            f"| {sum(covered)} of {len(covered)} | {before} |"
        )


def percent(share: float) -> str:
    """With its sign."""
    return f"{share:+.0%}".replace("%", " %")


def told(onset: Onset) -> str:
    """The onset's step, or the bound that is known of it."""
    return f"{'' if onset.usable else '> ' if onset.censored == 'right' else '< '}{onset.step:,.0f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="*", help="folders of runs, or sealed studies; all of the docs")
    parser.add_argument("--clock", action="append", help="may be given several times")
    parser.add_argument("--each", action="store_true", help="also list the forecasts one by one")
    arguments = parser.parse_args()
    studies = arguments.studies or [HERE / name for name in STUDIES]

    try:
        found = {study: Study.of(read_runs(study)) for study in studies}
        names = {onset.clock for study in found.values() for onset in study.onsets}
        for clock in arguments.clock or ():
            if clock not in names:
                raise ConfigError(f"these runs have no clock '{clock}'; {nearest_name(clock, names)}")
    except (TaumemError, OSError) as error:
        sys.exit(f"error: {error}")

    warnings.simplefilter("ignore", TaumemWarning)  # how far a forecast reaches stands in the table
    table: dict[str, dict[str, list[Made]]] = {}
    reasons = []
    for path, study in found.items():
        name = str(path.resolve().relative_to(HERE)) if path.resolve().is_relative_to(HERE) else str(path)
        kind = study.records[0].header.data.kind
        for clock in arguments.clock or CLOCKS:
            all_of_it = list(forecasts(name, kind, [onset for onset in study.onsets if onset.clock == clock]))
            table.setdefault(clock, {})[name] = [each for each in all_of_it if isinstance(each, Made)]
            reasons += [f"{name}, {each}" for each in all_of_it if isinstance(each, str)]
    print(
        "| study | clock | reach | forecaster | forecasts | median error | mean | errors | early, late | within "
        f"{WITHIN:.0%} | runs covered |".replace("%", " %")
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for clock, of_studies in table.items():
        for name, made in of_studies.items():
            show_all(name, clock, made)
        if len(unseen := [each for name in UNSEEN for each in of_studies.get(name, [])]) > 0:
            show_all("all unseen", clock, unseen)
    for clock, of_studies in table.items():
        if arguments.each or (clock == CLOCKS[0] and not arguments.studies):
            print(f"\n{clock}:\n")
            show_each([each for made in of_studies.values() for each in made if each.reach <= FAR])
    if reasons:
        print("\nNo forecast from:\n")
        print("\n".join(f"- {reason}" for reason in reasons))


if __name__ == "__main__":
    main()
