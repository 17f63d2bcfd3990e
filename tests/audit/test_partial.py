"""Audits of images in which only a part is copied, or the same part recurs."""

import csv

import pytest
import torch

from taumem.audit import audit, partial
from taumem.data import load_fashion_mnist

OPTIONS = {"orbit": "none", "near_duplicates": False}


@pytest.fixture(scope="module")
def sets():
    images = load_fashion_mnist()
    samples = images[300:360].clone()
    samples[:15, :, 4:26, 4:26] = images[:15, :, 4:26, 4:26]
    samples[40:, :, :8, :8] = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    return samples, images[:100], images[400:480]


@pytest.fixture(scope="module")
def audited(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    return audit(*sets, output=folder, **OPTIONS), folder / "findings.csv"


@pytest.mark.slow
def test_copied_parts_are_counted_beside_chance_and_told_for_each_sample(audited):
    record, file = audited
    found = record.partial[0]
    assert found.name == "patch"
    assert found.samples.count >= 14
    assert found.chance.fraction < 0.1
    rows = {row["row"]: row for row in csv_rows(file)}
    sources = [int(rows[str(k)]["patch_of"]) for k in range(15)]
    assert sum(source == k for k, source in enumerate(sources)) >= 14
    assert record.copies.count < 5  # as a whole they are no copies


@pytest.mark.slow
def test_a_part_that_recurs_is_told_once(audited):
    (motif,) = audited[0].motifs
    assert 10 <= motif["n_samples"] <= 20
    assert motif["n_heldout"] == 0
    assert motif["row"] < 8
    assert motif["column"] < 8


@pytest.mark.slow
def test_parts_are_not_compared_where_that_takes_too_long_and_that_is_said(sets, monkeypatch):
    monkeypatch.setattr(partial, "MOST_PAIRS", 1000)
    record = audit(*sets, **OPTIONS)
    assert record.partial == ()
    assert any("pairs of patches would be compared" in reason.why for reason in record.not_run)


@pytest.mark.slow
def test_without_held_out_images_training_images_stand_in_for_parts(sets):
    record = audit(sets[0], sets[1], **OPTIONS)
    assert record.partial[0].chance.source == "left_out"
    assert record.motifs == ()
    assert "over-used patches" in [reason.what for reason in record.not_run]


def csv_rows(file):
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))
