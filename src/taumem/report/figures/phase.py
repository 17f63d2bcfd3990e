"""The phase diagram: what was learned and whether it was memorized, over the size of the training set and the step."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import PhaseDiagram, Study
from taumem.analysis.boundary import Boundary
from taumem.analysis.wording import number, power, setting, span
from taumem.errors import TaumemWarning
from taumem.report.figures.regions import Part, Stretch, room_around, stretches_of, strips_of
from taumem.report.figures.style import INK, MUTED, PAPER, log_axis, region_color, rgba, styled

__all__ = ["mark_complexities", "phase_diagram"]

N_POINTS = 33
NAME_WIDTH, NAME_HEIGHT = 0.27, 0.045
"""What a region's name takes of a narrow diagram; regions without that room are named by the legend alone."""
NAMES_END = 0.6
"""The share of the diagram's width that the names of partial generalizations have."""
MOST_TICKS = 7
"""Sizes named below the diagram: as many as a narrow one has room for."""


def phase_diagram(study: Study) -> go.Figure:
    """What the models had learned, and whether they memorized, over the number of training examples and the step.

    Where all runs are of one size, a setting that they differ in takes the place of P. Each run is a strip, as wide as
    the distance between the sizes leaves for it, and colored from look to look; dots are the looks. Over it the fitted
    boundaries, and dotted the sample complexities of the levels.

    Args:
        study: what to draw.
    """
    figure = go.Figure()
    phase = study.phase
    title = "training examples P" if phase is None or phase.is_over_sizes else phase.over
    if phase is None:
        return styled(figure, x=log_axis(title, []), y=log_axis("optimizer steps", []))
    stretches = list(stretches_of(phase))
    for part in sorted({s.part for s in stretches}, key=lambda part: part.order):
        _add_part(figure, part, [s for s in stretches if s.part == part], phase.depth)
    _add_looks(figure, phase)
    x_range = (min(s.left for s in stretches), max(s.right for s in stretches))
    y_range = (min(s.bottom for s in stretches), max([s.top for s in stretches] + _end_of_tau_mem(phase, x_range[1])))
    _add_boundaries(figure, phase, x_range)
    _name_parts(figure, stretches)
    mark_complexities(figure, phase, x_range)
    x, places = log_axis(title, x_range), sorted({look.x for look in phase.looks})
    ticks = places[:: -math.ceil(len(places) / MOST_TICKS)]
    x |= {"tickmode": "array", "tickvals": ticks, "ticktext": [setting(tick) for tick in ticks], "minor": {}}
    y = log_axis("optimizer steps", y_range)
    for axis, ends in ((x, x_range), (y, y_range)):
        axis |= {"range": [math.log10(end) for end in ends], "showgrid": False}
    styled(figure, x=x, y=y)
    figure.update_layout(margin_t=26)
    return figure


# --- parts ------------------------------------------------------------------------------------------------------------


def _add_part(figure: go.Figure, part: Part, stretches: Sequence[Stretch], depth: int) -> None:
    color = region_color(part.region, part.grammar_level, depth)
    x: list[float | None] = []
    y: list[float | None] = []
    for s in stretches:
        x += [s.left, s.right, s.right, s.left, s.left, None]
        y += [s.bottom, s.bottom, s.top, s.top, s.bottom, None]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        fill="toself",
        fillcolor=color,
        line={"color": color, "width": 0.6},  # hides the seams between neighbors
        hoverinfo="skip",
        name=part.name,
        showlegend=False,
    )
    marker = {"symbol": "square", "size": 12, "color": color}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=part.name)


def _add_looks(figure: go.Figure, phase: PhaseDiagram) -> None:
    """A dot a look, within its run's strip."""
    at = {source: math.sqrt(left * right) for source, (left, right) in strips_of(phase).items()}
    figure.add_scatter(
        x=[at[look.source] for look in phase.looks],
        y=[look.step for look in phase.looks],
        mode="markers",
        marker={"size": 2.6, "color": rgba(INK, 0.32)},
        showlegend=False,
        customdata=[
            [
                f"{phase.over} = {setting(look.x)} · seed {look.seed}",
                Part.of(look).name,
                f"<br>levels reached: {look.grammar_level} of {phase.depth}" if phase.depth else "",
            ]
            for look in phase.looks
        ],
        hovertemplate="%{customdata[0]}<br>step %{y:,}: %{customdata[1]}%{customdata[2]}<extra></extra>",
    )


def _name_parts(figure: go.Figure, stretches: Sequence[Stretch]) -> None:
    """Write a part's name where there is most room for it, if there is any."""
    left, right = min(s.left for s in stretches), max(s.right for s in stretches)
    bottom, top = min(s.bottom for s in stretches), max(s.top for s in stretches)
    reach, least = (right / left) ** (NAME_WIDTH / 2), (top / bottom) ** NAME_HEIGHT
    for part in dict.fromkeys(s.part for s in stretches):
        own = [s for s in stretches if s.part == part]
        # The right end belongs to the names of the boundaries between partial generalizations.
        free = [s for s in own if part.region == "partial" and s.right <= left * (right / left) ** NAMES_END]
        rooms = [room for s in free or own if (room := room_around(s, own, reach)) is not None]
        if not rooms:
            continue
        x, low, high = max(rooms, key=lambda room: room[2] / room[1])
        if high / low >= least:
            figure.add_annotation(
                x=math.log10(x),
                y=math.log10(math.sqrt(low * high)),
                text=part.short_name,
                showarrow=False,
                font={"size": 13, "color": PAPER if part.region == "generalization" else INK},
            )


# --- boundaries -------------------------------------------------------------------------------------------------------


def _add_boundaries(figure: go.Figure, phase: PhaseDiagram, x_range: tuple[float, float]) -> None:
    for grammar_level, boundary in enumerate(phase.boundaries, start=1):
        if boundary.exponent is not None and boundary.free is not None:
            # Below its sizes a level came by copying, if at all: the line would be a claim about nothing.
            start = max(x_range[0], boundary.free.sizes[0] / math.sqrt(2)) if phase.depth else x_range[0]
            name = f"level {grammar_level} learned" if phase.depth else f"learned ({boundary.clock})"
            about = f"{name}: steps ∝ {phase.over}^{power(boundary.exponent)}"
            _add_law(figure, boundary.at, (start, x_range[1]), name, about, width=1.5)
    linear, memorized = phase.memorization.linear, phase.memorization
    if memorized.exponent is not None:
        value, interval = power(memorized.exponent).split(" ", 1)
        name = f"tau_mem ∝ {phase.over}<sup>{value}</sup> {interval}"
        if linear is None:
            about = f"{phase.clock}: steps ∝ {phase.over}^{value} {interval}"
            _add_law(figure, memorized.at, x_range, name, about, width=2.6, in_legend=True)
        else:
            x, y = _curve(memorized.at, x_range)
            line = {"color": INK, "width": 1.2, "dash": "dash"}
            figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", name=name)
    if linear is not None:
        about = f"{phase.clock} = c P, c = {span(linear.prefactor)} steps per example"
        # Named in the legend: at its end it would stand on the dashed line.
        name = f"tau_mem = {number(linear.prefactor.value)} P"
        _add_law(figure, _linear(memorized), x_range, name, about, width=2.6, in_legend=True)


def _linear(boundary: Boundary) -> Callable[[float], float | None]:
    law = boundary.linear
    return lambda x: None if law is None else law.predict(max(round(x), 1)).value


def _end_of_tau_mem(phase: PhaseDiagram, right: float) -> list[float]:
    """A step high enough for the line of tau_mem, even where the runs ended before it."""
    boundary = phase.memorization
    ends = _curve(_linear(boundary) if boundary.linear is not None else boundary.at, (right, right))[1]
    return [1.7 * end for end in ends]


def _add_law(
    figure: go.Figure,
    at: Callable[[float], float | None],
    ends: tuple[float, float],
    name: str,
    about: str,
    *,
    width: float,
    in_legend: bool = False,
) -> None:
    """A line with a pale rim, so that it stands out from dark and light regions, named at its end or in the legend."""
    x, y = _curve(at, ends)
    shared: dict[str, Any] = {"x": x, "y": y, "mode": "lines"}
    pale = {"color": rgba(PAPER, 0.75), "width": width + 3}
    figure.add_scatter(**shared, line=pale, hoverinfo="skip", showlegend=False)
    figure.add_scatter(
        **shared,
        name=name,
        showlegend=in_legend,
        line={"color": INK, "width": width},
        hovertemplate=f"{about}<br>at %{{x:,.0f}}: %{{y:,.3~r}} steps<extra></extra>",
    )
    if in_legend:
        return
    figure.add_annotation(
        x=math.log10(x[-1]),
        y=math.log10(y[-1]),
        text=name,
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        xshift=-4,
        yshift=3,
        bgcolor=rgba(PAPER, 0.72),
        borderpad=1,
        font={"size": 12, "color": INK},
    )


def _curve(at: Callable[[float], float | None], ends: tuple[float, float]) -> tuple[list[float], list[float]]:
    """Places between the ends, and the steps at which the region ends there, where a law says it."""
    x = np.geomspace(*ends, N_POINTS)
    if ends[1] >= MOST_TICKS:  # sizes of training sets and numbers of weights are whole
        x = np.unique(np.minimum(np.maximum(np.round(x), 1), math.floor(ends[1])))
    with warnings.catch_warnings():
        # Lines end with the runs that are drawn: they forecast nothing.
        warnings.simplefilter("ignore", TaumemWarning)
        points = [(float(place), step) for place in x if (step := at(float(place))) is not None]
    return [place for place, _ in points], [step for _, step in points]


def mark_complexities(figure: go.Figure, phase: PhaseDiagram, x_range: Sequence[float], *, unit: float = 1.0) -> None:
    """Draw dotted lines at the sample complexities of the levels, named above the figure.

    Args:
        figure: where to.
        phase: whose levels.
        x_range: the ends of the axis; what lies beyond is left out.
        unit: of the axis, in training examples.
    """
    for grammar_level, star in enumerate(phase.sample_complexities, start=1):
        at = star / unit
        if x_range[0] <= at <= x_range[1]:
            line = {"color": MUTED, "width": 1.3, "dash": "dot"}
            figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", line=line)
            figure.add_annotation(
                x=math.log10(at),
                y=1,
                yref="paper",
                yanchor="bottom",
                text=f"P*<sub>{grammar_level}</sub>",
                showarrow=False,
                font={"size": 12, "color": MUTED},
            )
