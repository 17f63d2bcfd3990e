"""What it costs to stop at tau_mem, against the same network on all data: the held-out loss, over P."""

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import Interval, Study
from taumem.analysis.stopping_price import LOSS, PriceAtSize, StoppingPrice
from taumem.analysis.wording import change, number, percent, power
from taumem.report.figures.style import ACCENT, INK, MUTED, log_axis, rgba, styled

__all__ = ["stopping_price"]

N_POINTS = 33


def stopping_price(study: Study) -> go.Figure:
    """By how much the held-out loss at tau_mem is above that of the run on all data: at the same look, and at its best.

    Open marks: some run had not reached tau_mem, and the last look that could show it stands in. The line is
    the law of the loss at tau_mem.

    Args:
        study: what to draw.
    """
    figure = go.Figure()
    found = study.price
    if found is None:
        return styled(figure, x=log_axis("training examples P", []), y={})
    costs = [(size, cost) for size in found.sizes if (cost := size.cost(LOSS)) is not None]
    best = [(size, cost.best) for size, cost in costs if cost.best is not None]
    same = [(size, cost.same_look) for size, cost in costs if cost.same_look is not None]
    _add_law(figure, found)
    _add(figure, best, f"against P = {found.all_data:,} at its best", INK)
    _add(figure, same, f"against P = {found.all_data:,} at the same look", ACCENT)
    if any(size.n_reached < size.n_runs for size in found.sizes):
        marker = {"symbol": "circle-open", "size": 9, "color": MUTED, "line": {"width": 1.8, "color": MUTED}}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name="some runs had not reached tau_mem")
    sizes = [size.n_train for size in found.sizes]
    x = log_axis("training examples P", [float(size) for size in sizes])
    x |= {"tickmode": "array", "tickvals": sizes, "ticktext": [f"{size:,}" for size in sizes], "minor": {}}
    if sizes:
        x["range"] = [math.log10(sizes[0] / 1.35), math.log10(sizes[-1] * 1.35)]
    y = {"title_text": f"held-out loss at {found.clock}, above", "zeroline": True, "zerolinecolor": MUTED}
    return styled(figure, x=x, y=y)


def _add(figure: go.Figure, rows: Sequence[tuple[PriceAtSize, Interval]], name: str, color: str) -> None:
    if not rows:
        return
    figure.add_scatter(
        x=[size.n_train for size, _ in rows],
        y=[interval.value for _, interval in rows],
        mode="markers",
        name=name,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [interval.high - interval.value for _, interval in rows],
            "arrayminus": [interval.value - interval.low for _, interval in rows],
            "color": rgba(color, 0.7),
            "thickness": 1.6,
            "width": 0,
        },
        marker={
            "symbol": ["circle" if size.n_reached == size.n_runs else "circle-open" for size, _ in rows],
            "size": 9,
            "color": color,
            "line": {"width": 1.8, "color": color},
        },
        customdata=[
            [number(size.step), change(interval), f"{size.n_reached} of {size.n_runs}"] for size, interval in rows
        ],
        hovertemplate=(
            "P = %{x:,}, stopped at step %{customdata[0]}<br>%{customdata[1]} "
            f"({percent(rows[0][1].confidence)} interval), {name}<br>runs that reached tau_mem: %{{customdata[2]}}"
            "<extra></extra>"
        ),
    )


def _add_law(figure: go.Figure, found: StoppingPrice) -> None:
    """The law of the loss, less what the run on all data has at its best."""
    law = found.law
    pairs = [(c.at_stop.value, c.best.value) for size in found.sizes if (c := size.cost(LOSS)) and c.best]
    if law is None or not pairs:
        return
    floor = fmean(at_stop - best for at_stop, best in pairs)
    x = np.geomspace(law.sizes[0], law.sizes[-1], N_POINTS)
    figure.add_scatter(
        x=x.tolist(),
        y=[law.at(float(size)) - floor for size in x],
        mode="lines",
        line={"color": rgba(INK, 0.6), "width": 1.6},
        hoverinfo="skip",
        name=f"loss at tau_mem = L + A P<sup>-b</sup>, b = {power(law.exponent)}",
    )
