"""An audit can be made again, and says what differs where something was changed."""

import hashlib
import json

import numpy as np
import pytest
import torch
from pictures import fresh

from taumem.audit import audit, verify
from taumem.errors import RecordError
from taumem.record.audit import AuditRecord


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


@pytest.mark.slow
def test_a_number_that_was_changed_is_named(folder):
    file = folder / "audit" / "audit.json"
    content = json.loads(file.read_text())
    content["copies"]["count"] += 1
    file.write_text(json.dumps(content))
    assert any(line.startswith("copies.count") for line in verify(folder / "audit").differences)


@pytest.mark.slow
def test_an_input_that_was_changed_is_named(folder):
    pictures = np.load(folder / "train.npy")
    pictures[0, 0, 0] += 1
    np.save(folder / "train.npy", pictures)
    assert any(line.startswith("inputs.train.digest") for line in verify(folder / "audit").differences)


@pytest.mark.slow
def test_other_inputs_are_told_before_the_numbers_that_come_of_them(folder):
    pictures = np.load(folder / "generated.npy")
    np.save(folder / "generated.npy", pictures[::-1] // 2)
    np.save(folder / "heldout.npy", np.load(folder / "heldout.npy")[:50])
    found = verify(folder / "audit")
    assert found.other_inputs == ("samples", "held-out items")
    assert [line.partition(":")[0] for line in found.differences[:2]] == [
        "inputs.generated.digest",
        "inputs.heldout.digest",
    ]
    assert not any(".digest" in line for line in found.differences[2:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report.html", "model-card.md"])
def test_pages_that_were_changed_are_named(folder, name):
    place = folder / "audit"
    for file in ("report.html", "model-card.md"):
        (place / file).write_text("88 of 512", encoding="utf-8")
    AuditRecord.read(place).noting(place, "report.html", "model-card.md").write(place)
    assert verify(place).agrees
    (place / name).write_text("0 of 512", encoding="utf-8")
    assert verify(place).differences == (f"{name}: was changed since it was written",)


def embed(images):
    return images.mean(dim=(2, 3))


@pytest.mark.slow
def test_what_was_given_in_python_is_asked_for_and_taken(folder):
    sets = {name: np.load(folder / f"{name}.npy") for name in ("generated", "train", "heldout")}
    given = {"groups": ([f"{k // 2}" for k in range(40)], [f"of {k}" for k in range(60)])}
    given |= {"losses": (np.arange(40.0), np.arange(60.0)), "features": embed}
    audit(**sets, **given, orbit="none", output=folder / "b")
    with pytest.raises(RecordError, match=r"samples were given in Python; .*generated=\.\.\.\)"):
        verify(folder / "b")
    for name in given:
        rest = {key: value for key, value in given.items() if key != name}
        with pytest.raises(RecordError, match=rf"the audit's {name} were given in Python.*{name}=\.\.\."):
            verify(folder / "b", **sets, **rest)
    assert verify(folder / "b", **sets, **given).differences == ()


@pytest.mark.slow
def test_a_redacted_record_says_nowhere_where_its_inputs_are(folder):
    secret = folder / "secret"
    secret.mkdir()
    for name in ("generated", "train", "heldout"):
        (folder / f"{name}.npy").rename(secret / f"{name}.npy")
    (secret / "groups.json").write_text(json.dumps([f"g{k}" for k in range(100)]))
    (secret / "mine.py").write_text("def embed(x):\n    return x.mean(dim=2).flatten(1)\n")
    sets = {name: secret / f"{name}.npy" for name in ("generated", "train", "heldout")}
    given = {"groups": secret / "groups.json", "features": f"{secret}/mine.py:embed"}
    audit(**sets, **given, orbit="none", output=folder / "c", redact=True)
    for file in ("audit.json", "gallery.json", "findings.csv"):
        assert "secret" not in (folder / "c" / file).read_text()
    with pytest.raises(RecordError, match=r"is redacted, .* say so by generated \(--generated\), train"):
        verify(folder / "c")
    with pytest.raises(RecordError, match=r"is redacted, .* its (groups|features) are"):
        verify(folder / "c", **sets)
    assert verify(folder / "c", **sets, **given).differences == ()
    (folder / "c" / "findings.csv").write_text("sample\n0\n")
    assert verify(folder / "c", **sets, **given).differences


@pytest.mark.slow
def test_findings_that_were_changed_are_named(folder):
    file = folder / "audit" / "findings.csv"
    file.write_text(file.read_text().replace("True", "False"))
    assert any(line.startswith("findings.csv") for line in verify(folder / "audit").differences)


@pytest.mark.slow
def test_inputs_that_moved_can_be_named_and_are_asked_for(folder):
    (folder / "train.npy").rename(folder / "elsewhere.npy")
    with pytest.raises(RecordError, match=r"by train \(--train\)"):
        verify(folder / "audit")
    assert verify(folder / "audit", train=folder / "elsewhere.npy").agrees


@pytest.mark.slow
def test_a_gallery_that_was_changed_is_named(folder):
    file = folder / "audit" / "gallery.json"
    file.write_text(
        file.read_text().replace('"copied":true', '"copied":false').replace('"copied": true', '"copied": false')
    )
    assert any(line.startswith("pairs.0.copied") for line in verify(folder / "audit").differences)


@pytest.mark.slow
def test_a_tiny_p_that_was_changed_is_named(folder):
    file = folder / "audit" / "audit.json"
    content = json.loads(file.read_text())
    content["copies"]["p"] /= 2
    file.write_text(json.dumps(content))
    assert any(line.startswith("copies.p") for line in verify(folder / "audit").differences)


@pytest.mark.slow
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
