"""Would forecasts of finished studies have been nearer without the smallest pilot?

    python experiments/dropping.py

The pilots of a forecast are the runs of one seed at three to five sizes in a row; what was measured at 2 and 4 times
the largest is held against the forecast from all of them, and against that without the smallest. Rows are of all
forecasts, and of those by what can be known beforehand: whether the smallest pilot is one of full batches, and whether
leaving it out makes the forecast later, as it does where a law bends up. The second table is of studies that were not
looked at when these kinds were chosen. Nothing is trained. The forecaster is that of `taumem forecast`.
"""

import csv
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from taumem import Interval, Onset, find_onsets, read_runs
from taumem.analysis import ClockLaw
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import RunKey

HERE = Path(__file__).parent
STUDIES = (
    "images/fashion",
    "text/english",
    "text/text8",
    "grammar/uniform",
    "grammar/masked",
    "grammar/m4-uniform",
    "grammar/m4-masked",
)
APART = ("images/full-batch", "text/full-batch", "grammar/full-batch")
"""Beside the loops of the guard."""
CLOCKS = ("tau_val", "tau_gap_sym[0.2]", "tau_copy[0.05]")
REACHES = (2, 4)
LATER = 0.03


@dataclass(frozen=True)
class Pair:
    """A forecast with and one without the smallest pilot, and what was measured.

    Attributes:
        reach: how many times the largest pilot.
        is_full_batch: whether the smallest pilot, and no other, is no larger than the batch.
        whole: the forecast from all pilots, in steps.
        without: that without the smallest.
        measured: in steps.
    """

    reach: int
    is_full_batch: bool
    whole: Interval
    without: Interval
    measured: tuple[float, ...]

    @property
    def shift(self) -> float:
        """By what share the forecast is later without it."""
        return self.without.value / self.whole.value - 1

    def error(self, predicted: Interval) -> float:
        """Distance from the geometric mean of what was measured, on a log axis."""
        return abs(math.log(predicted.value) - sum(map(math.log, self.measured)) / len(self.measured))


def pairs(onsets: Sequence[Onset]) -> Iterator[Pair]:
    """Every forecast of one clock, with and without the smallest pilot."""
    sizes = sorted({onset.n_train for onset in onsets})
    for seed in sorted({onset.seed for onset in onsets if onset.seed is not None}):
        own = [onset for onset in onsets if onset.seed == seed]
        for last in range(2, len(sizes)):
            for first in range(max(last - 4, 0), last - 1):
                pilots = sizes[first : last + 1]
                try:
                    laws = [law_of(own, kept) for kept in (pilots, pilots[1:])]
                except ConfigError:  # too few were located
                    continue
                for reach in REACHES:
                    n_train = reach * pilots[-1]
                    measured = [onset for onset in own if onset.n_train == n_train]
                    if measured and all(onset.usable for onset in measured):
                        whole, without = (law.predict(n_train) for law in laws)
                        batch_sizes = {onset.batch_size for onset in own}
                        is_full_batch = len(batch_sizes) == 1 and pilots[0] <= max(batch_sizes) < pilots[1]
                        yield Pair(reach, is_full_batch, whole, without, tuple(onset.step for onset in measured))


def law_of(onsets, sizes):
    """The law that a forecast from these sizes rests on."""
    kept = tuple(onset for onset in onsets if onset.n_train in sizes)
    return ClockLaw(kept[0].clock if kept else "", kept, kept).forecasting()


def show(found: Sequence[Pair]) -> None:
    """Print a row for each kind of shift and each reach."""
    kinds = {
        "all": lambda pair: True,
        "the smallest has full batches": lambda pair: pair.is_full_batch,
        f"later without it, by {LATER:.0%} or more": lambda pair: pair.shift >= LATER,
        f"earlier without it, by {LATER:.0%} or more": lambda pair: pair.shift <= -LATER,
    }
    print("| forecasts | reach | how many | nearer without | median error, with → without | width | runs covered |")
    print("|---|---|---|---|---|---|---|")
    for name, is_of in kinds.items():
        for reach in REACHES:
            own = [pair for pair in found if is_of(pair) and pair.reach == reach]
            if not own:
                continue
            cells = []
            nearer = sum(pair.error(pair.without) < pair.error(pair.whole) for pair in own)
            for both in ([(pair.whole, pair) for pair in own], [(pair.without, pair) for pair in own]):
                errors = median(pair.error(made) for made, pair in both)
                widths = median(math.log(made.high / made.low) for made, _ in both)
                covered = [step in made for made, pair in both for step in pair.measured]
                cells.append((f"{errors:.2f}", f"{widths:.2f}", f"{sum(covered)} of {len(covered)}"))
            told = " | ".join(f"{was} → {now}" for was, now in zip(*cells, strict=True))
            print(f"| {name.replace('%', ' %')} | {reach} times | {len(own)} | {nearer} | {told} |")


def of_study(name: str) -> Iterator[Pair]:
    """Every forecast of a sealed study."""
    onsets = find_onsets(read_runs(HERE / name))
    for clock in CLOCKS:
        yield from pairs([onset for onset in onsets if onset.clock == clock])


def of_guard() -> Iterator[Pair]:
    """Every forecast of the loops that know nothing of taumem."""
    with (HERE / "guard/law.onsets.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for what in sorted({row["what"] for row in rows}):
        yield from pairs(
            [
                Onset(
                    float(row["tau_val"]),
                    float(row["low"]),
                    float(row["high"]),
                    "no",
                    "tau_val",
                    RunKey(n_train=int(row["n_train"]), batch_size=8, seed=int(row["seed"])),
                )
                for row in rows
                if row["what"] == what
            ]
        )


def main() -> None:
    """Print the tables."""
    warnings.simplefilter("ignore", TaumemWarning)  # how far a forecast reaches stands in the table
    show([pair for name in STUDIES for pair in of_study(name)])
    print()
    show([pair for name in APART for pair in of_study(name)] + list(of_guard()))


if __name__ == "__main__":
    main()
