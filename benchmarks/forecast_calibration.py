"""Is the demo's forecast right, and is its interval as wide as it should be? The demo's pilots and target, many seeds.

    python benchmarks/forecast_calibration.py --seeds 10 --output forecast-calibration

Each seed draws its own images for training and for holding out, its own weights and noise. The target is trained twice
as long as forecast, which is enough to see its clock strike. Interrupted, the same command goes on. Prints a table, and
writes it with the numbers behind it into the output folder.
"""

import argparse
import io
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from taumem.lab import load_experiment
from taumem.lab.demo import DemoResult, forecast_and_prove
from taumem.record import write_atomically

WITHIN = 0.25
"""The relative error that a forecast should not exceed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from --first on")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--preset", default="demo", help="the pilots")
    parser.add_argument("--output", type=Path, default=Path("forecast-calibration"))
    arguments = parser.parse_args()

    results = []
    for seed in track(range(arguments.first, arguments.first + arguments.seeds), console=Console(stderr=True)):
        file = arguments.output / f"seed{seed}.json"
        if not file.exists():
            pilots = load_experiment(arguments.preset, [f"seeds=[{seed}]"])
            result = forecast_and_prove(
                pilots, arguments.output / f"seed{seed}", n_train=2 * max(pilots.n_train), late=2
            )
            write_atomically(file, result.model_dump_json(indent=2) + "\n")
        results.append(DemoResult.model_validate_json(file.read_text()))
    print(report(results))


def report(results: list[DemoResult]) -> str:
    """The table, as text."""
    table = Table("seed", "forecast", "90 % interval", "measured", "its interval", "error", "covered", box=None)
    for r in results:
        table.add_row(
            str(r.seed),
            f"{r.forecast.value:,.0f}",
            f"{r.forecast.low:,.0f} to {r.forecast.high:,.0f}",
            f"{r.measured.value:,.0f}",
            f"{r.measured.low:,.0f} to {r.measured.high:,.0f}",
            "" if r.relative_error is None else f"{r.relative_error:+.0%}",
            {True: "yes", False: "no", None: "not reached"}[r.covered],
        )
    text = io.StringIO()
    Console(width=110, file=text).print(table)
    near = sum(r.relative_error is not None and abs(r.relative_error) <= WITHIN for r in results)
    covered = sum(r.covered is True for r in results)
    return text.getvalue() + f"\nwithin {WITHIN:.0%}: {near} of {len(results)}; covered: {covered} of {len(results)}"


if __name__ == "__main__":
    main()
