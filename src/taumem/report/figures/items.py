"""When each training item was memorized, against how isolated and how untypical it is."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from taumem.analysis.item_onsets import ItemOnsets
from taumem.analysis.item_order import COVARIATES, Covariate
from taumem.report.figures.style import PAPER, log_axis, size_colors, styled

__all__ = ["onsets_of_items"]

SYMBOLS = {"no": "circle", "right": "triangle-up-open", "left": "triangle-down-open"}


def onsets_of_items(found: Sequence[ItemOnsets], covariate: Covariate) -> go.Figure:
    """One mark for each item: open triangles where the onset is later than all looks, or earlier.

    Args:
        found: the runs to draw.
        covariate: what to draw the onsets against; runs that do not know it are left out.
    """
    drawn = [(run, values) for run in found if (values := getattr(run, covariate)) is not None]
    colors = size_colors(sorted({run.run.n_train for run, _ in drawn}))
    figure = go.Figure()
    for n_train, color in colors.items():  # circles, whatever mark comes first
        name, key = f"P = {n_train:,}", {"color": color, "size": 6}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=key, name=name, legendgroup=str(n_train))
    for run, values in drawn:
        n_train = run.run.n_train
        figure.add_scatter(
            x=values,
            y=[onset.step for onset in run.placed],
            mode="markers",
            marker={
                "color": colors[n_train],
                "size": 6,
                "opacity": 0.75,
                "symbol": [SYMBOLS[onset.censored] for onset in run.placed],
                "line": {"width": 0.5, "color": PAPER},
            },
            legendgroup=str(n_train),
            showlegend=False,
            customdata=np.arange(len(run)),
            hovertemplate=f"{run.run.label}<br>item %{{customdata}}<br>%{{y:,.3~r}} steps<extra></extra>",
        )
    x = [float(value) for _, values in drawn for value in values]
    y = [onset.step for run, _ in drawn for onset in run.placed]
    return styled(figure, x=log_axis(COVARIATES[covariate][0], x), y=log_axis("memorized at step", y))
