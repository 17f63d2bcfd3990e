"""Is the demo's forecast right, and is its interval as wide as it should be? The demo itself, with many seeds.

    python benchmarks/forecast_calibration.py --seeds 10 --output forecast-calibration

Each seed draws its own images for training and for holding out, its own weights and noise, and is run exactly as by
`taumem demo --seed`. Interrupted, the same command goes on. Prints a table, how good the forecasts are, and the steps
that a seed takes; the numbers behind it are in the output folder.
"""

import argparse
import io
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from taumem.lab.demo import DemoResult, demo
from taumem.record import write_atomically

WITHIN = 0.15
"""The relative error that a forecast should not exceed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from --first on")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--quick", action="store_true", help="half the sizes, as in `taumem demo --quick`")
    parser.add_argument("--output", type=Path, default=Path("forecast-calibration"))
    arguments = parser.parse_args()

    results = []
    for seed in track(range(arguments.first, arguments.first + arguments.seeds), console=Console(stderr=True)):
        file = arguments.output / f"seed{seed}.json"
        if not file.exists():
            result = demo(arguments.output / f"seed{seed}", seed=seed, quick=arguments.quick)
            write_atomically(file, result.model_dump_json(indent=2) + "\n")
        results.append(DemoResult.model_validate_json(file.read_text()))
    print(report(results))


def report(results: list[DemoResult]) -> str:
    """The table, as text."""
    columns = ("seed", "forecast", "90 % interval", "measured", "its interval", "error", "covered", "steps")
    table = Table(*columns, box=None)
    for r in results:
        table.add_row(
            str(r.seed),
            f"{r.forecast.value:,.0f}",
            f"{r.forecast.low:,.0f} to {r.forecast.high:,.0f}",
            f"{r.measured.value:,.0f}",
            f"{r.measured.low:,.0f} to {r.measured.high:,.0f}",
            "" if r.relative_error is None else f"{r.relative_error:+.0%}",
            {True: "yes", False: "no", None: "not reached"}[r.covered],
            f"{r.steps:,}",
        )
    text = io.StringIO()
    Console(width=110, file=text).print(table)
    errors = [r.relative_error for r in results if r.relative_error is not None]
    near = sum(abs(error) <= WITHIN for error in errors)
    covered = sum(r.covered is True for r in results)
    said = [
        f"within {WITHIN:.0%}: {near} of {len(results)}",
        f"covered: {covered} of {len(results)}",
        f"mean error: {sum(errors) / len(errors):+.1%}" if errors else "measured: none",
        f"steps: {sum(r.steps for r in results) / len(results):,.0f} a seed",
    ]
    return f"{text.getvalue()}\n{'; '.join(said)}"


if __name__ == "__main__":
    main()
