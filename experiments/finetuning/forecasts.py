"""Forecasts in fine-tuning by the rule of README.md: what they assume, learned elsewhere, and every one of them.

    python experiments/finetuning/forecasts.py          # every forecast, and the tables of docs/finetuning.md
    python experiments/finetuning/forecasts.py --learn  # writes without.json before that, in some minutes

Reads the onsets beside this file (*.onsets.tsv, written by experiments/seal.py); nothing is trained. The prior is that
of experiments/prior/learn.py, its population that of the studies here; "fine-tuning" forecasts of a place (pixels,
latents, text) by what the other places taught.
"""

import argparse
import csv
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "prior"))
import learn

from taumem import Interval, Onset, fit_law
from taumem.analysis import Law, Prior, usual_prior
from taumem.errors import ConfigError
from taumem.record import RunKey

HERE = Path(__file__).parent

PLACES = {
    "pixels": ("pixels-full", "pixels-lora4"),
    "latents": ("latents-full", "latents-lora4", "latents-lora16"),
    "text": ("text-full", "text-lora4"),
}
KINDS = {"pixels": "images", "latents": "images", "text": "texts"}
CLOCKS = {"tau_val": ("tau_val",), "others": ("tau_gap_base[0.2]", "tau_gap_grown[0.2]", "tau_copy[0.05]")}
WITHOUT = HERE / "without.json"
N_PILOTS, REACHES = 3, (2, 4)


def main() -> None:
    """Learn if asked to; then forecast."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--learn", action="store_true")
    if parser.parse_args().learn:
        learn_each()
    made = [each for place, studies in PLACES.items() for study in studies for each in forecasts(place, study)]
    print("| study | clock | pilots | P | seed | measured | scratch | fine-tuning | one |")
    print("|---|---|---|---|---|---|---|---|---|")
    for each in made:
        cells = [each.told(name) for name in each.predicted]
        pilots = ", ".join(map(str, each.pilots))
        print(f"| {each.study} | {each.clock} | {pilots} | {each.n_train} | {each.seed} | {each.seen} | ", end="")
        print(" | ".join(cells), "|")
    print("\n| trained | clock | reach | forecaster | forecasts | median error | late | runs covered |")
    print("|---|---|---|---|---|---|---|---|")
    for is_lora in (False, True):
        for clock in (name for names in CLOCKS.values() for name in names):
            for reach in REACHES:
                own = [m for m in made if (m.is_lora, m.clock, m.reach) == (is_lora, clock, reach)]
                for forecaster in own[0].predicted if own else ():
                    print(summary(own, forecaster))


def learn_each() -> None:
    """Write what the other places teach of each, and what all teach, beside this file."""
    left_out = {}
    for clocks, names in CLOCKS.items():
        of = {
            place: [w for study in studies for w in learn.windows(place, f"finetuning/{study}", names)]
            for place, studies in PLACES.items()
        }
        of = {place: own for place, own in of.items() if own}
        without = {place: {other: of[other] for other in of if other != place} for place in PLACES}
        left_out[clocks] = {place: population(rest) for place, rest in without.items()} | {"none": population(of)}
        print(clocks, {place: len(own) for place, own in of.items()}, left_out[clocks])
    WITHOUT.write_text(json.dumps(left_out, indent=2) + "\n")


def population(of: dict[str, list[learn.Window]]) -> dict[str, list[float]]:
    """What some places teach of one that was not seen."""
    start = learn.START["fixed"]
    in_all = learn.learned([window for own in of.values() for window in own], start)
    alone = [learn.learned(own, in_all, free=(0, 2, 4)) for own in of.values()]
    apart = np.std(np.array(alone), axis=0, ddof=1) if len(alone) > 1 else np.zeros(len(start))
    return learn.as_table(learn.of_an_unknown_kind(in_all, apart, len(of)))


@dataclass(frozen=True)
class Made:
    """A forecast by each forecaster, and the run that it is held against."""

    study: str
    clock: str
    pilots: tuple[int, ...]
    n_train: int
    seed: int
    measured: Onset
    predicted: dict[str, Interval]

    @property
    def reach(self) -> float:
        """How far beyond the largest pilot."""
        return self.n_train / self.pilots[-1]

    @property
    def is_lora(self) -> bool:
        """Whether adapters are trained."""
        return "lora" in self.study

    @property
    def seen(self) -> str:
        """What was measured, in words."""
        sign = {"right": "> ", "left": "< "}.get(self.measured.censored, "")
        return f"{sign}{self.measured.step:,.0f}"

    def error(self, forecaster: str) -> float | None:
        """Forecast / measured - 1; None where a bound is all that is known."""
        return self.predicted[forecaster].value / self.measured.step - 1 if self.measured.usable else None

    def covered(self, forecaster: str) -> bool | None:
        """Whether the run lies in the interval; None where a bound leaves that open."""
        interval, o = self.predicted[forecaster], self.measured
        if o.usable:
            return o.step in interval
        is_missed = o.step > interval.high if o.censored == "right" else o.step < interval.low
        return False if is_missed else None

    def told(self, forecaster: str) -> str:
        """The forecast, its interval and its error."""
        p, error = self.predicted[forecaster], self.error(forecaster)
        hit = {True: "", False: " (missed)", None: ""}[self.covered(forecaster)]
        return f"{p.value:,.0f} [{p.low:,.0f}, {p.high:,.0f}]{'' if error is None else f' {error:+.0%}'}{hit}"


def forecasts(place: str, study: str) -> Iterator[Made]:
    """All that a study allows."""
    file = HERE / f"{study}.onsets.tsv"
    rows = list(csv.DictReader(file.open(), delimiter="\t")) if file.exists() else []
    for clocks, names in CLOCKS.items():
        for clock in names:
            onsets = [onset_of(r, study) for r in rows if r["clock"] == clock]
            sizes = sorted({o.n_train for o in onsets})
            for k in range(N_PILOTS, len(sizes)):
                for seed in sorted({o.seed for o in onsets}):
                    own = [o for o in onsets if o.seed == seed]
                    pilots = [o for o in own if o.n_train in sizes[k - N_PILOTS : k]]
                    if not all(o.usable for o in pilots):
                        continue
                    laws = laws_of(pilots, place, clock, clocks)
                    for measured in own:
                        if measured.n_train / sizes[k - 1] in REACHES:
                            predicted = {name: law.predict(measured.n_train) for name, law in laws.items()}
                            yield Made(
                                study,
                                clock,
                                tuple(sizes[k - N_PILOTS : k]),
                                measured.n_train,
                                seed,
                                measured,
                                predicted,
                            )


def laws_of(pilots: Sequence[Onset], place: str, clock: str, clocks: str) -> dict[str, Law]:
    """By each forecaster."""
    rows = json.loads(WITHOUT.read_text())[clocks][place]
    how: dict[str, dict[str, Any]] = {
        "scratch": {"prior": usual_prior(clock, kind=KINDS[place])},
        "fine-tuning": {"prior": Prior(**{name: tuple(pair) for name, pair in rows.items()})},
        "one": {"exponent": 1.0},
    }
    found = {}
    for name, options in how.items():
        try:
            found[name] = fit_law(pilots, **options)
        except ConfigError as error:
            print(f"{clock} of {place}, {name}: {error}", file=sys.stderr)
    return found


def onset_of(row: dict[str, str], study: str) -> Onset:
    """An onset as experiments/seal.py wrote it."""
    run = RunKey(int(row["n_train"]), 4, int(row["seed"]), None, experiment=study)
    return Onset(*(float(row[name]) for name in ("step", "low", "high")), row["censored"], row["clock"], run)


def summary(made: Sequence[Made], forecaster: str) -> str:
    """A row of the second table."""
    errors = [e for each in made if (e := each.error(forecaster)) is not None]
    hits = [hit for each in made if (hit := each.covered(forecaster)) is not None]
    median = f"{statistics.median(map(abs, errors)):.0%}" if errors else "-"
    first = made[0]
    cells = ("adapters" if first.is_lora else "all weights", first.clock, f"x{first.reach:g}", forecaster, len(errors))
    late = sum(e > 0 for e in errors)
    return f"| {' | '.join(map(str, (*cells, median, late, f'{sum(hits)} of {len(hits)}')))} |"


if __name__ == "__main__":
    main()
