"""What was learned of a grammar: its levels over training, and what models could do when copies set in."""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from taumem.analysis import Interval, Study
from taumem.analysis.price import Price
from taumem.analysis.wording import number, percent, share, span
from taumem.report.figures.lines import Line, add_lines, finished, lines_of
from taumem.report.figures.phase import mark_complexities
from taumem.report.figures.style import GRID, MUTED, log_axis, rgba, size_colors, styled
from taumem.report.figures.training import mark_onsets

__all__ = ["levels", "price"]


def levels(study: Study, *, per_example: bool = False) -> go.Figure:
    """The share of samples that obey the grammar up to each level: one panel a level, the top level above.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    figure = go.Figure()
    depth = study.hierarchy.depth if study.hierarchy else 0
    every: list[Line] = []
    for panel, grammar_level in enumerate(range(depth, 0, -1)):
        lines = lines_of(study, f"valid[{grammar_level}]", f"valid up to level {grammar_level}")
        every += lines
        drawn = go.Figure()
        add_lines(drawn, lines, size_colors(study.sizes), per_example=per_example)
        if study.hierarchy is not None:
            mark_onsets(drawn, study, lines, study.hierarchy.clock, per_example=per_example)
        for trace in drawn.data:
            named = bool(trace.showlegend is not False and panel == 0)
            figure.add_trace(trace.update(yaxis="y" if panel == 0 else f"y{panel + 1}", showlegend=named))
    finished(figure, every, per_example=per_example, y={})
    _stack(
        figure,
        [
            {"title_text": f"level {grammar_level}", "tickformat": ".0%", "range": [-0.04, 1.06]}
            for grammar_level in range(depth, 0, -1)
        ],
    )
    return figure


def _stack(figure: go.Figure, panels: Sequence[dict[str, Any]], gap: float = 0.06) -> None:
    """Give the axes of panels one above the other, the first on top, over one x axis."""
    count = len(panels)
    style = figure.layout.yaxis.to_plotly_json()
    height = (1 - gap * (count - 1)) / max(count, 1)
    for k, panel in enumerate(panels):
        top = 1 - k * (height + gap)
        axis = {**style, **panel, "domain": [max(top - height, 0), top], "anchor": "x"}
        figure.update_layout({"yaxis" if k == 0 else f"yaxis{k + 1}": axis})
    if count:
        figure.update_layout(xaxis_anchor="y" if count == 1 else f"y{count}")


def price(study: Study) -> go.Figure:
    """What the models could do at the last look before copies were seen, against P / P*: novelty above, loss below.

    Open marks: some run ended before copies were seen, so that the novel and valid share is a lower bound.

    Args:
        study: what to draw.
    """
    figure = go.Figure()
    phase = study.hierarchy
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
    x = log_axis("P / P*", ratios)
    if phase and ratios:
        x["range"] = [math.log10(min(ratios) / 1.35), math.log10(max(ratios) * 1.35)]
        ends = [10**end for end in x["range"]]
        mark_complexities(figure, phase, ends, unit=phase.sample_complexities[-1])
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
