"""taumem scan, as a user meets it: what it prints and writes, and its exit codes."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from taumem.cli import app, main
from taumem.monitor.checkpoint_names import NAMINGS
from taumem.record import RunRecord

GUIDE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
_spec = importlib.util.spec_from_file_location(
    "scanned_runs", Path(__file__).parents[1] / "monitor" / "scanned_runs.py"
)
runs = importlib.util.module_from_spec(_spec)
sys.modules["scanned_runs"] = runs
_spec.loader.exec_module(runs)


def taumem(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["scan", *map(str, arguments)])
    return int(leaving.value.code or 0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    runs.perturbed(folder / "net", 9)
    (folder / "net" / "checkpoint-100.safetensors").write_bytes(b"")
    runs.probe_file(folder, runs.PROBE + "\nprint('hello from the probe file')\n" + runs.SAMPLE)
    return folder


@pytest.mark.slow
def test_it_says_which_to_keep_and_writes_a_record_and_a_page(place, tmp_path, capsys):
    assert taumem(place / "net", "--with", place / "probe.py", "-o", tmp_path / "scan", "--samples", 0) == 0
    printed, noted = capsys.readouterr()
    assert "Keep checkpoint-" in printed
    assert re.search(r"^quality +[\d,]+  Its held-out loss is the lowest\.", printed, re.MULTILINE)
    assert re.search(r"^no_copies +-  Copies among samples: no samples were drawn\.", printed, re.MULTILINE)
    assert "passed over: checkpoint-100.safetensors: it is empty" in noted
    assert "hello from the probe file" in noted
    assert RunRecord.read(tmp_path / "scan").steps == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    page = (tmp_path / "scan" / "report.html").read_text(encoding="utf-8")
    assert "Keep checkpoint-" in page


@pytest.mark.slow
def test_json_is_one_object_also_where_the_probe_file_prints(place, tmp_path, capsys):
    options = ("--with", place / "probe.py", "-o", tmp_path / "scan", "--samples", 8, "--for-audit", 12, "--json")
    assert taumem(place / "net", *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "scan" / "scan.json").read_text())
    assert {"keep", "headline", "choice", "policies", "checkpoints", "passed_over", "onsets", "unit", "told"} <= set(
        found
    )
    assert [policy["policy"] for policy in found["policies"]] == ["quality", "balanced", "no_copies", "privacy"]
    assert {file.name for file in Path(found["audit"]).iterdir()} == {"generated.npy", "train.npy", "heldout.npy"}


@pytest.mark.slow
def test_where_no_samples_can_be_drawn_for_an_audit_the_scan_is_there_all_the_same(tmp_path, capsys):
    runs.perturbed(tmp_path / "net", 2)
    file = runs.probe_file(tmp_path)
    assert taumem(tmp_path / "net", "--with", file, "-o", tmp_path / "scan", "--for-audit", 12) == 2
    assert "samples are wanted, and it has no sample(model, n, generator)" in capsys.readouterr().err
    assert json.loads((tmp_path / "scan" / "scan.json").read_text())["audit"] is None
    assert (tmp_path / "scan" / "report.html").exists()


def test_a_slip_is_one_line_and_exit_code_2(place, tmp_path, capsys):
    assert taumem(place / "nowhere", "--with", place / "probe.py", "-o", tmp_path / "scan") == 2
    assert "no such folder; expected the folder that holds the checkpoints" in capsys.readouterr().err
    assert not (tmp_path / "scan").exists()


@pytest.mark.slow
def test_an_onset_fails_a_scan_that_is_asked_to(tmp_path, capsys):
    runs.saved_run(tmp_path / "output", None)
    file = runs.probe_file(tmp_path)
    assert taumem(tmp_path / "output", "--with", file, "-o", tmp_path / "scan", "--fail-on", "onset") == 1
    assert "The gap between training and held-out loss has grown by" in capsys.readouterr().out
    assert (
        taumem(tmp_path / "output", "--with", file, "-o", tmp_path / "scan", "--rule", "quality", "--fail-on", "onset")
        == 0
    )


def test_every_option_and_every_trainer_stands_in_the_guide():
    table = GUIDE.partition("## Options")[2].partition("\n## ")[0]
    flags = {name for argument in app["scan"].assemble_argument_collection() for name in argument.names}
    flags = {name for name in flags if name.startswith("--") and not name.startswith("--no-")}
    assert set(re.findall(r"`(--[a-z-]+)`", table)) == flags - {"--checkpoints"}
    names = GUIDE.partition("## Names that are understood")[2].partition("\n## ")[0]
    assert [naming.template for naming in NAMINGS if naming.template not in names] == []
