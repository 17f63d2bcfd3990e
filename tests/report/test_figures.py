"""Figures show what was planted."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import plotly.graph_objects as go
import pytest
from planted_study import STEPS_PER_EXAMPLE
from reading import Page

from taumem.analysis import Forecast, Onset, Study, gap_sym
from taumem.record import Curve, RunKey
from taumem.report import figures, page_of
from taumem.report.figures.lines import Line, add_lines, lines_of, share_axis
from taumem.report.sections.order import section as order_section


def traces(figure, **wanted):
    return [t for t in figure.data if all(getattr(t, name) == value for name, value in wanted.items())]


def drawn(figure, size):
    """The lines of a size that carry data, without their bands."""
    return [t for t in traces(figure, legendgroup=str(size)) if t.customdata is not None]


@pytest.fixture(scope="module")
def law(study):
    return figures.law(study)


def test_the_law_passes_through_the_planted_points(law):
    line = next(t for t in law.data if t.meta == "tau_val" and t.mode == "lines" and t.line.width)
    at = np.exp(np.interp(np.log(64), np.log(np.asarray(line.x, float)), np.log(np.asarray(line.y, float))))
    assert at == pytest.approx(STEPS_PER_EXAMPLE * 64, rel=0.1)


def test_the_law_names_its_exponent_and_shows_one_clock_at_first(law):
    named = [t for t in law.data if t.meta == "tau_val" and t.name and t.name.startswith("tau_val ∝ P<sup>")]
    assert len(named) == 1
    assert {t.visible for t in law.data if t.meta == "tau_val"} <= {True, None}
    assert {t.visible for t in law.data if t.meta not in ("tau_val", None)} == {"legendonly"}


def test_the_band_of_the_law_holds_its_line(law):
    band, line = [t for t in law.data if t.meta == "tau_val" and t.mode == "lines"][:2]
    n = len(line.x)
    high, low = np.asarray(band.y[:n], float), np.asarray(band.y[n:], float)[::-1]
    assert (low < np.asarray(line.y, float)).all()
    assert (np.asarray(line.y, float) < high).all()


def test_excluded_sizes_are_diamonds_and_the_forecast_is_a_bar(law, forecast):
    diamonds = [t for t in law.data if t.meta == "tau_val" and t.mode == "markers" and set(t.x) == {128}]
    assert any(set(t.marker.symbol) == {"diamond"} for t in diamonds)
    assert any(t.name == "measured after the forecast" for t in law.data)
    bar = next(t for t in law.data if t.name and t.name.startswith("forecast for P = 128"))
    assert tuple(bar.y) == (forecast.predicted.low, forecast.predicted.high)


@pytest.mark.slow
def test_a_forecast_lies_on_the_line_that_is_drawn(records):
    study = Study.of(records, excluded={128})
    made = study.forecast(128)
    line = next(
        t
        for t in figures.law(study.excluding({128}, made)).data
        if t.meta == "tau_val" and t.mode == "lines" and t.line.width
    )
    at = np.exp(np.interp(np.log(128), np.log(np.asarray(line.x, float)), np.log(np.asarray(line.y, float))))
    assert at == pytest.approx(made.predicted.value, rel=0.01)


@pytest.mark.slow
def test_onsets_of_several_batch_sizes_lie_on_one_line(records):
    study = Study.of(records)
    vars(study)["onsets"] = tuple(
        Onset(6 * p * (b / 16) ** -0.7 * f, 5.0 * p, 7.0 * p, "no", "tau_val", RunKey(p, b))
        for p, b, f in product((32, 64, 128), (16, 64), (0.97, 1.03))
    )
    figure = figures.law(study)
    points = next(t for t in figure.data if t.meta == "tau_val" and t.mode == "markers")
    assert np.asarray(points.y, float) == pytest.approx(6 * np.asarray(points.x, float), rel=0.1)
    assert len(set(points.marker.color)) == 2
    assert "batch size 64" in " ".join(row[0] for row in points.customdata)
    assert figure.layout.yaxis.title.text == "onset (optimizer steps), × (B / 16)<sup>k</sup> at batch size B"
    page = Page(page_of(study))
    assert "tau_val grows as P" in page.words
    assert "falls as B" in page.words
    assert "k, of the batch size" in page.words
    assert "steps per example are those at batch size 16" in page.words


@pytest.mark.slow
def test_a_forecast_alone_draws_no_measurement(records, forecast):
    waiting = Study.of(
        [r for r in records if r.header.data.n_train < 64 and r.header.half == "a"],
        proof=Forecast(forecast.clock, 128, forecast.predicted),
    )
    figure = figures.law(waiting)
    assert any(t.name and t.name.startswith("forecast for P = 128") for t in figure.data)
    assert not any(t.name == "measured after the forecast" for t in figure.data)


def test_bounds_are_triangles_at_the_bound(study, law):
    assert {record.last_step for record in study.records} == {3000}
    censored = [o for o in study.onsets if o.censored == "right"]
    assert censored
    for onset in censored:
        points = [t for t in law.data if t.meta == onset.clock and t.mode == "markers" and onset.n_train in t.x]
        shown = {(x, y, s) for t in points for x, y, s in zip(t.x, t.y, t.marker.symbol, strict=True)}
        assert (onset.n_train, onset.step, "triangle-up-open") in shown


def test_the_losses_are_those_of_the_records(study):
    record = study.records[0]
    curve = record.curve("heldout_loss")
    line = drawn(figures.losses(study), 16)[0]
    assert np.asarray(line.x) == pytest.approx(curve.steps)
    assert np.asarray(line.y) == pytest.approx(curve.values, rel=1e-6)


def test_every_size_is_in_the_legend_once(study):
    for draw in (figures.losses, figures.gap, figures.copies, figures.agreement, figures.membership):
        names = [t.name for t in draw(study).data if t.showlegend is not False and t.name.startswith("P = ")]
        assert names == ["P = 16", "P = 32", "P = 64", "P = 128"]


def test_an_onset_says_which_run_it_was_found_in(law):
    said = {row[0] for t in law.data if t.mode == "markers" and t.customdata is not None for row in t.customdata}
    assert said >= {"tau_gap_sym[0.2] · P = 16 · halves a, b · seed 0", "tau_val · P = 128 · half b · seed 0"}


def test_the_minimum_of_the_heldout_loss_is_marked_on_it(study):
    marked = next(t for t in figures.losses(study).data if t.customdata is not None and t.mode == "markers")
    onsets = [o for o in study.onsets if o.clock == "tau_val"]
    assert sorted(marked.x) == pytest.approx(sorted(o.step for o in onsets))
    assert all(0.12 < y < 0.25 for y in marked.y)


def test_the_gap_is_that_of_two_models_where_there_are_two(study):
    a, b = study.twins[0]
    line = drawn(figures.gap(study), 16)[0]
    assert np.asarray(line.y) == pytest.approx(gap_sym(a, b).values, rel=1e-5)
    assert "halves a, b" in line.hovertemplate


def test_the_gap_is_each_runs_own_where_there_are_no_twins(records):
    study = Study.of([r for r in records if r.header.half == "a"])
    line = drawn(figures.gap(study), 16)[0]
    assert np.asarray(line.y) == pytest.approx(study.records[0].curve("gap").values, rel=1e-6)


def test_the_gap_collapses_against_steps_per_example(study):
    """At one number of steps per example, the planted gap is the same at every size."""

    def spread(*, per_example: bool) -> float:
        figure = figures.gap(study, per_example=per_example)
        lines = [drawn(figure, size)[0] for size in (16, 32, 64, 128)]
        at = 10 if per_example else 400
        return float(np.ptp([np.interp(np.log(at), np.log(t.x), np.asarray(t.y, float)) for t in lines]))

    assert spread(per_example=True) < 0.1 * spread(per_example=False)


def test_copies_come_with_their_exact_interval_and_chance(study):
    figure = figures.copies(study)
    curve = study.records[0].curve("copy_fraction")
    line, band = drawn(figure, 16)[0], traces(figure, legendgroup="16")[0]
    assert np.asarray(line.y) == pytest.approx(curve.values, rel=1e-6)
    assert np.asarray(line.customdata)[:, 2] == pytest.approx(curve.low, rel=1e-6)
    assert np.asarray(band.y) == pytest.approx(np.concatenate([curve.high, curve.low[::-1]]))
    chance = next(t for t in figure.data if (t.name or "").startswith("chance"))
    assert chance.y[0] == pytest.approx(1 / 512)


@pytest.mark.parametrize(
    ("value", "high", "chance", "top"), [(0.0, 0.02, 0.0, 0.05), (0.0, 0.02, 0.4, 0.4), (0.7, 0.8, 0.1, 0.8)]
)
def test_an_axis_of_shares_holds_intervals_and_chance(records, value, high, chance, top):
    curve = Curve("copies", *(np.array([x, x]) for x in (1, 1, value, np.nan, value, high, 100)))
    low, end = share_axis("copies", [Line(records[0].header, curve, "copies")], chance)["range"]
    assert low < 0
    assert top < end < 1.2 * top


def test_agreement_falls_from_above_chance(study):
    figure = figures.agreement(study)
    line = drawn(figure, 16)[0]
    chance = next(t for t in figure.data if "chance" in (t.name or ""))
    assert line.y[0] > 0.9 > line.y[-1]
    assert abs(chance.y[0]) < 0.3


def test_colors_are_distinct_by_day_and_by_night(study, law):
    night = figures.night(study.sizes)
    assert len(set(night.values())) == len(night)
    for figure in (figures.losses(study), law):
        used = {t.line.color for t in figure.data if t.line.color and t.line.color.startswith("#")}
        assert used <= set(night)


@pytest.mark.parametrize("draw", [figures.losses, figures.gap, figures.copies, figures.agreement, figures.membership])
def test_nothing_to_draw_gives_an_empty_figure(draw):
    assert not any(t.x is not None and t.x[0] is not None for t in draw(Study.of([])).data)


def test_bands_lie_below_all_lines_and_equal_ones_of_a_size_are_one(texts):
    nothing = replace(lines_of(texts, "copy_fraction", "copies")[0], least=0.0)
    flat = replace(nothing, curve=replace(nothing.curve, values=0 * nothing.curve.values, low=0 * nothing.curve.low))
    figure = go.Figure()
    add_lines(figure, [flat, flat, flat], {flat.n_train: "#20242c"}, per_example=False)
    kinds = ["band" if trace.fill == "toself" else "line" for trace in figure.data]
    assert kinds == ["band", "line", "line", "line"]


def test_no_band_goes_beyond_what_a_share_can_be(study):
    for figure in (figures.membership(study), figures.agreement(study)):
        bands = [np.asarray(trace.y, float) for trace in figure.data if trace.fill == "toself"]
        assert bands
        assert max(band.max() for band in bands) <= 1
    assert min(band.min() for band in bands) >= -1


def test_the_order_marks_what_one_run_says_and_what_is_a_bound_and_the_page_names_what_is_not_drawn():
    def onset(clock, seed, step, censored="no"):
        low, high = {"no": (step / 1.1, step * 1.1), "right": (step, math.inf), "left": (0.0, step)}[censored]
        return Onset(step, low, high, censored, clock, RunKey(64, 16, seed))

    study = Study.of([])
    seeds = (0, 1)
    found = [onset("tau_val", seed, 100) for seed in seeds]
    found += [onset("tau_gap[0.1]", seed, 50 + seed) for seed in seeds]
    found += [onset("tau_split", 0, 200), onset("tau_split", 1, 300, "right")]
    found += [onset("tau_copy[0.05]", seed, 300, "right") for seed in seeds]
    found += [onset("tau_gen", seed, 10, "left") for seed in seeds]
    vars(study)["onsets"] = tuple(found)
    symbols = {trace.hovertemplate.split(":")[0]: trace.marker.symbol for trace in figures.order(study).data}
    assert symbols == {"tau_gap[0.1]": "circle", "tau_split": "circle-open", "tau_copy[0.05]": "triangle-right"}
    (section,) = order_section(study)
    assert section.text.endswith("Not drawn, as the runs say too little of when they go off: tau_gen.")


def test_the_order_has_a_row_for_each_clock_and_names_the_studies_where_there_are_several(study):
    alone, both = figures.order(study), figures.order({"one": study, "other": study})
    known = [o for o in study.order if not o.factor or not o.factor.spans_much]
    shown = [o.clock for o in known if o.factor or o.of_one_run or (o.beyond or 0.0) > 1]
    assert sorted(alone.layout.yaxis.ticktext) == sorted(shown)
    assert len(alone.data) == len(shown)
    assert not any(trace.showlegend for trace in alone.data)
    assert [trace.name for trace in both.data if trace.showlegend] == ["one", "other"]
