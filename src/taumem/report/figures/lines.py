"""Curves over training, one thin line a run, one color a training-set size: what most figures are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from taumem.record import Curve, RunHeader
from taumem.report.figures.style import MUTED, log_axis, rgba, styled
from taumem.report.wording import number

__all__ = ["Line", "add_chance", "add_lines", "finished"]

STEPS, PER_EXAMPLE = "optimizer steps", "steps per training example"


@dataclass(frozen=True)
class Line:
    """One curve of one run (or of one pair of runs), and how it is drawn.

    Attributes:
        run: whose curve it is.
        curve: what is drawn; checks at step 0 have no place on a logarithmic axis and are left out.
        quantity: what it is called in the text under the pointer.
        dash: plotly's name of the line's pattern.
        pair: whether the curve belongs to both halves of a pair.
    """

    run: RunHeader
    curve: Curve
    quantity: str
    dash: str = "solid"
    pair: bool = False

    @property
    def n_train(self) -> int:
        """Number of training examples."""
        return self.run.data.n_train

    @property
    def label(self) -> str:
        """Which run this is, in a few words."""
        half = " · halves a, b" if self.pair else f" · half {self.run.half}" if self.run.half in ("a", "b") else ""
        return f"P = {self.n_train:,}{half} · seed {self.run.seed}"

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


def add_lines(
    figure: go.Figure, lines: Sequence[Line], colors: dict[int, str], *, per_example: bool, bands: bool = True
) -> None:
    """Draw the lines, each with its interval where it has one; one entry in the legend a size."""
    named: set[int] = set()
    for line in lines:
        color = colors[line.n_train]
        x = line.x(per_example=per_example)
        low, high = _band(line)
        if bands and len(x) and np.isfinite(low).all() and np.isfinite(high).all():
            figure.add_scatter(
                x=np.concatenate([x, x[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                fill="toself",
                fillcolor=rgba(color, 0.12),
                line_width=0,
                mode="lines",
                hoverinfo="skip",
                legendgroup=str(line.n_train),
                showlegend=False,
            )
        figure.add_scatter(
            x=x,
            y=line.past(line.curve.values),
            mode="lines+markers" if bands else "lines",
            line={"color": color, "width": 1.4, "dash": line.dash},
            marker={"size": 3.5, "color": color},
            name=f"P = {line.n_train:,}",
            legendgroup=str(line.n_train),
            showlegend=line.n_train not in named,
            customdata=_hover(line, low, high),
            hovertemplate=f"{line.label}<br>%{{customdata[0]}}<br>{line.quantity} %{{customdata[1]}}<extra></extra>",
        )
        named.add(line.n_train)


def add_chance(figure: go.Figure, level: float, name: str) -> None:
    """Draw the level that chance alone would give, across the whole figure."""
    figure.add_scatter(
        x=_x_range(figure),
        y=[level, level],
        mode="lines",
        line={"color": MUTED, "width": 1.2, "dash": "dash"},
        name=name,
        hovertemplate=f"{name}<extra></extra>",
    )


def finished(
    figure: go.Figure, lines: Sequence[Line], *, per_example: bool, y: dict[str, object], log_y: str = ""
) -> go.Figure:
    """Give a figure of lines its axes."""
    x = np.concatenate([line.x(per_example=per_example) for line in lines]) if lines else np.array([])
    values = np.concatenate([line.past(line.curve.values) for line in lines]) if lines else np.array([])
    y_axis = log_axis(log_y, values.tolist()) if log_y else y
    return styled(figure, x=log_axis(PER_EXAMPLE if per_example else STEPS, x.tolist()), y=y_axis)


def _band(line: Line) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The exact interval where there is one, else two standard errors to either side."""
    values, se = line.past(line.curve.values), line.past(line.curve.se)
    low, high = line.past(line.curve.low), line.past(line.curve.high)
    return np.where(np.isfinite(low), low, values - 2 * se), np.where(np.isfinite(high), high, values + 2 * se)


def _hover(line: Line, low: NDArray[np.float64], high: NDArray[np.float64]) -> list[list[str]]:
    columns = zip(line.x(per_example=False), line.past(line.curve.values), low, high, strict=True)
    return [
        [
            f"{step:,.0f} steps = {number(step / line.n_train)} an example",
            number(value) + (f" [{number(a)}, {number(b)}]" if np.isfinite(a) and np.isfinite(b) else ""),
        ]
        for step, value, a, b in columns
    ]


def _x_range(figure: go.Figure) -> list[float]:
    x = np.concatenate([np.asarray(trace.x, dtype=float) for trace in figure.data]) if figure.data else np.array([1.0])
    x = x[np.isfinite(x)]
    return [float(x.min()), float(x.max())]
