"""The scores of samples against those of items that copy nothing."""

import math

import plotly.graph_objects as go

from taumem.analysis.wording import plural
from taumem.record.audit import AuditRecord
from taumem.report.figures.style import ACCENT, INK, MUTED, rgba, styled

__all__ = ["scores"]


def scores(record: AuditRecord) -> go.Figure:
    """Draw two histograms, as shares of their items, on a scale on which few copies among many samples can be seen.

    The first shape is a line at the threshold, which the page moves.
    """
    edges = record.histogram.edges
    middles = [(a + b) / 2 for a, b in zip(edges, edges[1:], strict=False)]
    widths = [b - a for a, b in zip(edges, edges[1:], strict=False)]
    figure = go.Figure()
    for counts, name, color in (
        (record.histogram.null, "the null", MUTED),
        (record.histogram.generated, "samples", ACCENT),
    ):
        n = sum(counts)
        figure.add_bar(
            x=middles,
            y=[count / n if n else 0 for count in counts],
            width=widths,
            name=f"{name} ({n:,})",
            customdata=[[a, b, plural(count, "item")] for a, b, count in zip(edges, edges[1:], counts, strict=False)],
            marker={"color": rgba(color, 0.55), "line": {"color": color, "width": 1}},
            hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g}: %{customdata[2]}, %{y:.2%}<extra>"
            + name
            + "</extra>",
        )
    shares = [
        count / sum(c) for c in (record.histogram.generated, record.histogram.null) if sum(c) for count in c if count
    ]
    styled(
        figure,
        x={"title_text": "score (small for a copy)", "range": [edges[0], edges[-1]] if edges else None},
        y={"title_text": "share of items", "type": "log", "tickformat": ".1~%", "dtick": 1, "range": _decades(shares)},
    )
    figure.update_layout(barmode="overlay", bargap=0, margin={"b": 56})
    figure.add_shape(
        type="line",
        x0=0,
        x1=0,
        y0=0,
        y1=1,
        yref="paper",
        line={"color": INK, "width": 1.5, "dash": "dash"},
        visible=False,
    )
    return figure


def _decades(shares: list[float]) -> list[float]:
    """The range of a logarithmic axis on which the smallest share is a bar too, in decades."""
    return [math.log10(min(shares)) - 0.4, math.log10(max(shares)) + 0.15] if shares else [-2.0, 0.0]
