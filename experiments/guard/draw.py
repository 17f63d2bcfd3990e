"""The figures of docs/guard.md, from results.jsonl and law.onsets.tsv.

python experiments/guard/draw.py    # needs chromium on the path; writes docs/figures/guard-*.png
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from tables import LOOPS, RULES, runs

sys.path.append(str(Path(__file__).parents[1]))
from figures import photograph

ONSETS = Path(__file__).with_name("law.onsets.tsv")
COLORS = {"quality": "#8a5fbf", "balanced": "#1f7a8c", "no_copies": "#c0562f", "privacy": "#6b7280"}


def stops() -> go.Figure:
    """Where each rule stops, over tau_val: a dot for each run; the band spans the first 5 % of copies."""
    loops = [loop for loop in LOOPS if runs("heldout", loop)]
    figure = make_subplots(rows=1, cols=len(loops), shared_yaxes=True, subplot_titles=loops, horizontal_spacing=0.03)
    for column, loop in enumerate(loops, start=1):
        lines = [line for line in runs("heldout", loop) if line["tau_val"]]
        for place, rule in enumerate(RULES):
            over = [
                line["rules"][rule]["stop"]["step"] / line["tau_val"][0]
                for line in lines
                if line["rules"][rule]["stop"]
            ]
            heights = place + np.linspace(-0.2, 0.2, len(over))
            marker = {"color": COLORS[rule], "size": 7, "opacity": 0.8}
            dots = go.Scatter(x=over, y=heights, mode="markers", marker=marker, showlegend=False)
            figure.add_trace(dots, row=1, col=column)
        figure.add_vline(1, line_width=1, row=1, col=column)
        if first := [line["tau_copy"][0] / line["tau_val"][0] for line in lines if line["tau_copy"]]:
            band = {"fillcolor": "#c0562f", "opacity": 0.12, "line_width": 0}
            figure.add_vrect(min(first), max(first), **band, row=1, col=column)
            line = {"line_dash": "dash", "line_color": "#c0562f", "line_width": 1}
            figure.add_vline(float(np.median(first)), **line, row=1, col=column)
    ticks = [0.5, 1, 2, 4, 8]
    figure.update_xaxes(type="log", range=np.log10([0.3, 14]), tickvals=ticks, title="stop / tau_val", gridcolor="#eee")
    figure.update_yaxes(tickvals=list(range(len(RULES))), ticktext=RULES, range=[len(RULES) - 0.5, -0.5])
    figure.update_layout(margin={"l": 80, "r": 10, "t": 40, "b": 50})
    return figure


def law() -> go.Figure:
    """tau_val against P, a dot for each run with its 90 % interval; the dotted lines have exponent 1."""
    found = defaultdict(list)
    with ONSETS.open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            found[row["what"]].append([float(row[name]) for name in ("n_train", "tau_val", "low", "high")])
    figure = go.Figure()
    for (what, rows), color in zip(found.items(), ("#1f7a8c", "#c0562f"), strict=False):
        p, tau, low, high = np.array(rows).T
        p = p * np.resize([0.97, 1, 1.03], len(p))
        error = {"array": high - tau, "arrayminus": tau - low, "thickness": 1, "width": 0}
        dots = go.Scatter(x=p, y=tau, error_y=error, mode="markers", name=what, marker={"color": color, "size": 8})
        ends = np.array([14, 150])
        line = {"color": color, "dash": "dot", "width": 1}
        height = np.exp(np.mean(np.log(tau / p))) * ends
        figure.add_traces([dots, go.Scatter(x=ends, y=height, mode="lines", line=line, showlegend=False)])
    ticks = [50, 100, 200, 500, 1000, 2000, 5000]
    figure.update_xaxes(type="log", title="P", tickvals=[16, 32, 64, 128], gridcolor="#eee")
    figure.update_yaxes(type="log", title="tau_val (steps)", gridcolor="#eee", tickvals=ticks)
    figure.update_layout(margin={"l": 70, "r": 10, "t": 20, "b": 50}, legend={"x": 0.03, "y": 0.97})
    return figure


def main() -> None:
    """Draw those that there are results for."""
    photograph(stops(), "guard-stops", width=1000, height=320)
    if ONSETS.exists():
        photograph(law(), "guard-law", width=600, height=420)


if __name__ == "__main__":
    main()
