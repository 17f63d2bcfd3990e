"""Curves over training, one thin line a run, one color a training-set size: what most figures are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from taumem.analysis import Study
from taumem.record import Curve, RunHeader, RunKey
from taumem.report.figures.style import MUTED, log_axis, rgba, styled

__all__ = ["Line", "add_chance", "add_chances", "add_key", "add_lines", "finished", "lines_of", "share_axis"]

STEPS, PER_EXAMPLE = "optimizer steps", "steps per training example"
CROWDED = 20
"""Looks from which a line is drawn without a dot at each."""


@dataclass(frozen=True)
class Line:
    """One curve of one run (or of one pair of runs), and how it is drawn.

    Attributes:
        run: whose curve it is.
        curve: what is drawn; looks at step 0 have no place on a logarithmic axis and are left out.
        quantity: what it is called in the text under the pointer.
        dash: plotly's name of the line's pattern.
        pair: whether the curve belongs to both halves of a pair.
        least: the smallest value that it can have; its interval is cut there.
        most: the largest value.
    """

    run: RunHeader
    curve: Curve
    quantity: str
    dash: str = "solid"
    pair: bool = False
    least: float = -np.inf
    most: float = np.inf

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return self.run.data.n_train

    @property
    def key(self) -> RunKey:
        """The run, or the pair of runs."""
        return self.run.key.pair if self.pair else self.run.key

    def x(self, *, per_example: bool) -> NDArray[np.float64]:
        """Steps, or steps per training example, past step 0."""
        steps = self.curve.steps[self.curve.steps > 0].astype(float)
        return steps / self.n_train if per_example else steps

    def past(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        """A column of the curve, past step 0."""
        return column[self.curve.steps > 0]

    def at(self, step: float) -> float:
        """The curve's value at a step, linear in log step."""
        x = np.log(self.x(per_example=False))
        return float(np.interp(np.log(step), x, self.past(self.curve.values)))


def lines_of(study: Study, quantity: str, words: str, dash: str = "solid") -> list[Line]:
    """One quantity of every run that has it."""
    curves = [(record.header, record.curve_or_none(quantity)) for record in study.records]
    return [Line(run, curve, words, dash) for run, curve in curves if curve is not None]


def add_lines(
    figure: go.Figure, lines: Sequence[Line], colors: dict[int, str], *, per_example: bool, bands: bool = True
) -> None:
    """Draw the lines, each with its interval where it has one; one entry in the legend a size."""
    if bands:
        _add_bands(figure, lines, colors, per_example=per_example)
    named: set[int] = set()
    for line in lines:
        color = colors[line.n_train]
        x = line.x(per_example=per_example)
        low, high = _band(line)
        figure.add_scatter(
            x=x,
            y=line.past(line.curve.values).astype(np.float32),
            mode="lines+markers" if bands and len(x) < CROWDED else "lines",
            line={"color": color, "width": 1.4, "dash": line.dash},
            marker={"size": 4, "color": color},
            opacity=1.0 if line.dash == "solid" else 0.75,
            name=f"P = {line.n_train:,}",
            legendgroup=str(line.n_train),
            showlegend=line.n_train not in named,
            customdata=np.stack([line.x(per_example=p) for p in (False, True)] + [low, high], 1, dtype=np.float32),
            hovertemplate=_hover(line, with_interval=bool(np.isfinite(low).all())),
        )
        named.add(line.n_train)


def _add_bands(figure: go.Figure, lines: Sequence[Line], colors: dict[int, str], *, per_example: bool) -> None:
    """Draw the intervals, below all lines; equal ones of runs of one size, as where nothing was found, are one."""
    shapes: dict[bytes, tuple[Line, NDArray[np.float64], NDArray[np.float64]]] = {}
    for line in lines:
        x, (low, high) = line.x(per_example=per_example), _band(line)
        if len(x) and np.isfinite(low).all() and np.isfinite(high).all():
            outline = np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])
            shapes.setdefault(np.concatenate([[line.n_train], *outline]).tobytes(), (line, *outline))
    alpha = min(0.14, max(0.03, 0.45 / max(len(shapes), 1)))
    for line, x, y in shapes.values():
        figure.add_scatter(
            x=x,
            y=y,
            fill="toself",
            fillcolor=rgba(colors[line.n_train], alpha),
            line_width=0,
            mode="lines",
            hoverinfo="skip",
            legendgroup=str(line.n_train),
            showlegend=False,
        )


def add_chance(figure: go.Figure, chance: float, name: str) -> None:
    """Draw what chance alone would give, across the whole figure."""
    figure.add_scatter(
        x=_x_range(figure),
        y=[chance, chance],
        mode="lines",
        line={"color": MUTED, "width": 1.2, "dash": "dash"},
        name=name,
        hovertemplate=f"{name}<extra></extra>",
    )


def add_chances(
    figure: go.Figure, chances: Sequence[Line], colors: dict[int, str], name: str, *, per_example: bool
) -> None:
    """Draw what chance gives at each step of each run."""
    drawn = len(figure.data)
    add_lines(figure, chances, colors, per_example=per_example, bands=False)
    for trace in figure.data[drawn:]:
        trace.showlegend = False
    if chances:
        add_key(figure, name, "dot")


def add_key(figure: go.Figure, name: str, dash: str) -> None:
    """Say in the legend what lines of this pattern are, whatever their color."""
    figure.add_scatter(x=[None], y=[None], mode="lines", name=name, line={"color": MUTED, "dash": dash})


def finished(
    figure: go.Figure, lines: Sequence[Line], *, per_example: bool, y: Mapping[str, object], log_y: str = ""
) -> go.Figure:
    """Give a figure of lines its axes."""
    x = np.concatenate([line.x(per_example=per_example) for line in lines]) if lines else np.array([])
    values = np.concatenate([line.past(line.curve.values) for line in lines]) if lines else np.array([])
    y_axis = log_axis(log_y, values.tolist()) if log_y else y
    return styled(figure, x=log_axis(PER_EXAMPLE if per_example else STEPS, x.tolist()), y=y_axis)


def share_axis(title: str, lines: Sequence[Line], chance: float = 0.0) -> dict[str, object]:
    """Give an axis of shares that holds the lines with their intervals, and chance, with a little room."""
    top = max([0.05, chance, *(float(np.nan_to_num(_band(line)[1]).max(initial=0.0)) for line in lines)])
    return {"title_text": title, "tickformat": ".0%", "range": [-0.02 * top, min(1.1 * top, 1.03)]}


def _band(line: Line) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The exact interval where there is one, else two standard errors to either side, within what can be."""
    values, se = line.past(line.curve.values), line.past(line.curve.se)
    low, high = line.past(line.curve.low), line.past(line.curve.high)
    ends = np.where(np.isfinite(low), low, values - 2 * se), np.where(np.isfinite(high), high, values + 2 * se)
    return np.clip(ends[0], line.least, line.most), np.clip(ends[1], line.least, line.most)


def _hover(line: Line, *, with_interval: bool) -> str:
    """The text under the pointer: d3's ``,.3~r`` writes three digits, never an exponent."""
    steps, per_example, low, high = (f"%{{customdata[{k}]:,.3~r}}" for k in range(4))
    interval = f" [{low}, {high}]" if with_interval else ""
    return (
        f"{line.key.label}<br>{steps} steps = {per_example} per example<br>"
        f"{line.quantity} %{{y:.3~r}}{interval}<extra></extra>"
    )


def _x_range(figure: go.Figure) -> list[float]:
    x = np.concatenate([np.asarray(trace.x, dtype=float) for trace in figure.data])
    x = x[np.isfinite(x)]
    return [float(x.min()), float(x.max())]
