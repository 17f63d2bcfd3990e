"""Inputs of an audit as they come: each ends in a stated result, or in one sentence on what is wrong and what to do."""

import csv
import json
import os

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from taumem.audit import audit, verify
from taumem.errors import ConfigError, DataError, RecordError, TaumemWarning

RNG = np.random.default_rng(0)
NAMES = [
    'it\'s "quoted" & <b onload=x>.png',
    "two\nlines.png",
    os.fsdecode(b"caf\xe9.png"),
    "%s{0}.png",
    "a,b;c\t.png",
    "=cmd().png",
    "`$(x)`.png",
]


def pixels(n, side=6):
    return RNG.integers(0, 256, (n, side, side, 3), np.uint8)


def folder(path, images, names=()):
    path.mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(path / (names[k] if k < len(names) else f"{k}.png"))
    return path


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    place, train = tmp_path_factory.mktemp("sets"), pixels(24)
    copies = np.concatenate([train[:4], pixels(8)])
    return (
        folder(place / "samples", copies, NAMES),
        folder(place / "train", train),
        folder(place / "heldout", pixels(12)),
    )


@pytest.mark.slow
def test_odd_names_go_through_to_record_rows_and_verification(sets, tmp_path):
    record = audit(*sets, orbit="none", output=tmp_path / "audit")
    shown = {name.encode("utf-8", "backslashreplace").decode() for name in NAMES}
    assert len({pair.sample for pair in record.pairs[:4]} & shown) == 4
    with (tmp_path / "audit" / "findings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    exact = pyarrow.parquet.read_table(tmp_path / "audit" / "findings.parquet").column("sample").to_pylist()
    assert "=cmd().png" in exact
    assert "'=cmd().png" in [row["sample"] for row in rows]
    assert not [row for row in rows for cell in (row["sample"], row["nearest"]) if cell[0] in "=+-@\t\r\n"]
    assert [row["sample"].removeprefix("'") for row in rows] == exact
    json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert verify(tmp_path / "audit").agrees


@pytest.mark.slow
def test_samples_that_are_the_training_items_are_all_copies_and_it_is_said(sets):
    record = audit(sets[1], sets[1], sets[2], orbit="none")
    assert record.copies.count == record.n_generated == 24
    assert "each is found to be a copy of itself" in record.inputs["generated"].notes[-1]
    hidden = audit(sets[1], sets[1], sets[2], orbit="none", limit=9, redact=True)
    assert "from the same place" in hidden.inputs["generated"].notes[-1]


def test_a_range_of_values_is_two_numbers(sets):
    with pytest.raises(ConfigError, match=r"value_range \(--value-range\) is two numbers"):
        audit(*sets, value_range=(0, 1, 2))


@pytest.mark.parametrize("n", [1, 2])
def test_few_training_items_are_refused_or_withheld(n):
    if n == 1:
        with pytest.raises((ConfigError, DataError), match="at least 2 distinct ones are needed; got 1"):
            audit(pixels(9), pixels(n), pixels(9), orbit="none")
    else:
        assert audit(pixels(9), pixels(n), pixels(9), orbit="none").verdict.state == "withheld"


def test_one_sample_is_too_little_for_a_verdict():
    assert audit(pixels(1), pixels(12), pixels(12), orbit="none").verdict.state == "withheld"


@pytest.mark.parametrize(
    ("images", "train"),
    [
        (np.zeros((9, 6, 6, 3), np.uint8), pixels(9)),
        (pixels(9, 2), pixels(9, 2)),
        (pixels(9)[..., 0], pixels(9)),
        (np.repeat(pixels(1), 9, axis=0), pixels(9)),
    ],
    ids=["constant", "2 x 2", "gray", "one image many times"],
)
def test_strange_images_are_audited(images, train):
    record = audit(images, np.concatenate([train, images[:1] if images.ndim == 4 else train[:1]]), orbit="light")
    assert record.n_generated == 9


def test_what_cannot_be_audited_is_refused_in_one_sentence(sets, tmp_path):
    samples, train, heldout = sets
    (tmp_path / "empty").mkdir()
    corrupt = folder(tmp_path / "corrupt", pixels(3))
    (corrupt / "1.png").write_bytes(b"no picture")
    nan = np.full((9, 5), np.nan)
    for given, message in (
        ((corrupt, train, heldout), r"1 of 3 images cannot be read: .*1\.png: not a readable image.*skip_unreadable"),
        (
            (folder(tmp_path / "large", pixels(3, 9)), train, heldout),
            r"sizes: samples 9x9, .* to one by size",
        ),
        ((tmp_path / "empty", train, heldout), "this folder is empty"),
        ((samples, tmp_path / "gone", heldout), "no such file or folder"),
        ((samples, train / "0.png", heldout), "a single picture; name the folder"),
        ((nan, np.zeros((9, 5))), "9 of 9 items hold NaN"),
        ((pixels(9).reshape(9, -1), RNG.normal(size=(9, 108))), "samples are tokens .* and training items vectors"),
        ((samples, train, train), "the held-out items .* are the training items"),
        ((samples, train, samples), "the held-out items .* are the samples"),
        ((samples, ["a", "b"], heldout), "samples are images and training items texts"),
    ):
        with pytest.raises(DataError, match=message) as refusal:
            audit(*given)
        assert "\n" not in str(refusal.value)
        str(refusal.value).encode()


@pytest.mark.slow
def test_groups_of_a_file_keep_held_out_items_of_the_same_patient_out(sets, tmp_path):
    table = "".join(f"train/{k}.png,p{k // 2}\nheldout/{k}.png,p{k // 2 + 10}\n" for k in range(12))
    (tmp_path / "groups.csv").write_text("name,group\n" + table, encoding="utf-8")
    with pytest.warns(TaumemWarning, match="12 of 36 items have no group there"):  # train/12.png and so on
        record = audit(*sets, orbit="none", groups=tmp_path / "groups.csv")
    assert record.duplicates.n_groups == 6 + 12
    assert record.duplicates.heldout_grouped == 0
    (tmp_path / "groups.csv").write_text(table.replace("p10", "p0"), encoding="utf-8")
    with pytest.warns(TaumemWarning):
        assert audit(*sets, orbit="none", groups=tmp_path / "groups.csv").duplicates.heldout_grouped == 2
    (tmp_path / "groups.csv").write_text("0.png,p0\n1.png,p1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"none of the 36 items is in it.*with the folder in front"):
        audit(*sets, orbit="none", groups=tmp_path / "groups.csv")


@pytest.mark.slow
def test_other_features_in_the_same_file_are_another_audit(sets, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text("def embed(x):\n    return x.mean(dim=(2, 3))\n")
    record = audit(*sets, features=f"{code}:embed", output=tmp_path / "audit")
    assert record.settings["features"] == f"{code}:embed"
    assert verify(tmp_path / "audit").agrees
    code.write_text("def embed(x):\n    return x.mean(dim=(2, 3)) + 1e-9\n")
    assert any("features_sha256" in difference for difference in verify(tmp_path / "audit").differences)


def test_a_record_that_is_none_is_refused(tmp_path):
    for content in (b"", b"{}", b"\xff\xfe", b"[" * 10_000, b'{"schema_version": 99}'):
        (tmp_path / "audit.json").write_bytes(content)
        with pytest.raises(RecordError, match=r"audit\.json"):
            verify(tmp_path)
