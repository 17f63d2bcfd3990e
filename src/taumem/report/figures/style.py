"""How every figure looks: one font, a light grid, colors that the color-blind tell apart, by day and night.

Figures are drawn in the colors of the day. :func:`night` says what each turns into on a dark page.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

COPY_THRESHOLDS = GAP_SYM_THRESHOLDS = GAP_THRESHOLDS = INFILL_THRESHOLDS = ()

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

_FAMILIES = {
    # Okabe and Ito's colors; within a clock's family, thresholds go from light to dark.
    "tau_gen": [("#5b7083", "#a9bccd")],
    "tau_level": [
        ("#7cc4d8", "#2c7c92"),
        ("#4fa9c4", "#3f9ab5"),
        ("#2b8aa8", "#62b9d1"),
        ("#176b87", "#8fd3e6"),
        ("#0b4a60", "#c3ebf5"),
    ],
    "tau_val": [("#0072b2", "#4cb0e8")],
    "tau_gap": [("#8a6d00", "#e8cf62"), ("#5c4a00", "#f5e6a3")],
    "tau_gap_sym": [("#3cb892", "#2fa57f"), ("#009e73", "#4cd3a5"), ("#00684c", "#9beccf")],
    "tau_copy": [("#cc79a7", "#b4608f"), ("#a64d80", "#dd8fba"), ("#752c56", "#f3c3dc")],
    "tau_infill": [("#e8854a", "#c9692f"), ("#d55e00", "#f08a45"), ("#8f3f00", "#fcc9a3")],
    "tau_split": [("#7a52c7", "#b39af0")],
}

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
    """The color of a clock: its family's hue, darker for a higher threshold or level."""
    family, _, threshold = clock.partition("[")
    if family == "tau_level":
        shades = _FAMILIES[family]
        return shades[min(int(threshold.rstrip("]")), len(shades)) - 1][0]
    thresholds = {
        "tau_gap": GAP_THRESHOLDS,
        "tau_gap_sym": GAP_SYM_THRESHOLDS,
        "tau_copy": COPY_THRESHOLDS,
        "tau_infill": INFILL_THRESHOLDS,
    }
    names = [f"{value:g}]" for value in thresholds.get(family, ())]
    shades = _FAMILIES.get(family, [(INK, _NIGHT[INK])])
    place = names.index(threshold) if threshold in names else 0
    return shades[min(place, len(shades) - 1)][0]


def region_color(region: str, level: int, depth: int) -> str:
    """The color of a region of the phase diagram.

    Args:
        region: its name, as :class:`taumem.analysis.phase.Look` has it.
        level: the levels reached, which tell partial generalizations apart.
        depth: the number of levels.
    """
    shades = _REGIONS[region]
    last = len(shades) - 1
    place = round(last * (level - 1) / max(depth - 2, 1)) if last else 0  # few levels take shades far apart
    return shades[min(place, last)][0]


def night(sizes: Sequence[int]) -> dict[str, str]:
    """What each color of the day turns into on a dark page."""
    by_day, by_night = _viridis(len(sizes), 0.04, 0.80), _viridis(len(sizes), 0.36, 0.97)
    families = {day: dark for shades in (*_FAMILIES.values(), *_REGIONS.values()) for day, dark in shades}
    return {**_NIGHT, **families, **dict(zip(by_day, by_night, strict=True))}


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
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 12, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 12, "t": 12, "b": 8},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": MUTED, "activecolor": INK},
        hoverlabel={"font": {"family": FONT, "size": 12}, "align": "left"},
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 12},
        },
        xaxis={**axis, **x},
        yaxis={**axis, **y},
    )
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
