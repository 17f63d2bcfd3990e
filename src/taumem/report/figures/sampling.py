"""What the samples and the items' losses give away: copies, agreement of two models, membership."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import Interval, Study, agreement_and_chance, has_levels
from taumem.analysis.wording import share
from taumem.errors import ConfigError
from taumem.record import RunRecord
from taumem.report.figures.lines import Line, add_chance, add_chances, add_lines, finished, lines_of, share_axis
from taumem.report.figures.style import size_colors
from taumem.report.items import kind_of

__all__ = ["agreement", "chance_of_copies", "copies", "membership"]


def copies(study: Study, *, per_example: bool = True) -> go.Figure:
    """The share of samples that are copies, with exact intervals, above what chance would give.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines = lines_of(study, "copy_fraction", "copies")
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    chance = chance_of_copies(study)
    y = share_axis("copies among samples", lines, chance.value if chance else 0.0)
    if has_levels(study.records):
        # Of strings that can be counted, chance grows with P and with what the model has learned: a line each.
        chances = lines_of(study, "copy_fraction_chance", "chance", "dot")
        add_chances(figure, chances, size_colors(study.sizes), "chance", per_example=per_example)
        y = share_axis("copies among samples", [*lines, *chances])
    elif chance is not None and lines:
        add_chance(figure, chance.value, f"chance {share(chance)}")
    return finished(figure, lines, per_example=per_example, y=y)


def chance_of_copies(study: Study) -> Interval | None:
    """The share of held-out items that the rule takes for copies: the mean over runs, in the union of their intervals.

    None if it was not measured.
    """
    curves = [c for record in study.records if (c := record.curve_or_none("copy_fraction_chance")) is not None]
    if not curves:
        return None
    value = float(np.mean([curve.values.mean() for curve in curves]))
    low, high = (float(reach([reach(getattr(c, end)) for c in curves])) for end, reach in (("low", min), ("high", max)))
    return Interval(value, low if np.isfinite(low) else 0.0, high if np.isfinite(high) else 1.0, confidence=0.95)


def agreement(study: Study, *, per_example: bool = False) -> go.Figure:
    """How alike the samples of two models are that share their noise but no training example.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines, chances = [], []
    for a, b in study.twins:
        found = _agreement(a, b)
        if found is not None:
            lines.append(found[0])
            chances.append(found[1])
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    if lines:
        add_chance(figure, float(np.mean(chances)), "other noise (chance)")
    # Of tokens it is the share of positions with equal symbols.
    tokens = any(kind_of(a.header.data) in ("strings", "texts") for a, _ in study.twins)
    y = {
        "title_text": "equal symbols" if tokens else "cosine similarity",
        "range": [min([-0.05, *(c - 0.05 for c in chances)]), 1.03],
    }
    return finished(figure, lines, per_example=per_example, y=y)


def membership(study: Study, *, per_example: bool = True) -> go.Figure:
    """How well a training item is told from a held-out one by its loss alone.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines = [replace(line, least=0.0, most=1.0) for line in lines_of(study, "membership_auc", "AUC")]
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    if lines:
        add_chance(figure, 0.5, "chance (0.5)")
    return finished(figure, lines, per_example=per_example, y={"title_text": "membership AUC", "range": [0.38, 1.03]})


def _agreement(a: RunRecord, b: RunRecord) -> tuple[Line, float] | None:
    """The agreement of a pair, and its chance level."""
    try:
        curve, chance = agreement_and_chance(a, b)
    except ConfigError:  # their samples do not pair up: nothing to compare
        return None
    if curve is None or chance is None:
        return None
    return Line(a.header, curve, "similarity", pair=True, least=-1.0, most=1.0), float(chance.values.mean())
