"""The collapse: one clock of all arms against P, in steps, in passes, in effective time, and in that without its noise.

    python experiments/unit/collapse.py --figure      # docs/figures/unit-collapse.png, which needs chromium

Without ``--figure``, the table: what scatter each unit leaves about a power of P, and which share of that in steps.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from tables import HERE, Arms, arms_in, fitted, onsets_of, pooled, row

from taumem.analysis import Onset
from taumem.analysis.onset import NOISE

sys.path.append(str(HERE.parent))
from figures import photograph

DOMAINS = ("grammar", "images", "text", "mlp")
CLOCK = "tau_gap[0.2]"
COLORS = {
    "adamw-0.0003": "#1f4e9c",
    "adamw-0.0012": "#2a9d8f",
    "adamw-0.0048": "#8ab17d",
    "sgd-0.1": "#e76f51",
    "sgd-0.4": "#f4a261",
}
"""Of optimizer and rate: the arms that are drawn."""

Located = dict[str, list[Onset]]


def main() -> None:
    """Print the table, and draw the figure if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", action="store_true")
    parser.add_argument("--runs", type=Path, help="folder that arms.py wrote to; the sealed studies if not said")
    asked = parser.parse_args()
    places = {d: asked.runs / d if asked.runs else HERE / f"{d}.sealed" for d in DOMAINS}
    studies = {domain: arms_in(place) for domain, place in places.items() if place.exists()}
    panels = {domain: panels_of(arms) for domain, arms in studies.items()}
    print(row("data", "onsets", *next(iter(panels.values()))), row(*["---"] * 6), sep="\n")
    for domain, of in panels.items():
        plain = scatter(of["steps"])
        told = [f"{scatter(points):.2f} ({scatter(points) / plain:.0%})" for points in of.values()]
        print(row(domain, len(of["steps"]), *told))
    if asked.figure:
        photograph(
            drawn({domain: of for domain, of in panels.items() if domain != "mlp"}),
            "unit-collapse",
            width=1150,
            height=900,
        )


Point = tuple[Onset, float, str]
"""An onset, where it lies in a unit, and its optimizer and rate."""


def panels_of(arms: Arms) -> dict[str, list[Point]]:
    """All points of a domain by unit."""
    steps, times = (
        {arm: of for arm, of in onsets_of(arms, CLOCK, unit).items() if arm.rpartition("-B")[0] in COLORS}
        for unit in ("steps", "effective_time")
    )
    fit = fitted(pooled(times.values()), "noise")
    per_noise = fit.coefficients["noise"][0] if fit else math.nan

    def points(found: Located, unit: Callable[[Onset], float]) -> list[Point]:
        return [(o, unit(o), arm.rpartition("-B")[0]) for arm, own in found.items() for o in own if o.usable]

    return {
        "steps": points(steps, lambda o: o.step),
        "passes": points(steps, lambda o: o.step * o.batch_size / o.n_train),
        "effective time T": points(times, lambda o: o.step),
        "T, noise taken out": points(times, lambda o: o.step * math.exp(-per_noise * o.settings[NOISE])),
    }


def scatter(points: Sequence[Point]) -> float:
    """Standard deviation of the logarithm about a power of P, by least squares."""
    x = np.log([o.n_train for o, _, _ in points])
    y = np.log([value for _, value, _ in points])
    rest = y - np.polyval(np.polyfit(x, y, 1), x)
    return float(np.sqrt(rest @ rest / (len(y) - 2)))


def drawn(panels: dict[str, dict[str, list[Point]]]) -> go.Figure:
    """A row for each domain, a column for each unit."""
    titles = [f"{domain}: {unit}, {scatter(p):.2f}" for domain, of in panels.items() for unit, p in of.items()]
    figure = make_subplots(len(panels), 4, subplot_titles=titles, horizontal_spacing=0.055, vertical_spacing=0.09)
    for k, of in enumerate(panels.values(), start=1):
        for column, points in enumerate(of.values(), start=1):
            for name, color in COLORS.items():
                own = [(o, value) for o, value, arm in points if arm == name]
                figure.add_scatter(
                    x=[o.n_train for o, _ in own],
                    y=[value for _, value in own],
                    mode="markers",
                    marker={
                        "color": color,
                        "size": 7,
                        "symbol": ["diamond-open" if o.batch_size >= o.n_train else "circle" for o, _ in own],
                    },
                    name=name.replace("adamw-", "Adam, rate ").replace("sgd-", "SGD, rate "),
                    legendgroup=name,
                    showlegend=k == column == 1,
                    row=k,
                    col=column,
                )
    figure.update_xaxes(type="log", dtick=math.log10(2), tickfont_size=9)
    figure.update_xaxes(title_text="training examples P", row=len(panels))
    figure.update_yaxes(type="log", dtick=1)
    figure.update_annotations(font_size=12)
    legend = {"orientation": "h", "y": -0.08}
    figure.update_layout(template="simple_white", font={"size": 11}, legend=legend, margin={"t": 30, "r": 15, "b": 10})
    return figure


if __name__ == "__main__":
    main()
