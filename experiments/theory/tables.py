"""What was derived of random features beside what was measured: the tables of docs/theory.md, and its figure.

    python experiments/theory/tables.py             # the tables
    python experiments/theory/tables.py --figure    # and docs/figures/theory.png, which needs chromium

Reads what `derive.py` wrote, and the sealed runs of the preset (`measured`) and of the same solved (`solved`, by
`solved.py`).
"""

import argparse
import csv
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from taumem import Onset, Study, fit_law, read_runs
from taumem.analysis import Law
from taumem.analysis.wording import number, power
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import RunKey

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from figures import photograph  # noqa: E402 (of the folder above)

CLOCKS = ("tau_val", "tau_gap[0.1]", "tau_gap[0.2]")
T, RATE = 0.2, 25
"""The diffusion time and the learning rate of the preset: tau = rate * steps."""
COLORS = {32: "#440154", 64: "#414487", 128: "#2a788e", 256: "#22a884", 512: "#a5c736"}
"""By P: viridis."""
OF_CLOCKS = {"tau_gen": "#888888", "tau_val": "#e76f51", "tau_gap_grown[0.1]": "#1f4e9c"}

Row = dict[str, str]


def main() -> None:
    """Print the tables, and draw the figure if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", TaumemWarning)
    print("derived: exponents of P\n")
    table(["data", "t", "1 / rate", "tau_gen", *CLOCKS], exponents(rows("onsets")))
    print("\nmeasured, against derived\n")
    table(["clock", "runs", "exponent, measured", "exponent, solved", "measured / solved"], compared("measured"))
    print("\nAdam\n")
    table(["clock", "gradient flow", "Adam"], with_adam())
    print("\nwhat a width can memorize\n")
    table(["features", *SIZES_OF_WIDTHS], what_widths_do())
    print("\ngradients of networks: rates at modes, over the first\n")
    table(["network", "steps", "m", *MODES], of_networks())
    if arguments.figure:
        photograph(drawn(), "theory", width=1280, height=470)


def rows(name: str) -> list[Row]:
    """Of a table that derive.py wrote."""
    with (HERE / f"{name}.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def table(head: Iterable[object], lines: Iterable[Iterable[object]]) -> None:
    """Print a table of Markdown."""
    head = list(head)
    for line in (head, ["---"] * len(head), *lines):
        print(f"| {' | '.join(map(str, line))} |")


def derived(of: Iterable[Row], clock: str) -> list[Onset]:
    """As onsets, in units of tau."""
    found = []
    for row in of:
        step, key = float(row[clock]), RunKey(n_train=int(row["P"]), batch_size=int(row["P"]), seed=int(row["seed"]))
        if math.isfinite(step):
            found.append(Onset(step, step / 1.01, step * 1.01, "no", clock, key))
    return found


def law_of(onsets: Sequence[Onset]) -> Law | None:
    """A power of P, in steps of the same batch size; None where it cannot be told."""
    try:
        return fit_law(onsets, exponent=None, batch_exponent=0.0)
    except ConfigError:
        return None


def exponent(onsets: Sequence[Onset]) -> str:
    """Its interval in words."""
    law = law_of(onsets)
    return "none" if law is None else power(law.exponent)


def exponents(of: Sequence[Row]) -> Iterator[list[str]]:
    """Of each kind of data, diffusion time."""

    def arm(row: Row) -> list[str]:
        return [row["data"], row["t"]]

    for each in dict.fromkeys(tuple(arm(row)) for row in of):
        own = [row for row in of if tuple(arm(row)) == each]
        # The middle one of the modes that tell items apart, which there are where P is above d = 32.
        slow = [row | {"1 / rate": str(1 / float(row["rate_middle"]))} for row in own if int(row["P"]) > 32]
        told = exponent(derived(slow, "1 / rate")) if each[0] != "images" else ""
        yield [*each, told, *(exponent(derived(own, clock)) for clock in ("tau_gen", *CLOCKS))]


def measured(name: str, clock: str) -> list[Onset]:
    """Located onsets of a sealed study."""
    return [o for o in Study.of(read_runs(HERE / f"{name}.sealed")).onsets if o.clock == clock]


def compared(name: str) -> Iterator[list[str]]:
    """Of each clock: exponents, and the ratio of each run to the same run solved."""
    for clock in ("tau_gen", "tau_val", "tau_gap[0.1]", "tau_gap_grown[0.1]"):
        found, told = measured(name, clock), measured("solved", clock)
        at = {(o.n_train, o.seed): o.step for o in told if o.usable}
        ratios = [o.step / at[o.n_train, o.seed] for o in found if o.usable and (o.n_train, o.seed) in at]
        low, middle, high = np.quantile(ratios, [0, 0.5, 1]) if ratios else [math.nan] * 3
        ratio = f"{middle:.2f} ({low:.2f} to {high:.2f}; {len(ratios)})"
        yield [f"`{clock}`", f"{len(found)}", exponent(found), exponent(told), ratio]


def with_adam() -> Iterator[list[str]]:
    """Exponents of 512 features with Adam on the exact gradient, beside those of gradient flow."""
    found = rows("adam")
    flow = [row | {"seed": "0"} for row in rows("widths") if row["features"] == "512"]
    flow = [row for row in flow if row["P"] in {each["P"] for each in found}]
    for clock in ("tau_gen", *CLOCKS):
        yield [f"`{clock}`", exponent(derived(flow, clock)), exponent(derived(found, clock))]


SIZES_OF_WIDTHS = ("16", "32", "64", "128", "256", "512", "1024", "2048")


def what_widths_do() -> Iterator[list[str]]:
    """The gap at the end of training; in brackets tau_gap[0.1] over tau_gen."""
    found = rows("widths")
    for width in dict.fromkeys(row["features"] for row in found):
        at = {row["P"]: row for row in found if row["features"] == width}
        cells = [
            f"{float(at[p]['gap_end']):.2f} ({number(float(at[p]['tau_gap[0.1]']) / float(at[p]['tau_gen']))})"
            if p in at
            else ""
            for p in SIZES_OF_WIDTHS
        ]
        yield [width, *cells]


MODES = (1, 8, 9, 24, 48, 49, 96, 192)


def of_networks() -> Iterator[list[str]]:
    """Rates of some modes in units of the fastest, with the share of each that is the same for draws."""
    found = rows("gradients")
    for network, steps, m in dict.fromkeys((row["network"], row["steps"], row["draws"]) for row in found):
        at = {int(r["mode"]): r for r in found if (r["network"], r["steps"], r["draws"]) == (network, steps, m)}
        cells = [f"{float(at[k]['rate']):.1e} ({float(at[k]['same']):.2f})" if k in at else "" for k in MODES]
        yield [network, steps, m, *cells]


def drawn() -> go.Figure:
    """Spectra (left), curves derived and measured (middle), onsets derived and measured (right)."""
    titles = ["rates of the modes", "losses: derived, and one run of each P", "onsets: derived (lines), measured"]
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.08)
    _add_spectra(figure)
    _add_curves(figure)
    _add_onsets(figure)
    figure.update_xaxes(type="log", dtick=1, exponentformat="power")
    figure.update_yaxes(type="log", dtick=1, exponentformat="power")
    figure.update_xaxes(title_text="mode", row=1, col=1)
    figure.update_yaxes(title_text="rate (1 / tau)", range=[-6.2, -1.9], row=1, col=1)
    figure.update_xaxes(title_text="tau = learning rate × steps", range=[1.7, 5.9], row=1, col=2)
    figure.update_yaxes(type="linear", title_text="loss", range=[0.8, 1.1], dtick=0.05, row=1, col=2)
    figure.update_xaxes(title_text="training examples P", tickvals=list(COLORS), ticktext=[*map(str, COLORS)], col=3)
    figure.update_yaxes(title_text="tau", row=1, col=3)
    figure.update_layout(template="simple_white", font={"size": 12}, margin={"t": 40, "b": 10, "r": 10, "l": 10})
    figure.update_layout(legend2={"x": 1.02, "y": 0.45})
    return figure


def _add_spectra(figure: go.Figure) -> None:
    for p, color in COLORS.items():
        own = [row for row in rows("spectra") if int(row["P"]) == p]
        x, y = ([float(row[name]) for row in own] for name in ("mode", "rate"))
        style = {"mode": "lines", "line_color": color, "name": f"P = {p}", "legendgroup": str(p)}
        figure.add_scatter(x=x, y=y, **style, row=1, col=1)


def _add_curves(figure: go.Figure) -> None:
    solved, runs = (
        {r.header.key.n_train: r for r in read_runs(HERE / f"{name}.sealed") if r.header.seed == 0}
        for name in ("solved", "measured")
    )
    for p, color in COLORS.items():
        for name, dash, symbol in (("train", "dot", "circle-open"), ("heldout", "solid", "circle")):
            shared = {"legendgroup": str(p), "showlegend": False, "row": 1, "col": 2}
            told, found = (of[p].curve(f"{name}_loss") for of in (solved, runs))
            line = {"color": color, "dash": dash, "width": 1.5}
            figure.add_scatter(x=RATE * told.steps, y=told.values, mode="lines", line=line, **shared)
            marker = {"color": color, "size": 4, "symbol": symbol}
            figure.add_scatter(x=RATE * found.steps[::2], y=found.values[::2], mode="markers", marker=marker, **shared)


def _add_onsets(figure: go.Figure) -> None:
    for clock, color in OF_CLOCKS.items():
        shared = {"legendgroup": clock, "legend": "legend2", "row": 1, "col": 3}
        told = [o for o in measured("solved", clock) if o.usable]
        sizes = [p for p in COLORS if any(o.n_train == p for o in told)]
        means = [RATE * float(np.exp(np.mean([math.log(o.step) for o in told if o.n_train == p]))) for p in sizes]
        figure.add_scatter(x=sizes, y=means, mode="lines", line_color=color, name=clock, **shared)
        found = [o for o in measured("measured", clock) if o.usable]
        ends = {
            "array": [RATE * (o.high - o.step) for o in found],
            "arrayminus": [RATE * (o.step - o.low) for o in found],
        }
        x, y = [o.n_train for o in found], [RATE * o.step for o in found]
        marker = {"color": color, "size": 6}
        figure.add_scatter(
            x=x, y=y, error_y=ends | {"thickness": 1}, mode="markers", marker=marker, showlegend=False, **shared
        )


if __name__ == "__main__":
    main()
