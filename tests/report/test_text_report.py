"""Texts on the page: what agrees with the nearest training text is marked, and other studies show none of it."""

import json
import re
import subprocess

import numpy as np
import planted_grammar
import planted_study
import planted_text
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_text import ALPHABET, NGRAM_BITS, SIZES, WINDOW
from test_page import CHROMIUM, FLAGS, Page

from taumem.record import RunRecord
from taumem.report import Study, figures, write_report
from taumem.report.gallery import gallery
from taumem.report.strings import string_gallery
from taumem.report.texts import _chunks, _longest, text_gallery


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return planted_text.study(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def study(records):
    return Study.of(records)


@pytest.fixture(scope="module")
def written(tmp_path_factory, records):
    return write_report(tmp_path_factory.mktemp("page") / "report.html", records)


@pytest.fixture(scope="module")
def page(written):
    return Page(written)


def drawn(figure, **wanted):
    found = [t for t in figure.data if t.x[0] is not None and t.customdata is not None]
    return [t for t in found if all(getattr(t.line, name) == value for name, value in wanted.items())]


# --- texts over their nearest training texts --------------------------------------------------------------------------


def test_texts_are_shown_before_at_and_after_the_onset_over_their_nearest_training_texts(study):
    assert gallery(study) == string_gallery(study) == []
    shown = text_gallery(study)
    assert [e.title.partition(" ·")[0] for e in shown] == ["P = 32", "P = 512"]
    for exhibit, record in zip(shown, (study.records[0], study.records[-2]), strict=True):
        assert [m.name for m in exhibit.moments] == ["before", "at the onset", "after"]
        for moment in exhibit.moments:
            arrays = record.arrays(moment.step)
            assert len(moment.samples) == 6
            for k, sample in enumerate(moment.samples):
                for text, tokens in ((sample.sample, "samples"), (sample.nearest, "nearest")):
                    assert [ALPHABET.index(letter) for letter in text] == arrays[tokens][k].tolist()
                assert sample.copied == arrays["copied"][k]
                assert sample.differing == pytest.approx(arrays["hamming"][k])
    assert not any(s.copied for s in shown[0].moments[0].samples)
    assert any(s.copied for s in shown[0].moments[2].samples)


@settings(max_examples=200)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_longest_passage_is_found(agree):
    begin, end = _longest(np.array(agree))
    runs = re.findall("1+", "".join("01"[a] for a in agree))
    assert end - begin == max(map(len, runs), default=0)
    assert all(agree[begin:end])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_pieces_make_up_both_texts_and_marks_say_where_they_agree(pairs):
    sample, nearest = ("".join(letters) for letters in zip(*pairs, strict=True))
    chunks = _chunks(sample, nearest, np.array([a == b for a, b in pairs]))
    stretches = [stretch for chunk in chunks for stretch in chunk]
    assert "".join(s.sample for s in stretches) == sample
    assert "".join(s.nearest for s in stretches) == nearest
    assert all(sum(len(s.sample) for s in chunk) == 8 for chunk in chunks[:-1])
    for stretch in stretches:
        agree = {a == b for a, b in zip(stretch.sample, stretch.nearest, strict=True)}
        assert agree == {bool(stretch.mark)}
    verbatim = "".join(s.sample for s in stretches if s.mark == "verbatim")
    assert not verbatim or (len(verbatim) >= 8 and verbatim in sample and verbatim in nearest)


def one_run(folder, arrays, **more):
    with RunRecord.open(folder, planted_text.header(32, **more)) as record:
        record.keep_arrays(10, arrays)
    return Study.of([RunRecord.read(folder)])


def text_arrays(samples):
    samples = np.array(samples, dtype=np.int16)
    return {
        "samples": samples,
        "nearest": samples,
        "hamming": np.zeros(len(samples), np.float32),
        "copied": np.ones(len(samples), bool),
    }


def test_signs_that_cannot_be_seen_and_masks_have_one_that_can(tmp_path):
    study = one_run(tmp_path / "run", text_arrays([[0, 1, 2, 3, 4, 5, 99]]), alphabet="\n\tß \x07")
    (sample,) = text_gallery(study)[0].moments[0].samples
    assert sample.sample == "↵⇥ß �░�"
    assert sample.verdict == "copy · 0 % of the symbols differ"


def test_without_an_alphabet_texts_are_strings_of_symbols(tmp_path):
    study = one_run(tmp_path / "run", text_arrays([[0, 1, 2]]), alphabet="")
    assert text_gallery(study) == []
    assert string_gallery(study)[0].moments[0].samples[0].text == "abc"


def test_markup_in_a_text_is_shown_and_not_obeyed(tmp_path):
    nasty = "<b>&\"'"
    study = one_run(tmp_path / "run", text_arrays([range(len(nasty))]), alphabet=nasty)
    page = Page(write_report(tmp_path / "report.html", study.records))
    assert nasty in page.words
    assert "<b>" not in page.html.partition("<script>")[0]
    labels = [a["aria-label"] for tag, a in page.tags if tag == "code" and "aria-label" in a]
    assert labels == [f"sample: {nasty} – nearest training text: {nasty}"]


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_example", [False, True])
def test_the_bits_are_those_of_the_records_with_the_ngram_model_of_each_size(study, per_example):
    figure = figures.bits(study, per_example=per_example)
    for quantity, dash in (("heldout_bits", "solid"), ("train_bits", "dot")):
        lines = drawn(figure, dash=dash)
        assert len(lines) == len(study.records)
        for line, record in zip(lines, study.records, strict=True):
            curve = record.curve(quantity)
            assert np.asarray(line.y) == pytest.approx(curve.values, rel=1e-6)
            assert np.asarray(line.x) == pytest.approx(curve.steps / (record.header.data.n_train if per_example else 1))
    levels = [t for t in figure.data if t.line.dash == "dash" and t.x[0] is not None]
    assert [t.y for t in levels] == [pytest.approx((NGRAM_BITS[size],) * 2) for size in SIZES]
    colors = {t.legendgroup: t.line.color for t in drawn(figure)}
    assert all(t.line.color == colors[t.legendgroup] for t in levels)
    names = [t.name for t in figure.data if t.showlegend is not False]
    assert names == ["P = 32", "P = 128", "P = 512", "held-out", "training", "held-out, n-gram model"]


def test_infilling_comes_with_its_exact_interval_and_chance(study):
    figure = figures.infilling(study)
    curve = study.records[0].curve("infill_copies")
    line, band = drawn(figure, dash="solid")[0], figure.data[0]
    assert np.asarray(line.y) == pytest.approx(curve.values, rel=1e-6)
    assert np.asarray(line.customdata)[:, 2] == pytest.approx(curve.low, rel=1e-6)
    assert np.asarray(band.y) == pytest.approx(np.concatenate([curve.high, curve.low[::-1]]))
    chances = drawn(figure, dash="dot")
    assert len(chances) == len(study.records)
    assert np.asarray(chances[0].y) == pytest.approx(study.records[0].curve("infill_copies_chance").values, rel=1e-6)


@pytest.mark.parametrize(
    ("draw", "quantity", "level"),
    [
        (figures.dictionary_words, "dictionary_words", 0.97),
        (figures.ngram_divergence, "ngram_divergence[3]", 0.31),
        (figures.entropy, "heldout_entropy", None),
    ],
)
def test_what_samples_read_like_is_that_of_the_records(study, draw, quantity, level):
    figure = draw(study)
    line = drawn(figure, dash="solid")[0]
    assert np.asarray(line.y) == pytest.approx(study.records[0].curve(quantity).values, rel=1e-6)
    dashed = [t.y[0] for t in figure.data if t.line.dash == "dash"]
    assert dashed == ([pytest.approx(level, abs=1e-3)] if level else [])


def test_every_color_has_one_for_the_night(study):
    night = figures.night(study.sizes)
    for draw in (figures.bits, figures.infilling, figures.dictionary_words, figures.ngram_divergence, figures.entropy):
        assert set(re.findall(r"#[0-9a-f]{6}", draw(study).to_json())) <= set(night)


@pytest.mark.parametrize(
    "draw", [figures.bits, figures.infilling, figures.dictionary_words, figures.ngram_divergence, figures.entropy]
)
def test_nothing_to_draw_gives_an_empty_figure(draw):
    assert not any(t.x is not None and t.x[0] is not None for t in draw(Study.of([])).data)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_texts_bits_and_infilling(page, study):
    keys = {a["data-plot"] for tag, a in page.tags if tag == "script" and "data-plot" in a}
    names = ("bits-step", "bits-example", "infilling-step", "infilling-example", "words", "divergence", "entropy")
    assert keys >= {f"plot-{name}" for name in names}
    for words in (
        "Samples over their nearest training texts",
        "n-gram model with Kneser-Ney smoothing",
        "Texts filled in from memory",
        "copy · 0 % of the symbols differ",
        "symbol by symbol",
        "differs from its nearest training text",
        f"{512 * WINDOW:,}",
    ):
        assert words in page.words, words
    assert "by pixels" not in page.words
    assert "nearest training image" not in page.words


def test_a_text_on_the_page_has_no_space_that_is_not_its_own(page, study):
    (code, *_) = re.findall(r'<code role="img"[^>]*>(.*?)</code>', page.html, re.DOTALL)
    sample = text_gallery(study)[0].moments[0].samples[0]
    lines = [re.sub("<[^>]*>", "", line) for line in re.split('<span class="near">', code)]
    assert "\n" not in code
    both = "".join(lines)
    assert sorted(both) == sorted(sample.sample + sample.nearest)


def test_the_page_has_whole_finite_json(page):
    for figure in page.figures:
        json.dumps(figure, allow_nan=False)
        assert figure["data"]


def test_a_run_that_has_only_begun_gives_a_page(tmp_path):
    with RunRecord.open(tmp_path / "run", planted_text.header(32)) as record:
        pass
    page = Page(write_report(tmp_path / "report.html", [record]))
    assert "No clock could be read" in page.words
    assert not page.figures


@pytest.mark.parametrize("planted", [planted_study, planted_grammar])
def test_studies_of_images_and_of_grammars_have_no_such_section(tmp_path, planted):
    options = {"steps": 400} if planted is planted_study else {"seeds": (0,)}
    page = Page(write_report(tmp_path / "report.html", planted.study(tmp_path / "runs", (64, 128), **options)))
    assert not [a for _, a in page.tags if a.get("id") == "texts"]
    for words in ("Bits per symbol", "bits per symbol", "n-gram", "filled in", "alphabet", "--verbatim", "read like"):
        assert words not in page.html.partition("<script>")[0].partition("plotly.js")[0], words


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_the_texts_without_an_error(tmp_path, written, page, scheme):
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
