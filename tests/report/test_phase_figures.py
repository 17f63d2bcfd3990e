"""The phase diagram, the levels and the price on the page show what was planted; other studies show none of it."""

import json
import re
import subprocess

import numpy as np
import planted_grammar
import planted_study
import pytest
from planted_grammar import DEPTH, SIZES, STARS
from plotly.graph_objects import Figure
from test_page import CHROMIUM, FLAGS, Page

from taumem.record import RunRecord
from taumem.report import Study, figures, write_report
from taumem.report.figures.style import clock_color, region_color
from taumem.report.gallery import gallery
from taumem.report.strings import string_gallery


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return planted_grammar.study(tmp_path_factory.mktemp("grammar"))


@pytest.fixture(scope="module")
def study(records):
    return Study.of(records)


@pytest.fixture(scope="module")
def written(tmp_path_factory, records):
    return write_report(tmp_path_factory.mktemp("page") / "report.html", records)


@pytest.fixture(scope="module")
def page(written):
    return Page(written)


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


def test_each_look_lies_in_the_color_of_its_region(study):
    figure = figures.phase_diagram(study)
    looks = next(t for t in figure.data if t.customdata is not None and t.mode == "markers")
    assert len(looks.x) == len(study.phase.looks)
    for x, look in zip(looks.x, study.phase.looks, strict=True):
        words = f"partial generalization (level {look.grammar_level})" if look.region == "partial" else look.region
        assert region_at(figure, x, look.step) == words


def test_runs_of_a_size_lie_side_by_side_around_it(study):
    figure = figures.phase_diagram(study)
    looks = next(t for t in figure.data if t.customdata is not None and t.mode == "markers")
    for size in SIZES:
        at = sorted({x for x, look in zip(looks.x, study.phase.looks, strict=True) if look.n_train == size})
        assert len(at) == 3
        assert size / np.sqrt(2) < at[0] < at[1] < at[2] < size * np.sqrt(2)
        assert at[1] == pytest.approx(size)


def test_the_boundaries_are_the_laws_of_the_diagram_and_are_named(study):
    figure = figures.phase_diagram(study)
    line = named(figure, f"tau_mem = {study.phase.memorization.linear.prefactor.value:.2f} P")
    assert np.asarray(line.y) / np.asarray(line.x) == pytest.approx(
        study.phase.memorization.linear.predict(512).value / 512
    )
    for level, boundary in enumerate(study.phase.boundaries, start=1):
        line = named(figure, f"level {level} learned")
        assert line.y[-1] == pytest.approx(boundary.free.predict(int(line.x[-1])).value)
        assert min(line.x) > 0.7 * boundary.free.sizes[0]  # no claim about sizes at which it was only copied
    texts = {a.text for a in figure.layout.annotations}
    assert {"generalization", "memorization", "level 1 only", "levels 1–2 only"} <= texts
    assert any((t.name or "").startswith("tau_mem ∝ P<sup>") for t in figure.data)


def test_the_sample_complexities_are_marked(study):
    for figure, unit in ((figures.phase_diagram(study), 1), (figures.price(study), STARS[-1])):
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


def test_every_color_has_one_for_the_night(study):
    night = figures.night(study.sizes)
    assert len(set(night.values())) == len(night)
    for figure in (figures.phase_diagram(study), figures.price(study), figures.levels(study)):
        assert set(re.findall(r"#[0-9a-f]{6}", figure.to_json())) <= set(night)


# --- levels and price -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_example", [False, True])
def test_the_levels_are_those_of_the_records_one_panel_each(study, per_example):
    figure = figures.levels(study, per_example=per_example)
    for panel, level in enumerate(range(DEPTH, 0, -1)):
        axis = "y" if panel == 0 else f"y{panel + 1}"
        lines = [t for t in figure.data if t.yaxis == axis and t.customdata is not None and "lines" in t.mode]
        assert len(lines) == len(study.records)
        for line, record in zip(lines, study.records, strict=True):
            curve = record.curve(f"valid[{level}]")
            assert np.asarray(line.y) == pytest.approx(curve.values, abs=1e-6)
            unit = record.header.data.n_train if per_example else 1
            assert np.asarray(line.x) == pytest.approx(curve.steps / unit)
        assert figure.layout[f"yaxis{panel + 1 if panel else ''}"].title.text == f"level {level}"
    assert sum(t.showlegend is True for t in figure.data) == len(SIZES) + 1


def test_the_price_is_that_of_the_diagram(study):
    figure = figures.price(study)
    for axis, name in (("y", "novel_valid"), ("y2", "loss_above_exact")):
        marks = [t for t in figure.data if t.yaxis == axis and t.mode == "markers" and t.x[0] is not None]
        assert [t.x[0] for t in marks] == [p.ratio for p in study.phase.price]
        for mark, price in zip(marks, study.phase.price, strict=True):
            interval = getattr(price, name)
            assert mark.y[0] == interval.value
            assert mark.y[0] + mark.error_y.array[0] == pytest.approx(interval.high)
            assert mark.y[0] - mark.error_y.arrayminus[0] == pytest.approx(interval.low)
            assert mark.marker.symbol == "circle"
    shares = [p.novel_valid.value for p in study.phase.price]
    assert shares[0] < 0.05 < 0.85 < shares[-1]  # planted: P < P* has its price


def test_the_price_of_runs_that_ended_before_copies_is_an_open_mark(tmp_path):
    short = Study.of(planted_grammar.study(tmp_path, (2048,), last=0.3) + planted_grammar.study(tmp_path, (128,)))
    figure = figures.price(short)
    symbols = {t.x[0]: t.marker.symbol for t in figure.data if t.mode == "markers" and t.x[0] is not None}
    assert symbols == {128 / 486: "circle", 2048 / 486: "circle-open"}
    assert any(t.name == "ended before tau_mem: a bound" for t in figure.data)


def test_chance_is_drawn_for_each_run_as_it_grows_with_the_size(study):
    figure = figures.copies(study)
    dotted = [t for t in figure.data if t.line.dash == "dot" and t.x[0] is not None]
    assert len(dotted) == len(study.records)
    curve = study.records[-1].curve("copy_fraction_chance")
    assert np.asarray(dotted[-1].y) == pytest.approx(curve.values, abs=1e-6)
    assert not any(t.showlegend for t in dotted)


@pytest.mark.parametrize("draw", [figures.phase_diagram, figures.levels, figures.price])
def test_without_levels_there_is_nothing_to_draw(draw):
    assert not [t for t in draw(Study.of([])).data if t.x is not None and t.x[0] is not None]


# --- the study --------------------------------------------------------------------------------------------------------


def test_the_laws_of_levels_are_boundaries_and_no_clocks_of_their_own(study):
    """Their onsets are all told, but a law over copied ones would contradict the diagram's."""
    assert not [c for c in study.clocks if c.clock.startswith("tau_level")]
    assert {o.clock for o in study.onsets} >= {"tau_level[1]", "tau_level[2]", "tau_level[3]"}


def test_held_back_sizes_are_kept_out_of_the_boundaries(records):
    held = Study.of(records, held_back={2048})
    assert max(held.phase.memorization.linear.sizes) == 1024


def test_grammars_that_do_not_belong_together_have_no_diagram_and_say_why(tmp_path, records):
    other = planted_grammar.study(tmp_path, (64,), seeds=(0,), batch_size=16)
    mixed = Study.of([*records, *other])
    assert mixed.phase is None
    assert any("No phase diagram: a phase diagram is of one batch size" in words for words in mixed.missing())


def test_only_data_with_a_hierarchy_miss_its_clock(tmp_path):
    images = Study.of(planted_study.study(tmp_path, (16,), halves=(None,), steps=400, samples=False))
    assert not any("tau_level" in words for words in images.missing())
    with RunRecord.open(tmp_path / "begun", planted_grammar.header(64)) as begun:
        pass
    assert any("tau_level could not be read: it needs samples" in words for words in Study.of([begun]).missing())


# --- strings ----------------------------------------------------------------------------------------------------------


def test_strings_are_shown_before_at_and_after_the_onset_with_what_they_are(study):
    assert gallery(study) == []
    shown = string_gallery(study)
    assert [e.title.partition(" ·")[0] for e in shown] == ["P = 32", "P = 2,048"]
    for exhibit, record in zip(shown, (study.records[0], study.records[-3]), strict=True):
        (onset,) = [
            o
            for o in study.onsets
            if o.clock == "tau_copy[0.05]" and o.source.endswith(f"P={record.header.data.n_train} seed=0")
        ]
        assert [m.name for m in exhibit.moments] == ["before", "at the onset", "after"]
        assert exhibit.moments[1].step == onset.high
        for moment in exhibit.moments:
            arrays = record.arrays(moment.step)
            assert len(moment.samples) == 12
            for sample, tokens, copied, level in zip(
                moment.samples, arrays["samples"], arrays["copied"], arrays["level"], strict=False
            ):
                assert [ord(letter) - ord("a") for letter in sample.text] == tokens.tolist()
                assert (sample.copied, sample.level, sample.depth) == (copied, level, DEPTH)
                assert (sample.verdict == "copy") == copied
    assert all(s.verdict == "novel and valid" for s in shown[1].moments[0].samples)


def test_many_symbols_are_numbers_and_strings_without_levels_are_shown(tmp_path):
    with RunRecord.open(tmp_path / "run", planted_study.header(16)) as record:
        samples = np.array([[0, 26, 3], [1, 2, 3]], dtype=np.int16)
        record.keep_arrays(10, {"samples": samples, "copied": np.array([True, False])})
    (exhibit,) = string_gallery(Study.of([RunRecord.read(tmp_path / "run")]))
    assert [(s.text, s.verdict) for s in exhibit.moments[0].samples] == [("0 26 3", "copy"), ("1 2 3", "")]


@pytest.mark.parametrize(
    "arrays",
    [{"samples": np.zeros((4, 2)), "copied": np.zeros(4, bool)}, {"samples": np.zeros((4, 2), int)}, {"x": np.ones(2)}],
    ids=["vectors", "copies not kept", "something else"],
)
def test_what_is_no_string_is_passed_over(tmp_path, arrays):
    with RunRecord.open(tmp_path / "run", planted_study.header(16)) as record:
        record.keep_arrays(10, arrays)
    assert string_gallery(Study.of([RunRecord.read(tmp_path / "run")])) == []


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_tells_the_diagram_and_the_price(page, study):
    assert "The phase diagram, and the price of stopping early" in page.words
    keys = {a["data-plot"] for tag, a in page.tags if tag == "script" and "data-plot" in a}
    assert keys >= {"plot-phase", "plot-price", "plot-levels-step", "plot-levels-example"}
    for price in study.phase.price:
        assert f"{price.n_train:,}" in page.words
    for words in (
        "by copying",
        "learned",
        "9 of 21 runs",
        "up to level x",
        "Here x = 1, 2, 3.",
        "equals a training string in every symbol",
        "Samples before, at and after the onset",
        "novel and valid",
        "symbol by symbol",
    ):
        assert words in page.words, words
    assert "nearest training images" not in page.words


def test_the_page_has_whole_finite_json(page):
    for figure in page.figures:
        json.dumps(figure, allow_nan=False)
        assert figure["data"]
    assert not re.search(r"\b(NaN|Infinity)\b", "".join(json.dumps(f) for f in page.figures))


def test_runs_that_saw_little_give_a_page(tmp_path):
    records = planted_grammar.study(tmp_path / "runs", (512, 1024), seeds=(0,), last=0.02)
    page = Page(write_report(tmp_path / "report.html", records))
    assert "not reached" in page.words
    for figure in page.figures:
        json.dumps(figure, allow_nan=False)


def test_one_run_gives_a_diagram_without_boundaries(tmp_path):
    records = planted_grammar.study(tmp_path / "runs", (256,), seeds=(0,))
    page = Page(write_report(tmp_path / "report.html", records))
    assert "The phase diagram" in page.words


def test_a_study_of_images_has_no_such_section(tmp_path):
    records = planted_study.study(tmp_path / "runs", (16, 32), steps=400)
    page = Page(write_report(tmp_path / "report.html", records))
    assert not [a for _, a in page.tags if a.get("id") in ("phase", "strings")]
    for words in ("phase diagram", "grammar", "up to level", "tau_level", "strings"):
        assert words not in page.words, words


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_the_grammar_without_an_error(tmp_path, written, page, scheme):
    settings = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    (tmp_path / "profile").mkdir()
    run = subprocess.run(
        [CHROMIUM, *FLAGS, *settings, f"--user-data-dir={tmp_path / 'profile'}", written.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert run.stdout.count("js-plotly-plot") >= len(page.figures)
