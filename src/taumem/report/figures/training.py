"""The losses and their gap, over training."""

import plotly.graph_objects as go

from taumem.analysis import Study, gap_sym
from taumem.analysis.wording import onset_span
from taumem.errors import ConfigError
from taumem.report.figures.lines import Line, add_key, add_lines, finished, lines_of
from taumem.report.figures.style import INK, size_colors

__all__ = ["gap", "gap_lines", "losses", "mark_onsets"]


def losses(study: Study, *, per_example: bool = False) -> go.Figure:
    """Training and held-out loss against the step, with the minimum of the held-out loss marked.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples: what grows in proportion to it
            falls on one curve.
    """
    lines = lines_of(study, "heldout_loss", "held-out loss") + lines_of(study, "train_loss", "training loss", "dot")
    figure = go.Figure()
    # Without bands: the items differ among themselves far more than a loss moves.
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example, bands=False)
    add_key(figure, "held-out", "solid")
    add_key(figure, "training", "dot")
    heldout = [line for line in lines if line.quantity == "held-out loss"]
    for clock in ("tau_val", "tau_val_mean"):
        mark_onsets(figure, study, heldout, clock, per_example=per_example)
    return finished(figure, lines, per_example=per_example, y={}, log_y="loss")


def gap(study: Study, *, per_example: bool = False) -> go.Figure:
    """The relative gap between training loss and loss on unseen items: of two models where there are two.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines = gap_lines(study)
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    clock = "tau_gap_sym[0.2]" if any(line.pair for line in lines) else "tau_gap[0.2]"
    mark_onsets(figure, study, lines, clock, per_example=per_example)
    largest = max((float(line.past(line.curve.values).max(initial=0.0)) for line in lines), default=0.0)
    y = {"title_text": "relative gap", "tickformat": ".0%", "range": [-0.06, min(1.0, 1.1 * largest) + 0.03]}
    return finished(figure, lines, per_example=per_example, y=y)


def gap_lines(study: Study) -> list[Line]:
    """The symmetrized gap of every pair of twins; the gap of every run where there are no twins."""
    pairs: list[Line] = []
    for a, b in study.twins:
        if a.curve_or_none("twin_loss") is None or b.curve_or_none("twin_loss") is None:
            continue
        try:
            pairs.append(Line(a.header, gap_sym(a, b), "gap of two models", pair=True))
        except ConfigError:  # the two were not measured on the same items: each run's own gap remains
            continue
    if pairs:
        return pairs
    return lines_of(study, "gap", "gap")


def mark_onsets(
    figure: go.Figure, study: Study, lines: list[Line], clock: str, *, per_example: bool, symbol: str = "circle"
) -> None:
    """Mark where a clock went off, on the lines that it was read from."""
    onsets = [onset for onset in study.onsets if onset.clock == clock and onset.usable]
    by_run = {line.key: line for line in lines}
    marks = [(onset, by_run[onset.run]) for onset in onsets if onset.run in by_run]
    if not marks:
        return
    colors = size_colors(study.sizes)
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name=clock,
        legendgroup=clock,
        marker={"symbol": f"{symbol}-open", "size": 9, "color": INK, "line_width": 1.4},
    )
    figure.add_scatter(
        x=[onset.step / (onset.n_train if per_example else 1) for onset, _ in marks],
        y=[line.at(onset.step) for onset, line in marks],
        mode="markers",
        legendgroup=clock,
        showlegend=False,
        marker={
            "symbol": symbol,
            "size": 9,
            "color": [colors[onset.n_train] for onset, _ in marks],
            "line": {"color": INK, "width": 1.4},
        },
        customdata=[[line.key.label, onset_span(onset)] for onset, line in marks],
        hovertemplate=f"%{{customdata[0]}}<br>{clock} = %{{customdata[1]}} steps<extra></extra>",
    )
