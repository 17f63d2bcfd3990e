"""Copied parts of samples over training and by their size, and how far samples use what is common too often."""

from dataclasses import replace
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import Study, families
from taumem.analysis.shares import common_looks
from taumem.analysis.wording import percent
from taumem.record import family_of
from taumem.report.figures.lines import Line, add_chance, add_key, add_lines, finished
from taumem.report.figures.style import log_axis, size_colors, styled
from taumem.report.figures.training import mark_onsets

__all__ = ["motif_use", "part_copies", "part_onsets"]

DASHES = ("solid", "dash", "dot", "dashdot")
"""Of parts or motifs, from the smallest."""
FEW = 2
"""Sizes of motifs that are drawn: of larger ones most stand in no other item."""


def part_copies(study: Study, *, per_example: bool = True) -> go.Figure:
    """The share of samples of which a part is copied, above chance, a line for each size of part.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    sizes = _sizes(study, "part_copies")
    lines = [
        line for size, dash in zip(sizes, DASHES, strict=False) for line in _above(study, "part_copies", size, dash)
    ]
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example, bands=False)
    for size, dash in zip(sizes, DASHES, strict=False):
        add_key(figure, f"parts of {percent(float(size))}", dash)
    y = {"title_text": "samples with a copied part, above chance", "tickformat": ".0%"}
    return finished(figure, lines, per_example=per_example, y=y)


def part_onsets(study: Study, *, per_example: bool = True) -> go.Figure:
    """When parts are copied, by their size: the clocks ``tau_part[x]`` of each run, with their intervals.

    Args:
        study: what to draw; onsets of which only a bound is known are left out.
        per_example: draw the step over the number of training examples.
    """
    clocks = {clock.name: clock.threshold for clock in families()["tau_part"]}
    figure, colors = go.Figure(), size_colors(study.sizes)
    drawn: list[tuple[int, float]] = []
    for record in study.records:
        key, n = record.header.key, record.header.data.n_train
        found = [o for o in study.onsets if o.run == key and o.clock in clocks and o.usable]
        scale = n if per_example else 1
        steps = np.array([onset.step / scale for onset in found])
        high, low = (np.array([getattr(onset, end) / scale for onset in found]) for end in ("high", "low"))
        figure.add_scatter(
            x=[clocks[onset.clock] for onset in found],
            y=steps,
            error_y={"array": high - steps, "arrayminus": steps - low, "width": 3, "thickness": 1},
            mode="lines+markers",
            line={"color": colors[n], "width": 1.2},
            name=f"P = {n:,}",
            legendgroup=str(n),
            showlegend=bool(found) and n not in {run for run, _ in drawn},
            hovertemplate=f"{key.label}<br>parts of %{{x:.0%}}: %{{y:,.3~r}}<extra></extra>",
        )
        drawn += [(n, step) for step in steps.tolist()]
    y = log_axis("steps per training example" if per_example else "optimizer steps", [step for _, step in drawn])
    return styled(figure, x={"title_text": "size of the copied part", "tickformat": ".0%", "range": [0.15, 1.05]}, y=y)


def motif_use(
    study: Study,
    quantity: Literal["motif_surprise", "motif_divergence"] = "motif_surprise",
    *,
    per_example: bool = True,
) -> go.Figure:
    """How samples use motifs, less what new items of the data give, with tau_val marked.

    Args:
        study: what to draw.
        quantity: below 0 samples are bland if it is ``motif_surprise``.
        per_example: draw against the step over the number of training examples.
    """
    sizes = _sizes(study, quantity)[:FEW]
    by_size = [_above(study, quantity, size, dash) for size, dash in zip(sizes, DASHES, strict=False)]
    lines = [line for some in by_size for line in some]
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    if by_size:
        mark_onsets(figure, study, by_size[0], "tau_val", per_example=per_example)
    for size, dash in zip(sizes, DASHES, strict=False):
        add_key(figure, f"motifs of {size}", dash)
    if lines:
        add_chance(figure, 0.0, "new items of the data")
    words = "surprise of motifs" if quantity == "motif_surprise" else "divergence of motifs"
    return finished(figure, lines, per_example=per_example, y={"title_text": f"{words}, less that of new items, bits"})


def _sizes(study: Study, family: str) -> list[str]:
    """The sizes of which a quantity was measured, ascending."""
    named = {name for record in study.records for name in record.quantities if family_of(name) == family}
    return sorted((name.partition("[")[2].rstrip("]") for name in named), key=float)


def _above(study: Study, family: str, size: str, dash: str) -> list[Line]:
    """A quantity of each run less its chance; errors of both, where they have some, are put together."""
    lines = []
    for record in study.records:
        measured, by_chance = (record.curve_or_none(f"{family}{ending}[{size}]") for ending in ("", "_chance"))
        if measured is not None and by_chance is not None:
            curve, chance = common_looks(measured, by_chance)
            none = np.full(len(curve), np.nan)
            above = replace(
                curve, values=curve.values - chance.values, se=np.hypot(curve.se, chance.se), low=none, high=none
            )
            lines.append(Line(record.header, above, f"{family} of {size}, above chance", dash))
    return lines
