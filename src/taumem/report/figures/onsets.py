"""When each clock went off against the number of training examples, with the law, and what it forecasts."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import ClockLaw, Forecast, Law, Onset, Study
from taumem.analysis.wording import number, onset_span, percent, power, span, state
from taumem.errors import TaumemWarning
from taumem.report.figures.style import ACCENT, INK, clock_color, log_axis, rgba, styled

__all__ = ["law"]

_SYMBOLS = {
    "no": "circle",
    "interval": "circle-open",
    "left": "triangle-down-open",
    "right": "triangle-up-open",
}
N_POINTS = 9
MARGIN = 1.25
"""How far, as a factor, the line is drawn past the smallest and the largest size."""


def law(study: Study) -> go.Figure:
    """Onsets against the number of training examples, with the fitted law and its prediction band, for every clock.

    Filled: located. Open: known to lie between two looks. Triangles: bounds, pointing where the onset lies. Onsets of
    several batch sizes are brought to that of most runs by their law, the paler the smaller their batches.
    One clock is shown at first; the others are a touch on the legend away. Each trace's ``meta`` names its clock, for
    a page that lets its reader choose.

    Args:
        study: what to draw.
    """
    figure = go.Figure()
    shown = study.headline.clock if study.headline else ""
    for clock in study.clocks:
        _add_clock(figure, clock, study, visible=True if clock.clock == shown else "legendonly")
    if study.proof is not None:
        _add_forecast(figure, study.proof)
    if any(onset.n_train in study.excluded for onset in study.onsets):
        words = "measured after the forecast" if study.proof else "kept out of every fit"
        marker = {"symbol": "diamond", "size": 10, "color": ACCENT}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=words)
    sizes = study.sizes
    x = log_axis("training examples P", [float(size) for size in sizes])
    x |= {"tickmode": "array", "tickvals": sizes, "ticktext": [f"{size:,}" for size in sizes], "minor": {}}
    if sizes:
        x["range"] = [math.log10(sizes[0] / MARGIN / 1.1), math.log10(sizes[-1] * MARGIN * 1.1)]
    y = log_axis(_onset_title(study), [o.step for o in study.onsets]) | {"dtick": "D2"}
    styled(figure, x=x, y=y)
    figure.update_layout(legend_groupclick="togglegroup")
    return figure


def _onset_title(study: Study) -> str:
    law = study.headline.drawn if study.headline else None
    if law is None or not law.spans_batch_sizes:
        return "onset (optimizer steps)"
    return f"onset (optimizer steps), × (B / {law.reference_batch_size:,})<sup>k</sup> at batch size B"


def _add_clock(figure: go.Figure, clock: ClockLaw, study: Study, *, visible: bool | str) -> None:
    color = clock_color(clock.clock)
    shared: dict[str, Any] = {"legendgroup": clock.clock, "meta": clock.clock, "visible": visible}
    name = clock.clock
    if clock.free is not None:
        value, interval = power(clock.free.exponent).split(" ", 1)
        name = f"{clock.clock} ∝ P<sup>{value}</sup> {interval}"
    forecast = study.proof if study.proof is not None and study.proof.clock == clock.clock else None
    law = forecast.law if forecast and forecast.law else clock.drawn  # the forecast lies on the line that it came from
    if law is not None and study.sizes:
        _add_line(figure, law, study.sizes, color, shared)
    fitted = [onset for onset in clock.onsets if onset.n_train not in study.excluded]
    excluded = [onset for onset in clock.onsets if onset.n_train in study.excluded]
    _add_onsets(figure, fitted, law, color, name, shared)
    if excluded:
        _add_onsets(figure, excluded, law, color, "", {**shared, "showlegend": False}, diamonds=True)


def _add_line(figure: go.Figure, law: Law, sizes: Sequence[int], color: str, shared: dict[str, Any]) -> None:
    x = np.unique(np.round(np.geomspace(max(sizes[0] / MARGIN, 1), sizes[-1] * MARGIN, N_POINTS)).astype(int))
    with warnings.catch_warnings():
        # The figure shows the band widen; the table says how far a forecast reaches.
        warnings.simplefilter("ignore", TaumemWarning)
        band = [law.predict(int(size), batch_size=law.reference_batch_size) for size in x]
    figure.add_scatter(
        x=np.concatenate([x, x[::-1]]),
        y=[*(at.high for at in band), *(at.low for at in band[::-1])],
        fill="toself",
        fillcolor=rgba(color, 0.13),
        line_width=0,
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        **shared,
    )
    figure.add_scatter(
        x=x,
        y=[at.value for at in band],
        mode="lines",
        line={"color": color, "width": 1.8},
        showlegend=False,
        customdata=[[span(at)] for at in band],
        hovertemplate=f"{law.clock}, law at P = %{{x:,}}: %{{customdata[0]}} steps<extra></extra>",
        **shared,
    )


def _add_onsets(
    figure: go.Figure,
    onsets: Sequence[Onset],
    law: Law | None,
    color: str,
    name: str,
    shared: dict[str, Any],
    *,
    diamonds: bool = False,
) -> None:
    symbols = [_SYMBOLS[o.censored] for o in onsets]
    if diamonds:
        symbols = ["diamond" if s == "circle" else s.replace("circle", "diamond") for s in symbols]
    several = law if law is not None and law.spans_batch_sizes else None
    factors = [several.to_reference(o.n_train, o.batch_size) if several else 1.0 for o in onsets]
    color = ACCENT if diamonds else color
    figure.add_scatter(
        x=[o.n_train for o in onsets],
        y=[o.step * factor for o, factor in zip(onsets, factors, strict=True)],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [(o.high - o.step) * f if o.usable else 0.0 for o, f in zip(onsets, factors, strict=True)],
            "arrayminus": [(o.step - o.low) * f if o.usable else 0.0 for o, f in zip(onsets, factors, strict=True)],
            "color": rgba(color, 0.55),
            "thickness": 1.2,
            "width": 0,
        },
        mode="markers",
        marker={
            "symbol": symbols,
            "size": 10 if diamonds else 8,
            "color": [_shade(color, o.batch_size, several.batch_sizes) for o in onsets] if several else color,
            "line": {"width": 1.4, "color": color},
        },
        name=name,
        customdata=[
            [
                f"{o.clock} · {o.run.label}{f' · batch size {o.batch_size:,}' if several else ''}",
                onset_span(o),
                number(o.step / o.n_train),
                state(o),
            ]
            for o in onsets
        ],
        hovertemplate=(
            "%{customdata[0]}<br>%{customdata[1]} steps (%{customdata[2]} per example)<br>%{customdata[3]}"
            "<extra></extra>"
        ),
        **shared,
    )


def _shade(color: str, batch_size: int, batch_sizes: Sequence[int]) -> str:
    """The color at the largest batch size, and paler below it."""
    return rgba(color, 0.2 + 0.8 * batch_sizes.index(batch_size) / (len(batch_sizes) - 1))


def _add_forecast(figure: go.Figure, forecast: Forecast) -> None:
    """The forecast's interval as a bar beside its size, so that the measurement can be seen next to it."""
    predicted, law = forecast.predicted, forecast.law
    factor = law.to_reference(forecast.n_train, predicted.batch_size) if law and predicted.batch_size else 1.0
    beside = forecast.n_train / 1.09
    figure.add_scatter(
        x=[beside, beside],
        y=[predicted.low * factor, predicted.high * factor],
        mode="lines",
        line={"color": rgba(ACCENT, 0.35), "width": 9},
        legendgroup="forecast",
        meta=forecast.clock,
        name=f"forecast for P = {forecast.n_train:,} ({percent(predicted.confidence)} interval)",
        hovertemplate=f"forecast of {forecast.clock}: {span(predicted)} steps<extra></extra>",
    )
    figure.add_scatter(
        x=[beside],
        y=[predicted.value * factor],
        mode="markers",
        marker={"symbol": "line-ew", "size": 14, "line": {"color": INK, "width": 2}},
        legendgroup="forecast",
        meta=forecast.clock,
        showlegend=False,
        hovertemplate=f"forecast: {number(predicted.value)} steps<extra></extra>",
    )
