"""How much sampled images are like the data, as wholes, over training: Fréchet distances, precision and recall."""

from dataclasses import replace
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import Study
from taumem.analysis.shares import common_looks
from taumem.analysis.wording import percent
from taumem.report.figures.lines import Line, add_chance, add_key, add_lines, finished, lines_of, share_axis
from taumem.report.figures.style import size_colors
from taumem.report.figures.training import mark_onsets

__all__ = ["frechet", "precision_and_recall"]

Reference = Literal["heldout", "train"]


def frechet(study: Study, reference: Reference = "heldout", *, per_example: bool = False) -> go.Figure:
    """The Fréchet distance of samples from a set of images, over that of as many held-out images from it.

    Args:
        study: what to draw.
        reference: the held-out images, or the training set.
        per_example: draw against the step over the number of training examples.
    """
    lines = []
    for record in study.records:
        measured, of_data = (record.curve_or_none(f"{reference}_frechet{suffix}") for suffix in ("", "_chance"))
        if measured is None or of_data is None:
            continue
        curve, chance = common_looks(measured, of_data)
        relative = replace(curve, values=curve.values / chance.values, se=curve.se / chance.values)
        lines.append(Line(record.header, relative, "over that of new images", least=0.0))
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    mark_onsets(figure, study, lines, "tau_val", per_example=per_example)
    if reference == "heldout":
        mark_onsets(figure, study, lines, "tau_quality", per_example=per_example, symbol="diamond")
    if lines:
        add_chance(figure, 1.0, "new images of the data")
    return finished(figure, lines, per_example=per_example, y={}, log_y="Fréchet distance, over that of new images")


def precision_and_recall(study: Study, reference: Reference = "heldout", *, per_example: bool = False) -> go.Figure:
    """The share of samples in the manifold of a set of images, and the share of the set in that of the samples.

    Args:
        study: what to draw.
        reference: the held-out images, or the training set.
        per_example: draw against the step over the number of training examples.
    """
    lines = lines_of(study, f"{reference}_precision", "precision")
    lines += lines_of(study, f"{reference}_recall", "recall", "dot")
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example, bands=False)
    for what, dash in (("precision", "solid"), ("recall", "dot")) if lines else ():
        add_key(figure, what, dash)
        of_data = [line.curve.values[-1] for line in lines_of(study, f"{reference}_{what}_chance", what)]
        if of_data:
            level = float(np.mean(of_data))
            add_chance(figure, level, f"{what} of new images ({percent(level)})")
    return finished(figure, lines, per_example=per_example, y=share_axis("share", lines, 0.9))
