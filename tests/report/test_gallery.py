"""Samples beside their nearest training images."""

import base64
import io

import numpy as np
import planted_study
import pytest
from PIL import Image

from taumem.record import RunRecord
from taumem.report import Study
from taumem.report.gallery import gallery


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_the_smallest_and_the_largest_size_are_shown_before_at_and_after(study):
    shown = gallery(study)
    assert [e.title.partition(" ·")[0] for e in shown] == ["P = 16", "P = 128 (held back)"]
    for exhibit, size in zip(shown, (16, 128), strict=True):
        steps = [m.step for m in exhibit.moments]
        assert steps == sorted(set(steps))
        assert [m.name for m in exhibit.moments] == ["before", "at the onset", "after"]
        assert steps[0] < 6 * size < steps[2]
        assert steps[1] == pytest.approx(6 * size, rel=0.6)


def test_copies_are_those_below_the_ratio_and_come_late(study):
    before, _, after = gallery(study)[0].moments
    assert not any(pair.is_copy for pair in before.pairs)
    ratios = study.records[0].arrays(after.step)["gap_ratio"][: len(after.pairs)]
    assert [pair.is_copy for pair in after.pairs] == (ratios < 1 / 3).tolist()
    assert any(pair.is_copy for pair in after.pairs)


def test_a_picture_holds_both_images_pixel_by_pixel(study):
    moment = gallery(study)[0].moments[0]
    arrays = study.records[0].arrays(moment.step)
    image = np.asarray(picture(moment.pairs[0].image).convert("L"))
    scale = image.shape[0] // planted_study.SIDE
    expected = np.clip(np.round((arrays["samples"][0, 0] + 1) * 127.5), 0, 255)
    assert image[::scale, : planted_study.SIDE * scale : scale] == pytest.approx(expected, abs=1)
    near = np.clip(np.round((arrays["nearest"][0, 0] + 1) * 127.5), 0, 255)
    assert image[::scale, -planted_study.SIDE * scale :: scale] == pytest.approx(near, abs=1)


def test_the_gallery_is_the_same_each_time(study):
    assert gallery(study) == gallery(study)


def one_run(folder, arrays, steps=(10, 100)):
    with RunRecord.open(folder, planted_study.header(32)) as record:
        for step in steps:
            record.keep_arrays(step, arrays)
    return Study.of([RunRecord.read(folder)])


def test_large_color_images_are_reduced(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (3, 3, 200, 160))
    study = one_run(tmp_path, {"samples": images, "nearest": images, "gap_ratio": np.array([0.1, 0.5, np.nan])})
    pairs = gallery(study)[0].moments[0].pairs
    image = picture(pairs[0].image)
    assert image.height <= 128
    assert len(pairs[0].image) < 60_000
    assert [pair.is_copy for pair in pairs] == [True, False, False]


def test_without_an_onset_the_moments_are_early_midway_and_late(tmp_path):
    images = np.zeros((2, 1, 8, 8))
    study = one_run(tmp_path, {"samples": images, "nearest": images, "gap_ratio": np.ones(2)}, steps=(10, 20, 40))
    assert [(m.name, m.step) for m in gallery(study)[0].moments] == [("early", 10), ("midway", 20), ("late", 40)]


@pytest.mark.parametrize(
    "arrays",
    [
        {"samples": np.zeros((4, 2)), "nearest": np.zeros((4, 2))},
        {"samples": np.zeros((4, 64), dtype=np.int64), "nearest": np.zeros((4, 64), dtype=np.int64)},
        {"samples": np.zeros((4, 1, 8, 8))},
        {"samples": np.zeros((4, 5, 8, 8)), "nearest": np.zeros((4, 5, 8, 8))},
        {"other": np.zeros(3)},
    ],
    ids=["vectors", "tokens", "no nearest", "five channels", "something else"],
)
def test_what_is_no_image_is_passed_over(tmp_path, arrays):
    assert gallery(one_run(tmp_path, arrays)) == []
