"""How every figure looks: one font, a light grid, colors that the color-blind tell apart, by day and night.

Figures are drawn in the colors of the day. :func:`night` says what each turns into on a dark page.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

from taumem.analysis import CLOCKS

__all__ = [
    "ACCENT",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "clock_color",
    "log_axis",
    "night",
    "region_color",
    "rgba",
    "size_colors",
    "styled",
]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
INK, MUTED, GRID, ACCENT = "#20242c", "#667080", "#e4e7ec", "#c2410c"
PAPER = "#fefefe"
"""What lies below lines and words where they cross a filled region."""

VERY_SHORT_RANGE, SHORT_RANGE = 0.7, 1.9
"""Decades up to which a logarithmic axis has room for labels at every digit, and at 1, 2, 5."""

_NIGHT = {INK: "#e6e9ef", MUTED: "#98a2b3", GRID: "#2b313c", ACCENT: "#fb923c", PAPER: "#14171c"}

_REGIONS = {
    # One way of growing darker, from nothing learned to all of it, and a warm color that is lighter than its end: the
    # regions differ in lightness, whatever colors a reader sees.
    "underfit": [("#eef1f4", "#1d222a")],
    "partial": [("#d3e6f1", "#24475b"), ("#aed3e6", "#28596f"), ("#88bdd9", "#2e6c88"), ("#64a6ca", "#3480a1")],
    "generalization": [("#3f8f8b", "#3fae9f")],
    "memorization": [("#f3b583", "#a65a22")],
}


def size_colors(sizes: Sequence[int]) -> dict[int, str]:
    """One color for each training-set size, from dark (few examples) to light, evenly spaced to the eye."""
    return dict(zip(sizes, _viridis(len(sizes), 0.04, 0.80), strict=True))


def clock_color(clock: str) -> str:
    """The color of a clock, as the table of clocks has it."""
    return CLOCKS[clock].color[0]


def region_color(region: str, grammar_level: int, depth: int) -> str:
    """The color of a region of the phase diagram.

    Args:
        region: its name, as :class:`taumem.analysis.regions.Look` has it.
        grammar_level: how many levels were reached, which tell partial generalizations apart.
        depth: the number of levels.
    """
    shades = _REGIONS[region]
    last = len(shades) - 1
    place = round(last * (grammar_level - 1) / max(depth - 2, 1)) if last else 0  # few levels take shades far apart
    return shades[min(place, last)][0]


def night(sizes: Sequence[int]) -> dict[str, str]:
    """What each color of the day turns into on a dark page."""
    by_day, by_night = _viridis(len(sizes), 0.04, 0.80), _viridis(len(sizes), 0.36, 0.97)
    clocks, regions = (clock.color for clock in CLOCKS.values()), chain.from_iterable(_REGIONS.values())
    return {**_NIGHT, **dict(clocks), **dict(regions), **dict(zip(by_day, by_night, strict=True))}


def rgba(color: str, alpha: float) -> str:
    """A color that lets what lies below shine through.

    >>> rgba("#0072b2", 0.2)
    'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def styled(figure: go.Figure, *, x: Mapping[str, Any], y: Mapping[str, Any]) -> go.Figure:
    """Give a figure the look that all share; ``x`` and ``y`` describe its axes."""
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "ticks": "",
        "automargin": True,
        "title_standoff": 10,
        "title_font": {"size": 13, "color": MUTED},
        "tickfont": {"color": MUTED},
    }
    given = figure.layout.to_plotly_json()
    # Assigned whole: update_layout goes through it key by key, which takes fifteen times as long.
    figure.layout = given | {
        "template": "none",
        "font": {"family": FONT, "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": MUTED, "activecolor": INK},
        "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left"},
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 12},
        },
        "xaxis": {**given.get("xaxis", {}), **axis, **x},
        "yaxis": {**given.get("yaxis", {}), **axis, **y},
    }
    return figure


def log_axis(title: str, values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis in plain digits, with as many labels as its range has room for."""
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    decades = math.log10(max(positive) / min(positive)) if positive else 1.0
    return {
        "type": "log",
        "title_text": title,
        "dtick": "D1" if decades < VERY_SHORT_RANGE else "D2" if decades < SHORT_RANGE else 1,
        "tickformat": ",~g",
        "minor": {"dtick": "D1", "showgrid": False, "ticks": "outside", "ticklen": 3, "tickcolor": GRID},
        "exponentformat": "none",
    }


def _viridis(count: int, low: float, high: float) -> list[str]:
    if count == 0:
        return []
    at = [low + (high - low) * k / max(count - 1, 1) for k in range(count)]
    colors = [unlabel_rgb(color) for color in sample_colorscale("Viridis", at)]
    return ["#" + "".join(f"{round(channel):02x}" for channel in color) for color in colors]
