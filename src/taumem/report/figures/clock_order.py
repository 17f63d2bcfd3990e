"""By which factor each clock goes off before or after another one, in the same runs."""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from taumem.analysis import Precedence, Study
from taumem.analysis.wording import multiple, power
from taumem.report.figures.style import INK, MUTED, clock_color, log_axis, rgba, size_colors, styled

__all__ = ["order"]


def order(study: Study | Mapping[str, Study]) -> go.Figure:
    """Draw tau / tau_val of each clock with its interval, from the first to the last; empty where none is known.

    Args:
        study: one, whose clocks have their own colors, or several by name, side by side.
    """
    names, studies = zip(*study.items(), strict=True) if isinstance(study, Mapping) else (("",), (study,))
    compared = [[each for each in one.order if each.is_told] for one in studies]
    rows = _rows(compared)
    colors = list(size_colors(range(len(studies))).values())
    figure = go.Figure()
    for k, (name, found) in enumerate(zip(names, compared, strict=True)):
        shift = (k - (len(studies) - 1) / 2) * 0.7 / len(studies)
        several = colors[k] if len(studies) > 1 else None
        _add_study(figure, name, found, rows, shift, several)
    ends = [end for found in compared for each in found if each.factor for end in (each.factor.low, each.factor.high)]
    figure.add_vline(x=1, line={"color": MUTED, "width": 1, "dash": "dot"})
    x = log_axis("onset, as a multiple of tau_val in the same run", [*ends, 1.0])
    ticks = {"tickmode": "array", "tickvals": list(range(len(rows))), "ticktext": rows}
    y = {**ticks, "range": [len(rows) - 0.4, -0.6], "title_text": "", "gridcolor": "rgba(0,0,0,0)"}
    styled(figure, x=x, y=y)
    figure.update_yaxes(tickfont={"color": INK})
    return figure


def _rows(compared: Sequence[Sequence[Precedence]]) -> list[str]:
    """The clocks from the first to the last, on average over the studies that have them."""
    places: dict[str, list[float]] = {}
    for found in compared:
        for each in found:
            places.setdefault(each.clock, []).append(math.log(_at(each)))
    return sorted(places, key=lambda clock: sum(places[clock]) / len(places[clock]))


def _at(each: Precedence) -> float:
    return each.typical or 1.0


def _add_study(
    figure: go.Figure, name: str, found: Sequence[Precedence], rows: Sequence[str], shift: float, color: str | None
) -> None:
    for k, each in enumerate(found):
        at = _at(each)
        low, high = (each.factor.low, each.factor.high) if each.factor else (at, at)
        paint = color or clock_color(each.clock)
        figure.add_scatter(
            x=[at],
            y=[rows.index(each.clock) + shift],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - at],
                "arrayminus": [at - low],
                "color": rgba(paint, 0.55),
                "thickness": 2,
                "width": 0,
            },
            mode="markers",
            marker={"size": 9, "color": paint, **_mark(each)},
            name=name,
            legendgroup=name,
            showlegend=color is not None and k == 0,
            customdata=[[_in_words(each), _trend(each)]],
            hovertemplate=f"{each.clock}: %{{customdata[0]}}<br>%{{customdata[1]}}<extra></extra>",
        )


def _mark(each: Precedence) -> dict[str, object]:
    if each.of_one_run is not None:
        return {"symbol": "circle-open", "line": {"width": 1.8}}
    return {"symbol": "circle" if each.factor else "triangle-right"}


def _in_words(each: Precedence) -> str:
    return f"{multiple(each)}: times {each.reference}; known in {each.n_located} of {each.n_runs} runs"


def _trend(each: Precedence) -> str:
    return f"exponent of P, less that of {each.reference}: {power(each.trend)}" if each.trend else ""
