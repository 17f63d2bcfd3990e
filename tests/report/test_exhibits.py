"""Samples on the page: one rule says which looks are shown, and each kind of item is shown as what it is."""

import base64
import io
import re

import numpy as np
import planted_grammar
import planted_study
import planted_text
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from planted_grammar import DEPTH
from planted_text import ALPHABET
from reading import Page

from taumem.analysis import Onset
from taumem.record import CopyRule, RunKey
from taumem.report import page_of
from taumem.report.exhibits import exhibits_of
from taumem.report.exhibits.exhibit import looks_to_show
from taumem.report.exhibits.texts import _marks, chunks_of, longest


@pytest.fixture(scope="module")
def exhibits(study):
    return exhibits_of(study)


def own_onset(study, clock, record):
    (onset,) = [o for o in study.onsets if o.clock == clock and o.run == record.header.key]
    return onset


def said(header, kind):
    return header.model_copy(update={"data": header.data.model_copy(update={"kind": kind})})


# --- which looks ------------------------------------------------------------------------------------------------------


def onset_at(step, low, high, censored="no"):
    return Onset(step, low, high, censored, "tau_val", RunKey(16, 16))


@pytest.mark.parametrize(
    ("onset", "shown"),
    [
        (None, [("early", 10), ("midway", 80), ("late", 640)]),
        (onset_at(90, 70, 95), [("before", 20), ("at the onset", 80), ("after", 640)]),
        (onset_at(113, 80, 160, "interval"), [("before", 40), ("at the onset", 160), ("after", 640)]),
        (onset_at(12, 11, 13), [("at the onset", 10), ("after", 640)]),
        (onset_at(600, 500, 700), [("before", 160), ("at the onset", 640)]),
    ],
    ids=["no onset", "located", "between two looks: at the later one", "nothing before it", "nothing after it"],
)
def test_a_look_before_one_at_and_one_after_the_onset_are_shown(onset, shown):
    assert looks_to_show([0, 10, 20, 40, 80, 160, 320, 640], onset) == shown


def test_a_run_without_looks_shows_none():
    assert looks_to_show([0], None) == []


def test_the_smallest_and_the_largest_size_are_shown_around_their_own_onsets(study, exhibits):
    titles = {16: "P = 16", 128: "P = 128 (kept out of every fit)"}
    assert [e.title.partition(" ·")[0] for e in exhibits] == list(titles.values())
    for exhibit, size in zip(exhibits, titles, strict=True):
        record = next(r for r in study.records if r.header.data.n_train == size)
        onset = own_onset(study, "tau_val", record)
        assert exhibit.kind == "images"
        assert exhibit.title.endswith(f"tau_val = {onset.step:.3g} steps")
        names, steps = zip(*((look.name, look.step) for look in exhibit.looks), strict=True)
        assert names == ("before", "at the onset", "after")
        assert steps[0] < onset.step < steps[2]
        assert steps[1] == min(record.array_steps(), key=lambda step: abs(np.log(step / onset.step)))
        assert [look.words.partition(" ·")[0] for look in exhibit.looks][2] == f"{3000 / size:.3g} steps per example"


def test_the_exhibits_are_the_same_each_time(study, exhibits):
    assert exhibits_of(study) == exhibits


# --- pictures ---------------------------------------------------------------------------------------------------------


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_copies_are_those_below_the_ratio_and_come_late(study, exhibits):
    before, _, after = exhibits[0].looks
    assert not any(sample.copied for sample in before.samples)
    ratios = study.records[0].arrays(after.step)["gap_ratio"][: len(after.samples)]
    assert [sample.copied for sample in after.samples] == (ratios < 1 / 3).tolist()
    assert any(sample.copied for sample in after.samples)


def test_a_picture_holds_both_images_pixel_by_pixel(study, exhibits):
    look = exhibits[0].looks[0]
    arrays = study.records[0].arrays(look.step)
    image = np.asarray(picture(look.samples[0].image).convert("L"))
    scale = image.shape[0] // planted_study.SIDE
    expected = np.clip(np.round((arrays["samples"][0, 0] + 1) * 127.5), 0, 255)
    assert image[::scale, : planted_study.SIDE * scale : scale] == pytest.approx(expected, abs=1)
    near = np.clip(np.round((arrays["nearest"][0, 0] + 1) * 127.5), 0, 255)
    assert image[::scale, -planted_study.SIDE * scale :: scale] == pytest.approx(near, abs=1)


def image_arrays(*ratios, shape=(1, 8, 8)):
    images = np.random.default_rng(0).uniform(-1, 1, (len(ratios), *shape))
    return {"samples": images, "nearest": images, "gap_ratio": np.array(ratios)}


def test_large_color_images_are_reduced(one_run):
    study = one_run(planted_study.header(32), image_arrays(0.1, 0.5, np.nan, shape=(3, 200, 160)))
    samples = exhibits_of(study)[0].looks[0].samples
    assert picture(samples[0].image).height <= 128
    assert len(samples[0].image) < 60_000
    assert [sample.copied for sample in samples] == [True, False, False]
    assert [sample.description.partition("image")[2] for sample in samples] == [
        ", gap ratio 0.100 (copy)",
        ", gap ratio 0.500",
        "",
    ]


def test_without_ratios_none_is_a_copy(one_run):
    arrays = image_arrays(0.1, 0.1)
    del arrays["gap_ratio"]
    samples = exhibits_of(one_run(planted_study.header(32), arrays))[0].looks[0].samples
    assert [sample.copied for sample in samples] == [False, False]


@pytest.mark.slow
def test_a_copy_is_what_the_run_counted_as_one_and_the_page_says_by_which_rule(one_run):
    header = planted_study.header(32, copy_rule=CopyRule(measure="gap_ratio", threshold=0.6))
    study = one_run(header, image_arrays(0.5, 0.7))
    assert [sample.copied for sample in exhibits_of(study)[0].looks[0].samples] == [True, False]
    page = Page(page_of(study))
    assert "A sample is a copy if its nearest training item is nearer than 0.6 of the way to the second" in page.words
    assert "1/3" not in page.words


# --- strings ----------------------------------------------------------------------------------------------------------


def test_strings_are_shown_with_what_they_are(grammar):
    shown = exhibits_of(grammar)
    assert [(e.kind, e.title.partition(" ·")[0]) for e in shown] == [("strings", "P = 32"), ("strings", "P = 2,048")]
    for exhibit, record in zip(shown, (grammar.records[0], grammar.records[-3]), strict=True):
        assert [look.name for look in exhibit.looks] == ["before", "at the onset", "after"]
        assert exhibit.looks[1].step == own_onset(grammar, "tau_copy[0.05]", record).high
        for look in exhibit.looks:
            arrays = record.arrays(look.step)
            assert len(look.samples) == 12
            for sample, tokens, copied, level in zip(
                look.samples, arrays["samples"], arrays["copied"], arrays["level"], strict=False
            ):
                assert [ord(letter) - ord("a") for letter in sample.text] == tokens.tolist()
                assert (sample.copied, sample.grammar_level, sample.depth) == (copied, level, DEPTH)
                assert (sample.verdict == "copy") == copied
    assert all(sample.verdict == "novel and valid" for sample in shown[1].looks[0].samples)


def test_many_symbols_are_numbers_and_strings_without_levels_are_shown(one_run):
    samples = np.array([[0, 26, 3], [1, 2, 3]], dtype=np.int16)
    header = said(planted_study.header(16), "")
    study = one_run(header, {"samples": samples, "copied": np.array([True, False])})
    (exhibit,) = exhibits_of(study)
    assert [(s.text, s.verdict) for s in exhibit.looks[0].samples] == [("0 26 3", "copy"), ("1 2 3", "")]


# --- texts ------------------------------------------------------------------------------------------------------------


def test_texts_are_shown_over_their_nearest_training_texts(texts):
    shown = exhibits_of(texts)
    assert [(e.kind, e.title.partition(" ·")[0]) for e in shown] == [("texts", "P = 32"), ("texts", "P = 512")]
    for exhibit, record in zip(shown, (texts.records[0], texts.records[-2]), strict=True):
        assert [look.name for look in exhibit.looks] == ["before", "at the onset", "after"]
        for look in exhibit.looks:
            arrays = record.arrays(look.step)
            assert len(look.samples) == 6
            for k, sample in enumerate(look.samples):
                for text, tokens in ((sample.sample, "samples"), (sample.nearest, "nearest")):
                    assert [ALPHABET.index(letter) for letter in text] == arrays[tokens][k].tolist()
                assert sample.copied == arrays["copied"][k]
                assert sample.differing == pytest.approx(arrays["hamming"][k])
    assert not any(sample.copied for sample in shown[0].looks[0].samples)
    assert any(sample.copied for sample in shown[0].looks[2].samples)


@settings(max_examples=200)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_longest_passage_is_found(agree):
    begin, end = longest(np.array(agree))
    runs = re.findall("1+", "".join("01"[a] for a in agree))
    assert end - begin == max(map(len, runs), default=0)
    assert all(agree[begin:end])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_pieces_make_up_both_texts_and_marks_say_where_they_agree(pairs):
    sample, nearest = ("".join(letters) for letters in zip(*pairs, strict=True))
    chunks = chunks_of(sample, nearest, _marks(np.array([a == b for a, b in pairs])))
    stretches = [stretch for chunk in chunks for stretch in chunk]
    assert "".join(s.sample for s in stretches) == sample
    assert "".join(s.nearest for s in stretches) == nearest
    assert all(sum(len(s.sample) for s in chunk) == 8 for chunk in chunks[:-1])
    for stretch in stretches:
        agree = {a == b for a, b in zip(stretch.sample, stretch.nearest, strict=True)}
        assert agree == {bool(stretch.mark)}
    verbatim = "".join(s.sample for s in stretches if s.mark == "verbatim")
    assert not verbatim or (len(verbatim) >= 8 and verbatim in sample and verbatim in nearest)


def text_arrays(samples):
    samples = np.array(samples, dtype=np.int16)
    return {
        "samples": samples,
        "nearest": samples,
        "hamming": np.zeros(len(samples), np.float32),
        "copied": np.ones(len(samples), bool),
    }


def test_signs_that_cannot_be_seen_and_masks_have_one_that_can(one_run):
    study = one_run(planted_text.header(32, alphabet="\n\tß \x07"), text_arrays([[0, 1, 2, 3, 4, 5, 99]]))
    (sample,) = exhibits_of(study)[0].looks[0].samples
    assert sample.sample == "↵⇥ß �░�"
    assert sample.verdict == "copy · 0 % of the symbols differ"


@pytest.mark.slow
def test_markup_in_a_text_is_shown_and_not_obeyed(one_run):
    nasty = "<b>&\"'"
    study = one_run(planted_text.header(32, alphabet=nasty), text_arrays([range(len(nasty))]), steps=(10,))
    page = Page(page_of(study))
    assert nasty in page.words
    assert "<b>" not in page.html.partition("<script>")[0]
    labels = [a["aria-label"] for tag, a in page.tags if tag == "code" and "aria-label" in a]
    assert labels == [f"sample: {nasty} – nearest training text: {nasty}"]


# --- which kind -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "kind", "arrays", "shown"),
    [
        (planted_study.header(32), "images", image_arrays(0.1, 0.5), ["images"]),
        (planted_study.header(32), "strings", image_arrays(0.1, 0.5), []),
        (planted_grammar.header(32), "strings", text_arrays([[0, 1]]), ["strings"]),
        (planted_text.header(32), "texts", text_arrays([[0, 1]]), ["texts"]),
        (planted_text.header(32), "images", text_arrays([[0, 1]]), []),
    ],
)
def test_a_kind_that_is_said_decides_how_samples_are_shown(one_run, header, kind, arrays, shown):
    assert [exhibit.kind for exhibit in exhibits_of(one_run(said(header, kind), arrays))] == shown


@pytest.mark.parametrize(
    ("header", "arrays", "shown"),
    [
        (planted_study.header(32), image_arrays(0.1, 0.5), ["images"]),
        (planted_grammar.header(32), text_arrays([[0, 1]]), ["strings"]),
        (planted_text.header(32), text_arrays([[0, 1]]), ["texts"]),
        (planted_text.header(32, alphabet=""), text_arrays([[0, 1]]), ["strings"]),
    ],
)
def test_where_no_kind_is_said_the_samples_show_it(one_run, header, arrays, shown):
    assert [exhibit.kind for exhibit in exhibits_of(one_run(said(header, ""), arrays))] == shown


@pytest.mark.parametrize("kind", ["", "vectors", "images"])
@pytest.mark.parametrize(
    "arrays",
    [
        {"samples": np.zeros((4, 2)), "nearest": np.zeros((4, 2))},
        {"samples": np.zeros((4, 64), dtype=np.int64), "nearest": np.zeros((4, 64), dtype=np.int64)},
        {"samples": np.zeros((4, 1, 8, 8))},
        {"samples": np.zeros((4, 5, 8, 8)), "nearest": np.zeros((4, 5, 8, 8))},
        {"samples": np.zeros((4, 2)), "copied": np.zeros(4, bool)},
        {"other": np.zeros(3)},
    ],
    ids=["vectors", "copies not kept", "no nearest", "five channels", "vectors and copies", "something else"],
)
def test_what_cannot_be_shown_is_passed_over(one_run, arrays, kind):
    assert exhibits_of(one_run(said(planted_study.header(32), kind), arrays)) == []
