"""The page: self-contained, honest about what is missing, and of one study alone."""

import json
import re

import numpy as np
import planted_grammar
import planted_study
import planted_text
import pytest
from conftest import COMMAND
from planted_study import EXCLUDED
from planted_text import WINDOW
from reading import Page

from taumem.analysis import ClockLaw, Forecast, Interval, Onset, Study
from taumem.errors import ConfigError
from taumem.record import RunKey, RunRecord
from taumem.report import page_of, write_report
from taumem.report.exhibits import exhibits_of
from taumem.report.summary import title_of, verdict


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:"), (tag, name, value)
    styles = "".join(re.findall(r"<style>(.*?)</style>", page.html, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles


def test_plotly_is_there_once_and_the_page_is_light(page):
    assert len(re.findall(r"plotly\.js v\d", page.html)) == 1
    assert len(page.html.encode()) < 6e6


def test_the_page_says_the_law_the_forecast_and_the_measurement(page):
    headline = re.search(r"<h1>(.*?)</h1>", page.html).group(1)
    found = re.fullmatch(
        r"tau_val grows as P<sup>(.*?)</sup> \[(.*?), (.*?)\]: (.*?) steps per example at batch size 16\. "
        r"Forecast for P = 128: 768 \[640, 930\] steps; measured 760 \[700, 830\]\.",
        headline,
    )
    exponent, low, high, prefactor = map(float, found.groups())
    assert low < 1 < high
    assert exponent == pytest.approx(1, abs=0.1)
    assert prefactor == pytest.approx(planted_study.STEPS_PER_EXAMPLE, rel=0.1)
    assert "+1 %" in page.words
    assert "inside the forecast's interval" in page.words


def test_every_clock_is_defined_and_every_onset_listed(page, study):
    for clock in study.clocks:
        assert clock.clock in page.words
    for word in ("Minimum of the held-out loss", "tau_copy[x]", "Here x = 0.03, 0.05, 0.1", "chance level"):
        assert word in page.words
    assert f"All {len(study.onsets)} onsets" in page.words


def test_how_it_was_made_is_told(page):
    for word in ("torch 2.13.0", "Planted shapes", "5f0c5f0c", "learning_rate", "taumem run planted --seed 0", "raw"):
        assert word in page.words


def test_no_privacy_is_claimed(page):
    assert "no statement about privacy" in page.words
    assert len(re.findall("privacy|private", page.words)) == 1


def test_every_figure_is_whole_json_with_a_place(page):
    places = {a["id"] for tag, a in page.tags if tag == "div" and (a.get("id") or "").startswith("plot-")}
    assert {a["data-plot"] for tag, a in page.tags if tag == "script" and "data-plot" in a} == places
    assert len(page.figures) == len(places) == 13
    assert all(figure["data"] for figure in page.figures)


@pytest.mark.slow
def test_the_same_records_in_another_order_give_the_same_page(tmp_path, records, forecast, page):
    path = tmp_path / "again" / "report.html"
    again = Study.of(list(reversed(records)), excluded=EXCLUDED, proof=forecast)
    assert write_report(path, again, reproduce=COMMAND) == path
    assert path.read_text(encoding="utf-8") == page.html


@pytest.mark.slow
def test_every_text_from_outside_is_escaped(tmp_path):
    nasty = "<script>alert(1)</script>\"'&</script>"
    outside = {"name": nasty, "weights": nasty, "device": nasty, "versions": {nasty: nasty}}
    study = Study.of(planted_study.study(tmp_path, (16,), steps=400, **outside))
    assert title_of(study) == nasty
    page = Page(page_of(study, sentence=nasty, reproduce=nasty))
    assert "<script>alert" not in page.html
    assert page.words.count("alert(1)") > 10
    assert len(page.figures) == 12


@pytest.mark.slow
def test_a_title_of_ones_own_is_shown(tmp_path):
    page = Page(page_of(Study.of([]), title="Ours & theirs"))
    assert page.words.count("Ours & theirs") == 2


def test_no_section_comes_twice(page, grammar_page, text_page):
    for each in (page, grammar_page, text_page):
        assert len(set(each.sections)) == len(each.sections)
        assert each.sections[-3:] == ["checks", "definitions", "made"]


# --- the page of a grammar --------------------------------------------------------------------------------------------


def test_the_page_of_a_grammar_shows_the_diagram_and_the_price(grammar_page, grammar):
    assert "The phase diagram, and the price of stopping early" in grammar_page.words
    assert grammar_page.plots >= {"phase", "price", "levels-step", "levels-example"}
    for price in grammar.phase.price:
        assert f"{price.n_train:,}" in grammar_page.words
    for words in (
        "by copying",
        "learned",
        "9 of 21 runs",
        "up to level x",
        "Here x = 1, 2, 3.",
        "A sample is a copy if it is a training item.",
        "Samples before, at and after the onset",
        "novel and valid",
        "symbol by symbol",
    ):
        assert words in grammar_page.words, words
    assert "nearest training images" not in grammar_page.words


@pytest.mark.slow
def test_runs_of_a_grammar_that_saw_little_give_a_page(tmp_path):
    page = Page(page_of(Study.of(planted_grammar.study(tmp_path, (512, 1024), seeds=(0,), last=0.02))))
    assert "not reached" in page.words
    for figure in page.figures:
        json.dumps(figure, allow_nan=False)


@pytest.mark.slow
def test_one_run_of_a_grammar_gives_a_diagram_without_boundaries(tmp_path):
    page = Page(page_of(Study.of(planted_grammar.study(tmp_path, (256,), seeds=(0,)))))
    assert "The phase diagram" in page.words


# --- the page of texts ------------------------------------------------------------------------------------------------


def test_the_page_of_texts_shows_texts_bits_and_infilling(text_page):
    names = ("bits-step", "bits-example", "infilling-step", "infilling-example", "words", "divergence", "entropy")
    assert text_page.plots >= set(names)
    for words in (
        "Samples over their nearest training texts",
        "n-gram model with Kneser-Ney smoothing",
        "Texts filled in from memory",
        "copy · 0 % of the symbols differ",
        "symbol by symbol",
        "A sample is a copy if it differs from a training item at no more than 5 % of its positions.",
        f"{512 * WINDOW:,}",
    ):
        assert words in text_page.words, words
    assert "by pixels" not in text_page.words
    assert "nearest training image" not in text_page.words


def test_a_text_on_the_page_has_no_space_that_is_not_its_own(text_page, texts):
    (code, *_) = re.findall(r'<code role="img"[^>]*>(.*?)</code>', text_page.html, re.DOTALL)
    sample = exhibits_of(texts)[0].looks[0].samples[0]
    lines = [re.sub("<[^>]*>", "", line) for line in re.split('<span class="near">', code)]
    assert "\n" not in code
    assert sorted("".join(lines)) == sorted(sample.sample + sample.nearest)


@pytest.mark.slow
def test_a_run_on_texts_that_has_only_begun_gives_a_page(tmp_path):
    with RunRecord.open(tmp_path / "run", planted_text.header(32)) as record:
        pass
    page = Page(page_of(Study.of([record])))
    assert "No clock could be read" in page.words
    assert not page.figures


# --- all of them ------------------------------------------------------------------------------------------------------


def test_the_page_of_any_data_shows_regions_and_what_stopping_costs(page, study):
    assert {"phase", "stopping"} <= set(page.sections)
    assert page.plots >= {"phase", "stopping"}
    for words in ("learned", "tau_mem", "at the same look", "What stopping costs for want of data", study.phase.clock):
        assert words in page.words, words
    for size in study.price.sizes:
        assert f"{size.n_train:,}" in page.words


def test_the_figures_are_finite(page, grammar_page, text_page):
    for each in (page, grammar_page, text_page):
        for figure in each.figures:
            json.dumps(figure, allow_nan=False)
            assert figure["data"]


def test_a_study_has_no_section_of_another_kind(page, grammar_page, text_page):
    assert not {"strings", "texts", "bits", "infilling", "language"} & set(page.sections)
    assert not {"pictures", "texts", "bits", "infilling", "language"} & set(grammar_page.sections)
    assert not {"pictures", "strings"} & set(text_page.sections)
    for words in ("grammar", "up to level", "tau_level", "strings"):
        assert words not in page.words, words
    for each in (page, grammar_page):
        written = each.html.partition("<script>")[0].partition("plotly.js")[0]
        for words in ("its per symbol", "n-gram", "filled in", "alphabet", "--verbatim", "read like"):
            assert words not in written, words


# --- studies with little in them -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_no_runs_give_a_page_that_says_so():
    page = Page(page_of(Study.of([])))
    assert "There are no runs to report on yet." in page.words
    assert not page.figures


@pytest.mark.slow
def test_one_run_without_samples_or_twin_gives_a_page_that_says_so(tmp_path):
    records = planted_study.study(tmp_path / "runs", (32,), halves=(None,), steps=800, samples=False)
    page = Page(page_of(Study.of(records)))
    for words in (
        "No law yet",
        "tau_gap_sym could not be read: it needs two runs on disjoint halves",
        "tau_copy could not be read: it needs samples",
        "One seed only",
        "No run kept samples that can be shown",
        "a law needs located onsets at 2 or more sizes",
    ):
        assert words in page.words


@pytest.mark.slow
def test_a_run_that_has_only_begun_gives_a_page(tmp_path):
    with RunRecord.open(tmp_path / "run", planted_study.header(16)) as record:
        pass
    page = Page(page_of(Study.of([record])))
    assert "No clock could be read from these runs yet." in page.words


@pytest.mark.slow
def test_runs_that_ended_before_every_onset_give_a_page_that_says_so(tmp_path):
    records = planted_study.study(tmp_path / "runs", (256, 512), halves=(None,), steps=300)
    page = Page(page_of(Study.of(records)))
    assert "No law yet" in page.words
    assert "not reached when the run ended" in page.words


def test_a_measurement_that_ended_too_early_is_a_bound(records):
    made, seen = Interval(768.0, 640.0, 930.0, 0.9, 16), Interval(500.0, 500.0, np.inf, 0.9, 16)
    forecast = Forecast("tau_val", 64, made, seen)
    assert forecast.relative_error is None
    some = [record for record in records if record.header.half == "a" and record.header.data.n_train < 64]
    assert verdict(Study.of(some, proof=forecast)).endswith("; measured > 500.")


@pytest.mark.slow
def test_samples_that_are_no_images_give_a_page(tmp_path):
    path = tmp_path / "run"
    planted_study.study(tmp_path, (16,), halves=(None,), steps=300, samples=False)
    with RunRecord.open(path, planted_study.header(16)) as record:
        record.keep_arrays(10, {"samples": np.zeros((4, 9), dtype=np.int64)})
    page = Page(page_of(Study.of([RunRecord.read(path)])))
    assert "No run kept samples that can be shown" in page.words


@pytest.mark.slow
def test_batches_as_large_as_the_training_set_are_one_study(tmp_path):
    records = [
        record
        for size in (16, 32, 64)
        for record in planted_study.study(
            tmp_path / str(size), (size,), steps=1500, halves=(None,), samples=False, batch_size=size
        )
    ]
    page = Page(page_of(Study.of(records)))
    headline = re.search(r"<h1>(.*?)</h1>", page.html).group(1)
    assert "steps per example" in headline
    assert "at batch size" not in headline
    assert "One batch size only" not in page.words


# --- the verdict ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bend", "said"), [(0.2, "The line bends: its exponent changes by +0.20"), (0.0, "P^1")])
def test_the_verdict_says_whether_the_line_bends(records, monkeypatch, bend, said):
    steps = {p: 8 * p ** (1 + bend / 2 * np.log2(p / 64)) for p in (16, 32, 64, 128)}
    found = [(x * step, RunKey(p, 16)) for p, step in steps.items() for x in (0.99, 1.01)]
    onsets = tuple(Onset(step, step, step, "no", "tau_val", run) for step, run in found)
    monkeypatch.setattr(Study, "headline", ClockLaw("tau_val", onsets, onsets))
    words = verdict(Study.of(records[:1]))
    assert said in words
    assert ("bends" in words) == (bend > 0)


@pytest.mark.slow
def test_two_data_sets_in_one_get_the_true_reason_why_a_clock_has_no_law(records):
    others = []
    for record in records:
        data = record.header.data.model_copy(update={"name": "other"})
        header = record.header.model_copy(update={"name": "other", "data": data})
        others.append(RunRecord.of(header, [m for m in record.measurements if m.quantity == "heldout_loss"]))
    said = verdict(Study.of([*records, *others]))
    assert said.startswith("tau_gap_sym[0.2] grows as P^")
    assert said.endswith(
        "tau_val has no law: onsets of more than one data: Planted shapes, other; fit each data set by itself."
    )


def headline_of(onsets: list[Onset], monkeypatch, records) -> str:
    monkeypatch.setattr(Study, "onsets", tuple(onsets))
    return verdict(Study.of(records[:1]))


def placed(n_train: int, step: float, censored: str = "no", clock: str = "tau_gap[0.1]") -> Onset:
    high = np.inf if censored == "right" else step
    return Onset(step, step, high, censored, clock, RunKey(n_train, 16, seed=0))


@pytest.mark.slow
def test_two_onsets_at_one_size_and_four_bounds_make_no_headline_of_a_law(records, monkeypatch):
    onsets = [placed(16, 780), placed(16, 800), *(placed(n, 900, "right") for n in (32, 32, 64, 64))]
    said = headline_of(onsets, monkeypatch, records)
    assert said == (
        "No law yet for tau_gap[0.1] (2 of 6 located, at P = 16): a law needs located onsets at 2 or more sizes. "
        "Train longer, or at more sizes."
    )
    page = Page(page_of(Study.of(records[:1])))
    assert "Onsets, and no law yet" in page.words
    assert "steps per example" not in said


def test_an_exponent_of_which_nothing_is_known_is_said_to_say_nothing(records, monkeypatch):
    said = headline_of([placed(32, 200), placed(64, 900)], monkeypatch, records)
    assert "an interval so wide says next to nothing. Add sizes, or seeds." in said
    assert "steps per example" not in said


@pytest.mark.slow
def test_a_forecast_as_wide_as_a_guess_is_said_to_say_nothing(records):
    guess = Forecast("tau_val", 64, Interval(768.0, 100.0, 5000.0, 0.9, 16))
    assert "[100, 5,000] steps, which says next to nothing; not measured yet." in verdict(
        Study.of(records, proof=guess)
    )


@pytest.mark.slow
def test_the_page_says_a_forecast_in_three_units_and_what_its_run_differs_in(records):
    some = [record for record in records if record.header.data.n_train < 128]
    made = Study.of(some).forecast(128, target={"batch_size": 64, "weights": "ema", "augmentation": "flips"})
    page = Page(page_of(Study.of(records, excluded={128}, proof=made)))
    assert "in passes over the data" in page.words
    assert "The run differs from the pilots (averaged weights)" in page.words
    assert "as other studies showed it, not these pilots" in page.words
    assert "not recorded" in page.words


def test_a_probability_below_what_the_draws_tell_is_printed_as_a_bound(records, monkeypatch):
    onsets = [placed(p, 8 * p**1.5, clock="tau_val") for p in (16, 32, 64, 128) for _ in range(2)]
    assert "not in proportion to P (p < 0.0002)" in headline_of(onsets, monkeypatch, records)


def test_what_a_reader_must_know_stands_below_the_headline(page, study, grammar_page, grammar):
    for each, of in ((page, study), (grammar_page, grammar)):
        assert ("Before you believe it" in each.words) == bool(of.cautions)
        for sentence in of.cautions:
            assert sentence in each.words
    assert "P = 16 is no larger than the batch size (16)" in study.cautions[0]


@pytest.mark.slow
def test_a_collapse_above_1_is_explained(records, monkeypatch):
    falling = [placed(p, 900 * (1 + 0.2 * k) / p**0.02, clock="tau_val") for p in (32, 64, 128) for k in range(2)]
    monkeypatch.setattr(Study, "onsets", tuple(falling))
    study = Study.of(records[:1])
    assert study.headline.linear.collapse > 1
    assert "above 1, onsets lie further from that line than from one of no growth" in Page(page_of(study)).words


def test_a_page_of_what_is_no_study_is_refused_in_words(study, records, tmp_path):
    for path, wrong in ((study, tmp_path / "x.html"), (tmp_path / "x.html", records)):
        with pytest.raises(ConfigError, match=r"a page is of a Study.*the file first, then the study"):
            write_report(path, wrong)
