"""The phase diagram, the levels over training, and the price of stopping when copies set in."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import Interval, Law, PhaseDiagram
from taumem.analysis.regions import Look
from taumem.analysis.price import Price
from taumem.errors import TaumemWarning
from taumem.report.figures.lines import Line, add_lines, finished
from taumem.report.figures.style import GRID, INK, MUTED, PAPER, log_axis, region_color, rgba, size_colors, styled
from taumem.report.figures.training import mark_onsets
from taumem.report.study import Study, curve_of
from taumem.report.wording import number, percent, power, share, span

__all__ = ["levels", "phase_diagram", "price"]

N_POINTS = 33
NAME_WIDTH, NAME_HEIGHT = 0.27, 0.045
"""What a region's name takes of a narrow diagram; regions without that room are named by the legend alone."""
NAMES_END = 0.6
"""The share of the diagram's width that the names of partial generalizations have."""
MOST_TICKS = 7
"""Sizes named below the diagram: as many as a narrow one has room for."""


def phase_diagram(study: Study) -> go.Figure:
    """What the models had learned, and whether they copied, over the number of training examples and the step.

    Each run is a strip, as wide as the distance between the sizes leaves for it, and colored from look to look; dots
    are the looks. Over it the fitted boundaries, and dotted the sample complexities of the levels.

    Args:
        study: what to draw.
    """
    figure = go.Figure()
    phase = study.phase
    if phase is None:
        return styled(figure, x=log_axis("training examples P", []), y=log_axis("optimizer steps", []))
    stretches = list(_stretches(phase))
    for region in sorted({s.region for s in stretches}, key=_place):
        _add_region(figure, region, [s for s in stretches if s.region == region], phase.depth)
    _add_looks(figure, phase)
    x_range = (min(s.left for s in stretches), max(s.right for s in stretches))
    y_range = (min(s.bottom for s in stretches), max([s.top for s in stretches] + _end_of_tau_mem(phase, x_range[1])))
    _add_boundaries(figure, phase, x_range)
    _name_regions(figure, stretches)
    _add_stars(figure, [(float(star), k) for k, star in enumerate(phase.sample_complexities, start=1)], x_range)
    x = log_axis("training examples P", x_range)
    sizes = study.sizes[:: -math.ceil(len(study.sizes) / MOST_TICKS)]
    x |= {"tickmode": "array", "tickvals": sizes, "ticktext": [f"{size:,}" for size in sizes], "minor": {}}
    y = log_axis("optimizer steps", y_range)
    for axis, ends in ((x, x_range), (y, y_range)):
        axis |= {"range": [math.log10(end) for end in ends], "showgrid": False}
    styled(figure, x=x, y=y)
    figure.update_layout(margin_t=26)
    return figure


# --- regions ----------------------------------------------------------------------------------------------------------

Named = tuple[str, int]
"""A region's name; for partial generalization the levels reached too, else 0."""


@dataclass(frozen=True)
class _Stretch:
    """A run's time in one region: a rectangle in (P, step)."""

    region: Named
    left: float
    right: float
    bottom: float
    top: float


def _named(look: Look) -> Named:
    return look.region, look.grammar_level if look.region == "partial" else 0


def _place(region: Named) -> tuple[int, int]:
    return ("underfit", "partial", "generalization", "memorization").index(region[0]), region[1]


def _words(region: Named, *, short: bool = False) -> str:
    name, level = region
    if name != "partial":
        return name
    if not short:
        return f"partial generalization (level {level})"
    return "level 1 only" if level == 1 else f"levels 1–{level} only"


def _strips(phase: PhaseDiagram) -> dict[str, tuple[float, float]]:
    """Lay the runs side by side: by source, the ends of its strip in P."""
    sources: dict[int, list[str]] = {}
    for look in phase.looks:
        of_size = sources.setdefault(look.n_train, [])
        of_size += [look.source] if look.source not in of_size else []
    strips: dict[str, tuple[float, float]] = {}
    for (left, right), of_size in zip(_cells(sorted(map(float, sources))), sources.values(), strict=True):
        wide = (right / left) ** (1 / len(of_size))
        strips |= {source: (left * wide**k, left * wide ** (k + 1)) for k, source in enumerate(of_size)}
    return strips


def _stretches(phase: PhaseDiagram) -> Iterator[_Stretch]:
    """Lay the looks of each run one above the other, and join those in one region."""
    strips = _strips(phase)
    for source, of_run in groupby(phase.looks, key=lambda look: look.source):
        looks = list(of_run)
        cells = _cells([float(look.step) for look in looks])
        for region, within in groupby(zip(looks, cells, strict=True), key=lambda pair: _named(pair[0])):
            ends = [cell for _, cell in within]
            yield _Stretch(region, *strips[source], ends[0][0], ends[-1][1])


def _cells(values: Sequence[float]) -> list[tuple[float, float]]:
    """The ends of each value's cell on a logarithmic axis; the cells at the ends reach as far out as in."""
    if len(values) == 1:
        return [(values[0] / math.sqrt(2), values[0] * math.sqrt(2))]
    middles = [math.sqrt(a * b) for a, b in pairwise(values)]
    edges = [values[0] ** 2 / middles[0], *middles, values[-1] ** 2 / middles[-1]]
    return list(pairwise(edges))


def _add_region(figure: go.Figure, region: Named, stretches: Sequence[_Stretch], depth: int) -> None:
    color = region_color(*region, depth)
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
        name=_words(region),
        showlegend=False,
    )
    marker = {"symbol": "square", "size": 12, "color": color}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=_words(region))


def _add_looks(figure: go.Figure, phase: PhaseDiagram) -> None:
    """A dot a look, within its run's strip."""
    at = {source: math.sqrt(left * right) for source, (left, right) in _strips(phase).items()}
    figure.add_scatter(
        x=[at[look.source] for look in phase.looks],
        y=[look.step for look in phase.looks],
        mode="markers",
        marker={"size": 2.6, "color": rgba(INK, 0.32)},
        showlegend=False,
        customdata=[
            [f"P = {look.n_train:,} · seed {look.seed}", _words(_named(look)), f"{look.grammar_level} of {phase.depth}"]
            for look in phase.looks
        ],
        hovertemplate=(
            "%{customdata[0]}<br>step %{y:,}: %{customdata[1]}<br>levels reached: %{customdata[2]}<extra></extra>"
        ),
    )


def _name_regions(figure: go.Figure, stretches: Sequence[_Stretch]) -> None:
    """Write a region's name where there is most room for it, if there is any."""
    left, right = min(s.left for s in stretches), max(s.right for s in stretches)
    bottom, top = min(s.bottom for s in stretches), max(s.top for s in stretches)
    reach, least = (right / left) ** (NAME_WIDTH / 2), (top / bottom) ** NAME_HEIGHT
    for region in dict.fromkeys(s.region for s in stretches):
        own = [s for s in stretches if s.region == region]
        # The right end belongs to the names of the boundaries between partial generalizations.
        partial = region[0] == "partial"
        free = [s for s in own if partial and s.right <= left * (right / left) ** NAMES_END]
        rooms = [room for s in free or own if (room := _room_around(s, own, reach)) is not None]
        if not rooms:
            continue
        x, low, high = max(rooms, key=lambda room: room[2] / room[1])
        if high / low >= least:
            figure.add_annotation(
                x=math.log10(x),
                y=math.log10(math.sqrt(low * high)),
                text=_words(region, short=True),
                showarrow=False,
                font={"size": 13, "color": PAPER if region[0] == "generalization" else INK},
            )


def _room_around(stretch: _Stretch, own: Sequence[_Stretch], reach: float) -> tuple[float, float, float] | None:
    """The middle of a stretch in P, and the steps between which its region is clear so far to either side."""
    x = math.sqrt(stretch.left * stretch.right)
    near = [s for s in own if s.left < x * reach and s.right > x / reach]
    if min(s.left for s in near) > x / reach or max(s.right for s in near) < x * reach:
        return None
    low, high = max(s.bottom for s in near), min(s.top for s in near)
    return (x, low, high) if low < high else None


# --- boundaries -------------------------------------------------------------------------------------------------------


def _add_boundaries(figure: go.Figure, phase: PhaseDiagram, x_range: tuple[float, float]) -> None:
    for level, boundary in enumerate(phase.boundaries, start=1):
        if boundary.free is not None:
            # Below its sizes the level came by copying, if at all: the line would be a claim about nothing.
            start = max(x_range[0], boundary.free.sizes[0] / math.sqrt(2))
            name, exponent = f"level {level} learned", power(boundary.free.exponent)
            _add_law(figure, boundary.free, (start, x_range[1]), name, f"{name}: steps ∝ P^{exponent}", width=1.5)
    linear, free = phase.memorization.linear, phase.memorization.free
    if free is not None and linear is not None:
        line = {"color": INK, "width": 1.2, "dash": "dash"}
        value, interval = power(free.exponent).split(" ", 1)
        x, y = _curve(free, x_range)
        figure.add_scatter(
            x=x, y=y, mode="lines", line=line, hoverinfo="skip", name=f"tau_mem ∝ P<sup>{value}</sup> {interval}"
        )
    if linear is not None:
        about = f"{phase.clock} = c P, c = {span(linear.prefactor)} steps an example"
        _add_law(figure, linear, x_range, f"tau_mem = {number(linear.prefactor.value)} P", about, width=2.6)


def _end_of_tau_mem(phase: PhaseDiagram, right: float) -> list[float]:
    """A step high enough for the line of tau_mem and its name, even where the runs ended before it."""
    law = phase.memorization.linear
    return [] if law is None else [1.7 * _curve(law, (right, right))[1][-1]]


def _add_law(figure: go.Figure, law: Law, ends: tuple[float, float], name: str, about: str, *, width: float) -> None:
    """A line with a pale rim, so that it stands out from dark and light regions, and its name at its right end."""
    x, y = _curve(law, ends)
    shared: dict[str, Any] = {"x": x, "y": y, "mode": "lines", "showlegend": False}
    figure.add_scatter(**shared, line={"color": rgba(PAPER, 0.75), "width": width + 3}, hoverinfo="skip")
    figure.add_scatter(
        **shared,
        name=name,
        line={"color": INK, "width": width},
        hovertemplate=f"{about}<br>P = %{{x:,.0f}}: %{{y:,.3~r}} steps<extra></extra>",
    )
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


def _curve(law: Law, ends: tuple[float, float]) -> tuple[list[float], list[float]]:
    x = np.unique(np.round(np.geomspace(max(ends[0], 1), ends[1], N_POINTS)))
    with warnings.catch_warnings():
        # Lines end with the runs that are drawn: they forecast nothing.
        warnings.simplefilter("ignore", TaumemWarning)
        return x.tolist(), [law.predict(int(size)).value for size in x]


def _add_stars(figure: go.Figure, stars: Sequence[tuple[float, int]], x_range: Sequence[float]) -> None:
    """Dotted lines at the sample complexities of the levels, named above the figure."""
    for at, level in stars:
        if x_range[0] <= at <= x_range[1]:
            line = {"color": MUTED, "width": 1.3, "dash": "dot"}
            figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, yref="paper", line=line)
            figure.add_annotation(
                x=math.log10(at),
                y=1,
                yref="paper",
                yanchor="bottom",
                text=f"P*<sub>{level}</sub>",
                showarrow=False,
                font={"size": 12, "color": MUTED},
            )


# --- levels over training ---------------------------------------------------------------------------------------------


def levels(study: Study, *, per_example: bool = False) -> go.Figure:
    """The share of samples that obey the grammar up to each level: one panel a level, the top level above.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    figure = go.Figure()
    depth = study.phase.depth if study.phase else 0
    every: list[Line] = []
    for panel, level in enumerate(range(depth, 0, -1)):
        lines = [
            Line(record.header, curve, f"valid up to level {level}")
            for record in study.records
            if (curve := curve_of(record, f"valid[{level}]")) is not None
        ]
        every += lines
        drawn = go.Figure()
        add_lines(drawn, lines, size_colors(study.sizes), per_example=per_example)
        if study.phase is not None:
            mark_onsets(drawn, study, lines, study.phase.clock, per_example=per_example)
        for trace in drawn.data:
            named = bool(trace.showlegend is not False and panel == 0)
            figure.add_trace(trace.update(yaxis="y" if panel == 0 else f"y{panel + 1}", showlegend=named))
    finished(figure, every, per_example=per_example, y={})
    _stack(
        figure,
        [
            {"title_text": f"level {level}", "tickformat": ".0%", "range": [-0.04, 1.06]}
            for level in range(depth, 0, -1)
        ],
    )
    return figure


def _stack(figure: go.Figure, panels: Sequence[dict[str, Any]], gap: float = 0.06) -> None:
    """Give the axes of panels one above the other, the first on top, over one x axis."""
    count = len(panels)
    look = figure.layout.yaxis.to_plotly_json()
    height = (1 - gap * (count - 1)) / max(count, 1)
    for k, panel in enumerate(panels):
        top = 1 - k * (height + gap)
        axis = {**look, **panel, "domain": [max(top - height, 0), top], "anchor": "x"}
        figure.update_layout({"yaxis" if k == 0 else f"yaxis{k + 1}": axis})
    if count:
        figure.update_layout(xaxis_anchor="y" if count == 1 else f"y{count}")


# --- the price --------------------------------------------------------------------------------------------------------


def price(study: Study) -> go.Figure:
    """What the models could do at the last look before copies were seen, against P / P*: novelty above, loss below.

    Open marks: some run ended before copies were seen, so that the novel and valid share is a lower bound.

    Args:
        study: what to draw.
    """
    figure = go.Figure()
    phase = study.phase
    prices = phase.price if phase else ()
    shares = [(p, p.novel_valid) for p in prices if p.novel_valid is not None]
    losses = [(p, p.loss_above_exact) for p in prices if p.loss_above_exact is not None]
    colors = size_colors(study.sizes)
    _add_prices(figure, [(p, i, share(i)) for p, i in shares], colors, "novel and valid", "y")
    _add_prices(figure, [(p, i, span(i)) for p, i in losses], colors, "held-out loss above the floor", "y2")
    if not all(p.reached for p in prices):
        for words, symbol in (("stopped at tau_mem", "circle"), ("ended before tau_mem: a bound", "circle-open")):
            marker = {"symbol": symbol, "size": 9, "color": MUTED, "line": {"width": 1.8, "color": MUTED}}
            figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=words)
    ratios = [p.ratio for p in prices]
    stars = phase.sample_complexities if phase else ()
    x = log_axis("P / P*", ratios)
    if ratios:
        x["range"] = [math.log10(min(ratios) / 1.35), math.log10(max(ratios) * 1.35)]
        ends = [10**end for end in x["range"]]
        _add_stars(figure, [(star / stars[-1], k) for k, star in enumerate(stars, start=1)], ends)
    styled(figure, x=x, y={})
    highest = max((i.high for _, i in losses if math.isfinite(i.high)), default=1.0)
    lowest = min((i.low for _, i in losses if math.isfinite(i.low)), default=0.0)
    margin = 0.06 * (highest - min(lowest, 0.0))
    _stack(
        figure,
        [
            {"title_text": "novel and valid", "tickformat": ".0%", "range": [-0.05, 1.05]},
            {
                "title_text": "held-out loss above the floor",
                "range": [min(lowest, 0.0) - margin, highest + margin],
                "zeroline": True,
                "zerolinecolor": GRID,
            },
        ],
        gap=0.08,
    )
    figure.update_layout(margin_t=26)
    return figure


def _add_prices(
    figure: go.Figure,
    rows: Sequence[tuple[Price, Interval, str]],
    colors: dict[int, str],
    quantity: str,
    axis: str,
) -> None:
    if not rows:
        return
    x = [p.ratio for p, _, _ in rows]
    y = [interval.value for _, interval, _ in rows]
    shared: dict[str, Any] = {"x": x, "y": y, "yaxis": axis, "showlegend": False}
    figure.add_scatter(**shared, mode="lines", line={"color": rgba(MUTED, 0.55), "width": 1.2}, hoverinfo="skip")
    for p, interval, words in rows:
        color = colors[p.n_train]
        ended = "" if p.reached else f"<br>copies seen in {p.n_reached} of {p.n_runs} runs: a bound"
        figure.add_scatter(
            x=[p.ratio],
            y=[interval.value],
            yaxis=axis,
            mode="markers",
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [interval.high - interval.value],
                "arrayminus": [interval.value - interval.low],
                "color": rgba(color, 0.7),
                "thickness": 1.6,
                "width": 0,
            },
            marker={
                "symbol": "circle" if p.reached else "circle-open",
                "size": 10,
                "color": color,
                "line": {"width": 2 if not p.reached else 0, "color": color},
            },
            showlegend=False,
            name=f"P = {p.n_train:,}",
            hovertemplate=(
                f"P = {p.n_train:,} = {number(p.ratio)} P*, stopped at step {number(p.step)}<br>"
                f"{quantity}: {words} ({percent(interval.confidence)} interval){ended}<extra></extra>"
            ),
        )
