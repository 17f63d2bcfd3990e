"""The phase diagram, the levels and the price show what was planted."""

import re

import numpy as np
import planted_grammar
import pytest
from planted_grammar import DEPTH, SIZES, STARS
from plotly.graph_objects import Figure

from taumem.analysis import Study
from taumem.record import RunRecord
from taumem.report import figures
from taumem.report.figures.style import clock_color, region_color


@pytest.fixture(scope="module")
def diagram(grammar):
    return figures.phase_diagram(grammar)


@pytest.fixture(scope="module")
def price(grammar):
    return figures.price(grammar)


def named(figure, name):
    return next(t for t in figure.data if t.name == name and t.x[0] is not None)


def region_at(figure: Figure, n_train: float, step: float) -> str:
    """The name of the region whose rectangles hold a point, looked up by color in the legend."""
    names = {t.marker.color: t.name for t in figure.data if t.x[0] is None and t.marker.symbol == "square"}
    found = []
    for trace in figure.data:
        if trace.fill == "toself":
            corners = [(float(x), float(y)) for x, y in zip(trace.x, trace.y, strict=True) if x is not None]
            for k in range(0, len(corners), 5):
                (left, bottom), _, (right, top) = corners[k : k + 3]
                if left < n_train < right and bottom < step < top:
                    found.append(names[trace.fillcolor])
    assert len(found) == 1, found
    return found[0]


# --- the phase diagram ------------------------------------------------------------------------------------------------


def test_each_look_lies_in_the_color_of_its_region(grammar, diagram):
    looks = next(t for t in diagram.data if t.customdata is not None and t.mode == "markers")
    assert len(looks.x) == len(grammar.phase.looks)
    for x, look in zip(looks.x, grammar.phase.looks, strict=True):
        words = f"partial generalization (level {look.grammar_level})" if look.region == "partial" else look.region
        assert region_at(diagram, x, look.step) == words


def test_runs_of_a_size_lie_side_by_side_around_it(grammar, diagram):
    looks = next(t for t in diagram.data if t.customdata is not None and t.mode == "markers")
    for size in SIZES:
        at = sorted({x for x, look in zip(looks.x, grammar.phase.looks, strict=True) if look.n_train == size})
        assert len(at) == 3
        assert size / np.sqrt(2) < at[0] < at[1] < at[2] < size * np.sqrt(2)
        assert at[1] == pytest.approx(size)


def test_no_name_stands_on_the_two_lines_of_tau_mem_which_the_legend_names(grammar, diagram):
    solid = named(diagram, f"tau_mem = {grammar.phase.memorization.linear.prefactor.value:.2f} P")
    assert solid.showlegend
    assert not [note.text for note in diagram.layout.annotations if "tau_mem" in note.text]


def test_the_boundaries_are_the_laws_of_the_diagram_and_are_named(grammar, diagram):
    line = named(diagram, f"tau_mem = {grammar.phase.memorization.linear.prefactor.value:.2f} P")
    assert np.asarray(line.y) / np.asarray(line.x) == pytest.approx(
        grammar.phase.memorization.linear.predict(512).value / 512
    )
    for level, boundary in enumerate(grammar.phase.boundaries, start=1):
        line = named(diagram, f"level {level} learned")
        assert line.y[-1] == pytest.approx(boundary.free.predict(int(line.x[-1])).value)
        assert min(line.x) > 0.7 * boundary.free.sizes[0]  # no claim about sizes at which it was only copied
    texts = {a.text for a in diagram.layout.annotations}
    assert {"generalization", "memorization", "level 1 only", "levels 1–2 only"} <= texts
    assert any((t.name or "").startswith("tau_mem ∝ P<sup>") for t in diagram.data)


def test_the_sample_complexities_are_marked(diagram, price):
    for figure, unit in ((diagram, 1), (price, STARS[-1])):
        assert [shape.x0 * unit for shape in figure.layout.shapes] == pytest.approx(STARS)
        stars = {a.text: a.x for a in figure.layout.annotations if a.text.startswith("P*")}
        assert stars == {f"P*<sub>{k}</sub>": pytest.approx(np.log10(s / unit)) for k, s in enumerate(STARS, start=1)}


def test_regions_differ_in_lightness_by_day_and_by_night():
    """So that they are told apart without their hues; neighbors above all."""

    def lightness(color):
        r, g, b = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
        return 0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2

    night = figures.night([])
    for depth in (2, 3, 4, 5):
        partial = [region_color("partial", level, depth) for level in range(1, depth)]
        day = [region_color("underfit", 0, depth), *partial, region_color("generalization", depth, depth)]
        assert len(set(day)) == depth + 1
        assert sorted(map(lightness, day), reverse=True) == [lightness(c) for c in day]
        dark = [lightness(night[c]) for c in day]
        assert sorted(dark) == dark
        warm = region_color("memorization", depth, depth)
        assert lightness(warm) > 1.5 * lightness(day[-1])
        assert lightness(night[warm]) < 0.7 * dark[-1]


def test_the_clocks_of_levels_go_from_light_to_dark():
    colors = [clock_color(f"tau_level[{level}]") for level in range(1, 6)]
    assert len(set(colors)) == 5
    assert sorted(colors, key=lambda c: sum(int(c[k : k + 2], 16) for k in (1, 3, 5)), reverse=True) == colors
    assert clock_color("tau_level[9]") == colors[-1]


def test_every_color_has_one_for_the_night(grammar, diagram, price):
    night = figures.night(grammar.sizes)
    assert len(set(night.values())) == len(night)
    for figure in (diagram, price, figures.levels(grammar)):
        assert set(re.findall(r"#[0-9a-f]{6}", figure.to_json())) <= set(night)


# --- levels and price -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("per_example", [False, True])
def test_the_levels_are_those_of_the_records_one_panel_each(grammar, per_example):
    figure = figures.levels(grammar, per_example=per_example)
    for panel, level in enumerate(range(DEPTH, 0, -1)):
        axis = "y" if panel == 0 else f"y{panel + 1}"
        lines = [t for t in figure.data if t.yaxis == axis and t.customdata is not None and "lines" in t.mode]
        assert len(lines) == len(grammar.records)
        for line, record in zip(lines, grammar.records, strict=True):
            curve = record.curve(f"valid[{level}]")
            assert np.asarray(line.y) == pytest.approx(curve.values, abs=1e-6)
            unit = record.header.data.n_train if per_example else 1
            assert np.asarray(line.x) == pytest.approx(curve.steps / unit)
        assert figure.layout[f"yaxis{panel + 1 if panel else ''}"].title.text == f"level {level}"
    assert sum(t.showlegend is True for t in figure.data) == len(SIZES) + 1


def test_the_price_is_that_of_the_diagram(grammar, price):
    for axis, name in (("y", "novel_valid"), ("y2", "loss_above_exact")):
        marks = [t for t in price.data if t.yaxis == axis and t.mode == "markers" and t.x[0] is not None]
        assert [t.x[0] for t in marks] == [p.ratio for p in grammar.phase.price]
        for mark, paid in zip(marks, grammar.phase.price, strict=True):
            interval = getattr(paid, name)
            assert mark.y[0] == interval.value
            assert mark.y[0] + mark.error_y.array[0] == pytest.approx(interval.high)
            assert mark.y[0] - mark.error_y.arrayminus[0] == pytest.approx(interval.low)
            assert mark.marker.symbol == "circle"
    shares = [p.novel_valid.value for p in grammar.phase.price]
    assert shares[0] < 0.05 < 0.85 < shares[-1]  # planted: P < P* has its price


def test_the_price_of_runs_that_ended_before_copies_is_an_open_mark(tmp_path):
    short = Study.of(
        planted_grammar.study(tmp_path, (2048,), seeds=(0,), last=0.3)
        + planted_grammar.study(tmp_path, (128,), seeds=(0,))
    )
    figure = figures.price(short)
    symbols = {t.x[0]: t.marker.symbol for t in figure.data if t.mode == "markers" and t.x[0] is not None}
    assert symbols == {128 / 486: "circle", 2048 / 486: "circle-open"}
    assert any(t.name == "ended before tau_mem: a bound" for t in figure.data)


def test_chance_is_drawn_for_each_run_as_it_grows_with_the_size(grammar):
    figure = figures.copies(grammar)
    dotted = [t for t in figure.data if t.line.dash == "dot" and t.x[0] is not None]
    assert len(dotted) == len(grammar.records)
    curve = grammar.records[-1].curve("copy_fraction_chance")
    assert np.asarray(dotted[-1].y) == pytest.approx(curve.values, abs=1e-6)
    assert not any(t.showlegend for t in dotted)


@pytest.mark.parametrize("draw", [figures.phase_diagram, figures.levels, figures.price])
def test_without_levels_there_is_nothing_to_draw(draw):
    assert not [t for t in draw(Study.of([])).data if t.x is not None and t.x[0] is not None]


# --- the study --------------------------------------------------------------------------------------------------------


def test_the_laws_of_levels_are_boundaries_and_no_clocks_of_their_own(grammar):
    """Their onsets are all told, but a law over copied ones would contradict the diagram's."""
    assert not [c for c in grammar.clocks if c.clock.startswith("tau_level")]
    assert {o.clock for o in grammar.onsets} >= {"tau_level[1]", "tau_level[2]", "tau_level[3]"}


def test_excluded_sizes_are_kept_out_of_the_boundaries(grammar_records):
    apart = Study.of([r for r in grammar_records if r.header.data.n_train >= 512], excluded={2048})
    assert max(apart.phase.memorization.linear.sizes) == 1024


def test_grammars_that_do_not_belong_together_have_no_diagram_and_say_why(tmp_path, grammar_records):
    other = planted_grammar.study(tmp_path, (64,), seeds=(0,), batch_size=16)
    mixed = Study.of([grammar_records[0], *other])
    assert mixed.phase is None
    assert any("No phase diagram: a phase diagram is of one batch size" in words for words in mixed.missing())


def test_only_data_with_a_hierarchy_miss_its_clock(tmp_path, study):
    assert not any("tau_level" in words for words in study.missing())
    with RunRecord.open(tmp_path / "begun", planted_grammar.header(64)) as begun:
        pass
    assert any("tau_level could not be read: it needs samples" in words for words in Study.of([begun]).missing())
