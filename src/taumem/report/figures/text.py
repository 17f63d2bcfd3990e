"""What is measured of texts alone: bits per symbol, infilling, and how much samples read like the language."""

from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go

from taumem.analysis import Study
from taumem.analysis.wording import number, percent
from taumem.report.figures.lines import (
    Line,
    add_chance,
    add_chances,
    add_key,
    add_lines,
    finished,
    lines_of,
    share_axis,
)
from taumem.report.figures.style import size_colors

__all__ = ["bits", "dictionary_words", "entropy", "infilling", "ngram_divergence", "novelty"]


def bits(study: Study, *, per_example: bool = False) -> go.Figure:
    """Bits per symbol of held-out and of training texts, and those of an n-gram model on the held-out ones.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines = lines_of(study, "heldout_bits", "held-out bits") + lines_of(study, "train_bits", "training bits", "dot")
    figure = go.Figure()
    colors = size_colors(study.sizes)
    add_lines(figure, lines, colors, per_example=per_example, bands=False)
    baselines = lines_of(study, "heldout_bits_ngram", "n-gram bits")
    for n_train in dict.fromkeys(line.n_train for line in baselines):
        _add_baseline(figure, [b for b in baselines if b.n_train == n_train], colors[n_train], per_example=per_example)
    if lines:
        add_key(figure, "held-out", "solid")
        add_key(figure, "training", "dot")
    if baselines:
        add_key(figure, "held-out, n-gram model", "dash")
    return finished(figure, lines, per_example=per_example, y={"title_text": "bits per symbol", "rangemode": "tozero"})


def infilling(study: Study, *, per_example: bool = True) -> go.Figure:
    """The share of half-hidden training texts that are filled in verbatim, and of held-out ones, with exact intervals.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines, chances = _with_chance(study, "infill_copies", "infill_copies_chance", "filled in")
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    add_chances(figure, chances, size_colors(study.sizes), "held-out texts (chance)", per_example=per_example)
    return finished(figure, lines, per_example=per_example, y=share_axis("texts filled in", [*lines, *chances]))


def dictionary_words(study: Study, *, per_example: bool = False) -> go.Figure:
    """The share of the words in samples that are in the dictionary, and of those in held-out texts.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines, chances = _with_chance(study, "dictionary_words", "dictionary_words_chance", "words")
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    _add_reference(figure, chances, "held-out texts", percent)
    y = {"title_text": "words in the dictionary", "tickformat": ".0%", "range": [-0.02, 1.03]}
    return finished(figure, lines, per_example=per_example, y=y)


def ngram_divergence(study: Study, *, per_example: bool = False, n: int = 3) -> go.Figure:
    """How far the n-grams of samples are from those of held-out texts, and how far other held-out texts are.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
        n: of the n-grams.
    """
    lines, chances = _with_chance(study, f"ngram_divergence[{n}]", f"ngram_divergence_chance[{n}]", "divergence")
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example)
    _add_reference(figure, chances, "other held-out texts")
    y = {"title_text": f"divergence of {n}-grams, bits", "rangemode": "tozero"}
    return finished(figure, lines, per_example=per_example, y=y)


def novelty(study: Study, *, per_example: bool = False) -> go.Figure:
    """The share of samples that are valid, and those of the valid ones that are new and distinct.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    dashes = {"novelty": "solid", "validity": "dash", "uniqueness": "dot"}
    by_quantity = {name: lines_of(study, name, name, dash) for name, dash in dashes.items()}
    lines = [line for of_quantity in by_quantity.values() for line in of_quantity]
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example, bands=False)
    for name, of_quantity in by_quantity.items():
        if of_quantity:
            add_key(figure, name, dashes[name])
    y = {"title_text": "share of samples", "tickformat": ".0%", "range": [-0.02, 1.03]}
    return finished(figure, lines, per_example=per_example, y=y)


def entropy(study: Study, *, per_example: bool = False) -> go.Figure:
    """The entropy of what is predicted for a hidden symbol: how sure the model is, on held-out and on training texts.

    Args:
        study: what to draw.
        per_example: draw against the step over the number of training examples.
    """
    lines = lines_of(study, "heldout_entropy", "held-out entropy") + lines_of(study, "train_entropy", "training", "dot")
    figure = go.Figure()
    add_lines(figure, lines, size_colors(study.sizes), per_example=per_example, bands=False)
    if any(line.dash == "dot" for line in lines):
        add_key(figure, "held-out", "solid")
        add_key(figure, "training", "dot")
    y = {"title_text": "entropy of predictions, nats", "rangemode": "tozero"}
    return finished(figure, lines, per_example=per_example, y=y)


def _with_chance(study: Study, quantity: str, chance: str, words: str) -> tuple[list[Line], list[Line]]:
    return lines_of(study, quantity, words), lines_of(study, chance, "chance", "dot")


def _add_reference(
    figure: go.Figure, chances: Sequence[Line], name: str, write: Callable[[float], str] = number
) -> None:
    """Draw one line for all runs: the same texts, which no training changes."""
    if chances and figure.data:
        value = float(np.mean([line.curve.values.mean() for line in chances]))
        add_chance(figure, value, f"{name}: {write(value)}")


def _add_baseline(figure: go.Figure, lines: Sequence[Line], color: str, *, per_example: bool) -> None:
    """Draw what another model of the same size of training set needs, as long as the runs of that size go on."""
    value = float(np.mean([line.curve.values.mean() for line in lines]))
    x = np.concatenate([line.x(per_example=per_example) for line in lines])
    if not len(x):
        return
    name = f"n-gram model, P = {lines[0].n_train:,}: {number(value)} bits"
    figure.add_scatter(
        x=[float(x.min()), float(x.max())],
        y=[value, value],
        mode="lines",
        line={"color": color, "width": 1.2, "dash": "dash"},
        name=name,
        legendgroup=str(lines[0].n_train),
        showlegend=False,
        hovertemplate=f"{name}<extra></extra>",
    )
