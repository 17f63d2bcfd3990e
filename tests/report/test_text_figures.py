"""Figures of texts show what was planted."""

import re

import numpy as np
import pytest
from planted_text import NGRAM_BITS, SIZES

from taumem.analysis import Study
from taumem.report import figures


def drawn(figure, **wanted):
    found = [t for t in figure.data if t.x[0] is not None and t.customdata is not None]
    return [t for t in found if all(getattr(t.line, name) == value for name, value in wanted.items())]


@pytest.mark.parametrize("per_example", [False, True])
def test_the_bits_are_those_of_the_records_with_the_ngram_model_of_each_size(texts, per_example):
    figure = figures.bits(texts, per_example=per_example)
    for quantity, dash in (("heldout_bits", "solid"), ("train_bits", "dot")):
        lines = drawn(figure, dash=dash)
        assert len(lines) == len(texts.records)
        for line, record in zip(lines, texts.records, strict=True):
            curve = record.curve(quantity)
            assert np.asarray(line.y) == pytest.approx(curve.values, rel=1e-6)
            assert np.asarray(line.x) == pytest.approx(curve.steps / (record.header.data.n_train if per_example else 1))
    levels = [t for t in figure.data if t.line.dash == "dash" and t.x[0] is not None]
    assert [t.y for t in levels] == [pytest.approx((NGRAM_BITS[size],) * 2) for size in SIZES]
    colors = {t.legendgroup: t.line.color for t in drawn(figure)}
    assert all(t.line.color == colors[t.legendgroup] for t in levels)
    names = [t.name for t in figure.data if t.showlegend is not False]
    assert names == ["P = 32", "P = 128", "P = 512", "held-out", "training", "held-out, n-gram model"]


def test_infilling_comes_with_its_exact_interval_and_chance(texts):
    figure = figures.infilling(texts)
    curve = texts.records[0].curve("infill_copies")
    line, band = drawn(figure, dash="solid")[0], figure.data[0]
    assert np.asarray(line.y) == pytest.approx(curve.values, rel=1e-6)
    assert np.asarray(line.customdata)[:, 2] == pytest.approx(curve.low, rel=1e-6)
    assert np.asarray(band.y) == pytest.approx(np.concatenate([curve.high, curve.low[::-1]]))
    chances = drawn(figure, dash="dot")
    assert len(chances) == len(texts.records)
    assert np.asarray(chances[0].y) == pytest.approx(texts.records[0].curve("infill_copies_chance").values, rel=1e-6)


@pytest.mark.parametrize(
    ("draw", "quantity", "level"),
    [
        (figures.dictionary_words, "dictionary_words", 0.97),
        (figures.ngram_divergence, "ngram_divergence[3]", 0.31),
        (figures.entropy, "heldout_entropy", None),
    ],
)
def test_what_samples_read_like_is_that_of_the_records(texts, draw, quantity, level):
    figure = draw(texts)
    line = drawn(figure, dash="solid")[0]
    assert np.asarray(line.y) == pytest.approx(texts.records[0].curve(quantity).values, rel=1e-6)
    dashed = [t.y[0] for t in figure.data if t.line.dash == "dash"]
    assert dashed == ([pytest.approx(level, abs=1e-3)] if level else [])


def test_every_color_has_one_for_the_night(texts):
    night = figures.night(texts.sizes)
    for draw in (figures.bits, figures.infilling, figures.dictionary_words, figures.ngram_divergence, figures.entropy):
        assert set(re.findall(r"#[0-9a-f]{6}", draw(texts).to_json())) <= set(night)


@pytest.mark.parametrize(
    "draw", [figures.bits, figures.infilling, figures.dictionary_words, figures.ngram_divergence, figures.entropy]
)
def test_nothing_to_draw_gives_an_empty_figure(draw):
    assert not any(t.x is not None and t.x[0] is not None for t in draw(Study.of([])).data)
