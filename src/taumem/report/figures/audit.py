"""The scores of samples against those of items that copy nothing."""

import math
from itertools import pairwise

import plotly.graph_objects as go

from taumem.analysis.wording import number, plural
from taumem.record.audit import AuditRecord
from taumem.report.figures.style import ACCENT, INK, MUTED, rgba, styled

__all__ = ["scores"]

HEADROOM = 0.4
"""Decades below the smallest share, so that it is a bar too."""


def scores(record: AuditRecord) -> go.Figure:
    """Draw two histograms, as shares of their items, on a scale on which few copies among many samples can be seen.

    The only shape is a line at the threshold, which the page shows and moves.

    Args:
        record: what the audit found.
    """
    edges = list(pairwise(record.histogram.edges))
    figure, shares = go.Figure(), list[float]()
    for counts, name, color in (
        (record.histogram.null, "items that copy nothing", MUTED),
        (record.histogram.generated, "samples", ACCENT),
    ):
        n = max(sum(counts), 1)
        shares += [count / n for count in counts if count]
        figure.add_bar(
            x=[(low + high) / 2 for low, high in edges],
            y=[count / n for count in counts],
            width=[high - low for low, high in edges],
            name=f"{name} ({sum(counts):,})",
            customdata=[
                [f"{number(low)} to {number(high)}: {plural(count, 'item')}"]
                for (low, high), count in zip(edges, counts, strict=True)
            ],
            marker={"color": rgba(color, 0.5), "line": {"color": color, "width": 1}},
            hovertemplate=f"%{{customdata[0]}}, %{{y:.2%}}<extra>{name}</extra>",
        )
    most, least = (math.log10(end(shares, default=1.0)) for end in (max, min))
    styled(
        figure,
        x={"title_text": "score (small for a copy)"},
        y={"title_text": "share of items", "type": "log", "tickformat": "~%", "dtick": 1},
    )
    figure.update_yaxes(range=[least - HEADROOM, most + 0.15])
    figure.update_layout(barmode="overlay", bargap=0, margin={"b": 64})
    line = {"color": INK, "width": 1.5, "dash": "dash"}
    figure.add_shape(type="line", x0=0, x1=0, y0=0, y1=1, yref="paper", line=line, visible=False)
    return figure
