"""Two models from one noise, side by side: what is shown, what is marked, and what is said of it."""

import base64
import io
import re

import numpy as np
import planted_study
import pytest
from PIL import Image
from reading import Page

from taumem.analysis import Study
from taumem.record import RunRecord
from taumem.report import page_of
from taumem.report.exhibits import twin_exhibits
from taumem.report.exhibits.twins import N_MOMENTS, moments_to_show


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def pair(folder, arrays_of, steps=(10, 100), **more):
    """Two runs of twins that kept the given arrays, which no curve goes with."""
    for half in "ab":
        with RunRecord.open(folder / half, planted_study.header(16, half=half, **more)) as record:
            for step in steps:
                record.keep_arrays(step, arrays_of(half, step))
    return Study.of([RunRecord.read(folder / half) for half in "ab"])


def colors(half, step, *, n=3, channels=3):
    """Images of one color each, which says whose they are, when and which."""
    values = np.linspace(-1, 1, n)[:, None, None, None] * np.ones((n, channels, 8, 8))
    values[:, 0] = {"a": -1, "b": 1}[half]
    values[:, -1, :4] = step / 100
    return {"samples": values.astype(np.float32), "nearest": -values.astype(np.float32), "gap_ratio": np.full(n, 0.9)}


def test_the_pairs_on_the_fewest_and_on_the_most_examples_are_shown(study):
    shown = twin_exhibits(study)
    assert [re.match(r"P = (\d+)", each.title)[1] for each in shown] == ["16", "128"]


@pytest.mark.slow
def test_each_noise_has_both_models_samples_over_their_nearest_training_images(study):
    a, b = study.twins[0]
    exhibit = twin_exhibits(study)[0]
    assert len(exhibit.noises) == 4
    for k, rows in enumerate(exhibit.noises):
        assert [row.name for row in rows] == ["model A", "nearest of A's set", "model B", "nearest of B's set"]
        for row, record, array in zip(rows, (a, a, b, b), ("samples", "nearest") * 2, strict=True):
            for moment, uri in zip(exhibit.moments, row.images, strict=True):
                kept = record.arrays(moment.step)[array][k, 0]
                seen = pixels(uri)[::5, ::5, 0]  # each pixel is enlarged to 5 x 5
                assert np.abs(seen - (np.clip(kept, -1, 1) + 1) * 127.5).max() <= 0.5 + 1e-3


def test_the_look_nearest_to_the_clock_of_both_is_marked(study):
    a, b = study.twins[0]
    exhibit = twin_exhibits(study)[0]
    both = [o.step for o in study.onsets if o.clock == "tau_val" and o.run in (a.header.key, b.header.key)]
    tau = np.sqrt(np.prod(both))
    steps = [step for step in a.array_steps() if step > 0]
    assert len(both) == 2
    (marked,) = [moment for moment in exhibit.moments if moment.mark]
    assert marked.mark == "tau_val"
    assert marked.step == min(steps, key=lambda step: abs(np.log(step / tau)))


def test_copies_are_framed_and_counted(study):
    a, b = study.twins[0]
    exhibit = twin_exhibits(study)[0]
    for rows in exhibit.noises:
        assert not any(rows[1].copied + rows[3].copied)
    last = exhibit.moments[-1]
    assert exhibit.noises[0][0].copied[-1] == bool(a.arrays(last.step)["gap_ratio"][0] < 1 / 3)
    counted = [float(record.curve("copy_fraction").values[-1]) for record in (a, b)]
    assert list(last.copies) == counted
    assert f"copies {counted[0]:.0%}".replace("%", " %") in exhibit.sentence


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_color_images_are_shown_as_they_are(tmp_path, channels):
    study = pair(tmp_path, lambda half, step: colors(half, step, channels=channels))
    (exhibit,) = twin_exhibits(study)
    top = pixels(exhibit.noises[1][2].images[0])[-1, -1]  # the second noise, model B, at first: below the mark of time
    assert top.tolist() == ([255] * 3 if channels == 1 else [255, 128, 128])


@pytest.mark.slow
def test_without_the_nearest_images_samples_stand_alone_and_the_page_says_so(tmp_path):
    def alone(half, step):
        return {"samples": colors(half, step)["samples"]}

    study = pair(tmp_path, alone)
    (exhibit,) = twin_exhibits(study)
    assert [row.name for row in exhibit.noises[0]] == ["model A", "model B"]
    text = Page(page_of(study)).words
    assert "The records do not hold the nearest training images, so samples stand alone." in text
    assert "tau_val was not located for both, so no column is marked" in text


def test_looks_that_only_one_of_the_two_has_are_left_out(tmp_path):
    for half, steps in (("a", (10, 50, 100)), ("b", (10, 100, 200))):
        with RunRecord.open(tmp_path / half, planted_study.header(16, half=half)) as record:
            for step in steps:
                record.keep_arrays(step, colors(half, min(step, 100)))
    (exhibit,) = twin_exhibits(Study.of([RunRecord.read(tmp_path / half) for half in "ab"]))
    assert [moment.step for moment in exhibit.moments] == [10, 100]


@pytest.mark.slow
def test_a_study_without_twins_or_without_pictures_of_them_shows_nothing(tmp_path, grammar):
    single = Study.of(planted_study.study(tmp_path / "single", (16,), halves=(None,), steps=1000))
    unsampled = Study.of(planted_study.study(tmp_path / "unsampled", (16,), samples=False, steps=1000))
    for study in (single, unsampled, grammar):
        assert twin_exhibits(study) == []
    assert 'id="twins"' not in page_of(single)


@pytest.mark.parametrize("at", [None, 8, 100, 4096])
def test_few_looks_are_chosen_with_the_ends_and_the_clock(at):
    steps = [8, 11, 16, 32, 64, 100, 128, 256, 512, 1024, 2048, 4096]
    chosen = moments_to_show(steps, at)
    assert chosen == sorted(set(chosen))
    assert {chosen[0], chosen[-1]} == {8, 4096}
    assert len(chosen) <= N_MOMENTS
    assert at is None or at in chosen


@pytest.mark.slow
def test_the_page_shows_the_twins_with_words_for_those_who_do_not_see_them(page, study):
    html = page_of(study)
    section = re.search(r'<section id="twins">.*?</section>', html, re.DOTALL)[0]
    exhibits = twin_exhibits(study)
    n_images = sum(len(row.images) for each in exhibits for rows in each.noises for row in rows)
    assert section.count("<img ") == section.count('alt="') == n_images
    assert section.count("tau_val</th>") >= 4
    assert "This page holds training images" in section
