"""Does a pilot narrow a forecast by as much as `Study.next_pilot` expects? Held against finished studies.

    python experiments/next_pilots.py

The pilots are the runs of one seed at three sizes in a row. For a run of the next size, and for one more run of the
smallest (of another seed), stands what the forecast's interval at 4 times the largest pilot was expected to become, and
what it became when that run's onset was added. Nothing is trained.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from taumem import Onset, find_onsets, read_runs
from taumem.analysis import ClockLaw
from taumem.analysis.pilot_choice import planned_pilot, width_of
from taumem.errors import ConfigError, TaumemWarning

HERE = Path(__file__).parent
STUDIES = ("images/fashion", "text/english", "text/text8", "grammar/uniform", "grammar/masked")
CLOCKS = ("tau_val", "tau_gap_sym[0.2]", "tau_copy[0.05]")
REACH = 4


def widths(onsets: list[Onset], is_next: bool) -> Iterator[tuple[float, float, float]]:
    """Of each set of pilots: log(high / low) before, as expected, and as it became."""
    sizes = sorted({onset.n_train for onset in onsets})
    for k in range(3, len(sizes)):
        pilots, size = sizes[k - 3 : k], sizes[k] if is_next else sizes[k - 3]
        for seed in sorted({onset.seed for onset in onsets if onset.seed is not None}):
            own = tuple(o for o in onsets if o.seed == seed and o.n_train in pilots)
            new = [o for o in onsets if o.n_train == size and (o.seed == seed) == is_next]
            if not own or not new or not new[0].usable:
                continue
            clock, n_train = ClockLaw(own[0].clock, own, own), REACH * pilots[-1]
            try:
                law = clock.forecasting()
                after = replace(clock, fitted=(*own, new[0])).forecasting()
            except ConfigError:  # too few were located
                continue
            yield (
                width_of(law.predict(n_train)),
                planned_pilot(law, size, n_train).width_then,
                width_of(after.predict(n_train)),
            )


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", TaumemWarning)  # how far a forecast reaches is the same for all
    found = {name: find_onsets(read_runs(HERE / name)) for name in STUDIES}
    print("| study | new run | pilots | interval before | expected | became | became / expected, on a log axis: ends |")
    print("|---|---|---|---|---|---|---|")
    for name, onsets in found.items():
        for is_next in (True, False):
            rows = [row for clock in CLOCKS for row in widths([o for o in onsets if o.clock == clock], is_next=is_next)]
            if not rows:
                continue
            before, expected, became = (f"× {math.exp(median(column)):.2f}" for column in zip(*rows, strict=True))
            ratios = sorted(after / then for _, then, after in rows)
            ends = f"{median(ratios):.2f}: {ratios[0]:.2f} to {ratios[-1]:.2f}"
            what = "the next size" if is_next else "the smallest again"
            print(f"| {name} | {what} | {len(rows)} | {before} | {expected} | {became} | {ends} |")


if __name__ == "__main__":
    main()
