"""The figure of docs/transfer.md, from onsets.tsv: by which factor each arm moves its clocks.

python experiments/coefficients/draw.py    # needs chromium on the path; writes docs/figures/coefficients.png
"""

import math
import sys
import warnings
from pathlib import Path

import plotly.graph_objects as go
from arms import DOMAINS, arms_of
from plotly.subplots import make_subplots
from table import CLOCKS, coefficient, joined, onsets_of

from taumem.errors import TaumemWarning

sys.path.append(str(Path(__file__).parents[1]))
from figures import photograph

COLORS = dict(zip(CLOCKS, ("#1f7a8c", "#e0a458", "#c0562f", "#6b7280"), strict=True))


def factors() -> go.Figure:
    """A dot for each arm and clock, with its 90 % interval; the line is the base."""
    domains = [domain for domain in DOMAINS if made(domain)]
    figure = make_subplots(rows=1, cols=len(domains), subplot_titles=domains, horizontal_spacing=0.16)
    shown: set[str] = set()
    for column, domain in enumerate(domains, start=1):
        arms = made(domain)
        for k, clock in enumerate(CLOCKS):
            base = onsets_of(domain, "base", clock)
            places, values, lower, upper = [], [], [], []
            for place, arm in enumerate(arms):
                onsets = onsets_of(domain, arm, clock)
                found = coefficient(joined(base, onsets), "z") if sum(o.usable for o in onsets) >= 3 else None
                if found is not None:
                    value, low, high = (math.exp(x) for x in (found[1].value, found[1].low, found[1].high))
                    places.append(place + 0.18 * (k - 1.5))
                    values.append(value)
                    lower.append(value - low)
                    upper.append(high - value)
            error = {"type": "data", "array": upper, "arrayminus": lower, "symmetric": False, "width": 0}
            style = {"mode": "markers", "marker": {"color": COLORS[clock], "size": 7}, "error_x": error}
            first = bool(values) and clock not in shown
            dots = go.Scatter(x=values, y=places, name=clock, showlegend=first, legendgroup=clock, **style)
            figure.add_trace(dots, row=1, col=column)
            shown |= {clock} if values else set()
        figure.add_vline(1, line_width=1, row=1, col=column)
        figure.update_yaxes(tickvals=list(range(len(arms))), ticktext=arms, autorange="reversed", row=1, col=column)
    ticks = [0.25, 0.5, 1, 2, 4, 8]
    figure.update_xaxes(
        type="log", tickvals=ticks, ticktext=list(map(str, ticks)), title="tau / base", gridcolor="#eee"
    )
    legend = {"orientation": "h", "y": -0.22, "x": 0.5, "xanchor": "center"}
    figure.update_layout(margin={"l": 90, "r": 10, "t": 40, "b": 60}, legend=legend)
    return figure


def made(domain: str) -> list[str]:
    """The arms of a domain that have onsets, without the base."""
    return [arm for arm in arms_of(domain) if arm != "base" and any(onsets_of(domain, arm, clock) for clock in CLOCKS)]


if __name__ == "__main__":
    warnings.simplefilter("ignore", TaumemWarning)
    photograph(factors(), "coefficients", width=860, height=420)
