"""An audit can be made again, and says what differs where something was changed."""

import hashlib
import json

import numpy as np
import pytest
import torch
from pictures import fresh

from taumem.audit import audit, verify
from taumem.errors import RecordError


@pytest.fixture
def folder(tmp_path):
    train = fresh(40, 1)
    sets = {"generated": torch.cat([fresh(30, 3), train[:8]]), "train": train, "heldout": fresh(60, 2)}
    for name, pictures in sets.items():
        np.save(tmp_path / f"{name}.npy", ((pictures + 1) * 127.5).round().byte().numpy()[:, 0])
    audit(*(tmp_path / f"{name}.npy" for name in sets), orbit="none", output=tmp_path / "audit", seed=3)
    return tmp_path


def test_an_untouched_audit_agrees(folder):
    found = verify(folder / "audit")
    assert found.agrees, found.differences
    assert found.compared > 100


def test_a_number_that_was_changed_is_named(folder):
    file = folder / "audit" / "audit.json"
    content = json.loads(file.read_text())
    content["copies"]["count"] += 1
    file.write_text(json.dumps(content))
    assert any(line.startswith("copies.count") for line in verify(folder / "audit").differences)


def test_an_input_that_was_changed_is_named(folder):
    pictures = np.load(folder / "train.npy")
    pictures[0, 0, 0] += 1
    np.save(folder / "train.npy", pictures)
    assert any(line.startswith("inputs.train.digest") for line in verify(folder / "audit").differences)


def test_findings_that_were_changed_are_named(folder):
    file = folder / "audit" / "findings.csv"
    file.write_text(file.read_text().replace("True", "False"))
    assert any(line.startswith("findings.csv") for line in verify(folder / "audit").differences)


def test_inputs_that_moved_can_be_named_and_are_asked_for(folder):
    (folder / "train.npy").rename(folder / "elsewhere.npy")
    with pytest.raises(RecordError, match=r"by train \(--train\)"):
        verify(folder / "audit")
    assert verify(folder / "audit", train=folder / "elsewhere.npy").agrees


def test_a_gallery_that_was_changed_is_named(folder):
    file = folder / "audit" / "gallery.json"
    file.write_text(
        file.read_text().replace('"copied":true', '"copied":false').replace('"copied": true', '"copied": false')
    )
    assert any(line.startswith("pairs.0.copied") for line in verify(folder / "audit").differences)


def test_a_tiny_p_that_was_changed_is_named(folder):
    file = folder / "audit" / "audit.json"
    content = json.loads(file.read_text())
    content["copies"]["p"] /= 2
    file.write_text(json.dumps(content))
    assert any(line.startswith("copies.p") for line in verify(folder / "audit").differences)


def test_findings_that_were_replaced_together_with_their_hash_are_named(folder):
    file = folder / "audit" / "findings.csv"
    file.write_text(file.read_text().replace("True", "False"))
    content = json.loads((folder / "audit" / "audit.json").read_text())
    content["findings"]["findings.csv"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "audit" / "audit.json").write_text(json.dumps(content))
    assert verify(folder / "audit").differences == ("findings.csv: its rows are not those that the inputs give",)


def test_what_is_no_audit_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no audit can be read"):
        verify(tmp_path)
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(RecordError, match="not the record of an audit"):
        verify(tmp_path)
