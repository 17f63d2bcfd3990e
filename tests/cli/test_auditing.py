"""The verb audit: what it prints, what it writes, and how it ends; the audit itself is a planted one."""

import hashlib
import json
import re
import shlex
import warnings
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from planted_audit import audit_of

import taumem.audit
from taumem.cli import main
from taumem.cli.entry import app
from taumem.errors import DataError, TaumemWarning
from taumem.record.audit import AuditRecord, AuditVerdict, Control
from taumem.record.input_notes import ITSELF, SIGNED_FLOATS


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["audit", *map(str, arguments)])
    return leaving.value.code or 0


@pytest.fixture
def asked(monkeypatch) -> dict:
    """What the audit was asked for; the record that it is to find stands under ``finds``."""
    came: dict = {"finds": audit_of("vectors")}

    def audit(generated, train, heldout=None, *, groups=None, losses=None, stress=None, output, progress, **options):
        came.update(generated=generated, train=train, heldout=heldout, groups=groups, losses=losses, output=output)
        came["options"], came["stress"] = options, stress
        if "warns" in came:
            warnings.warn(came["warns"], TaumemWarning, stacklevel=2)
        progress("samples", 1, 1)
        came["finds"].write(output)
        return came["finds"]

    monkeypatch.setattr(taumem.audit, "audit", audit, raising=False)
    return came


def test_the_verdict_is_the_first_line_and_everything_fits_on_a_screen(asked, tmp_path, capsys):
    assert run("--train", "T", "--generated", "G", "-o", tmp_path / "audit") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == asked["finds"].verdict.sentence
    assert len(lines) <= 24
    printed = "\n".join(lines)
    for said in (
        "12 of 500", "0 of 200", "flagged", "C_T", "negative control passed", "would be excluded",
        "not looked at: Membership", "two-sided, 95 % each", "exclusions one-sided",
        "samples/00000.png", "report.html", "findings.csv",
    ):  # fmt: skip
        assert said in printed, said
    assert "rt(1)</script>\"'&\\n\\udcff.png" in printed


def test_what_is_written_is_a_folder_with_a_page_a_record_and_a_card(asked, tmp_path):
    run("--train", "T", "--generated", "G", "--heldout", "H", "-o", tmp_path / "audit")
    assert {file.name for file in (tmp_path / "audit").iterdir()} >= {"audit.json", "report.html", "model-card.md"}
    written = AuditRecord.read(tmp_path / "audit")
    assert written.model_copy(update={"findings": asked["finds"].findings}) == asked["finds"]
    for name in ("report.html", "model-card.md"):
        content = (tmp_path / "audit" / name).read_bytes()
        assert written.findings[name] == hashlib.sha256(content).hexdigest()
    assert asked["output"] == tmp_path / "audit"
    assert (asked["train"], asked["generated"], asked["heldout"]) == ("T", "G", "H")


def test_json_is_the_record_and_nothing_else(asked, tmp_path, capsys):
    assert run("--train", "T", "--generated", "G", "-o", tmp_path, "--json", "--fail-on", "flagged>100") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads((tmp_path / "audit.json").read_text())
    assert "passed: flagged>100" in captured.err


def test_only_what_was_given_is_asked_for(asked, tmp_path):
    run("--train", "T", "--generated", "G", "-o", tmp_path)
    assert asked["options"] == {}
    given = shlex.split(
        "--orbit light --rule gap<1/4 --q 0.1 --groups g.csv --losses run --features colors-and-edges --size 32 "
        "--stress s --window 64 --bytes --key x --limit 10 --skip-unreadable --no-parts --seed 3 --memory 1000000 "
        "--value-range -1 1.5 --no-near-duplicates --most-null 50"
    )
    run("--train", "T", "--generated", "G", "-o", tmp_path, *given)
    assert (asked["groups"], asked["losses"], asked["stress"]) == ("g.csv", "run", "s")
    assert asked["options"] == {
        "orbit": "light", "rule": "gap<1/4", "q": 0.1, "features": "colors-and-edges", "size": 32, "window": 64,
        "as_bytes": True, "key": "x", "limit": 10, "skip_unreadable": True, "parts": False, "seed": 3,
        "memory": 1000000, "value_range": (-1.0, 1.5), "near_duplicates": False, "most_null": 50,
    }  # fmt: skip


def test_the_command_on_the_page_asks_for_the_same(asked, tmp_path):
    arguments = [
        "--train",
        "a b/",
        "--generated",
        "G's",
        "--rule",
        "gap<1/4",
        "--no-parts",
        "--bytes",
        "--no-near-duplicates",
        "--value-range",
        "-1",
        "1.5",
        "-o",
        str(tmp_path),
    ]
    run(*arguments)
    came = {key: value for key, value in asked.items() if key != "finds"}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    command = page.partition("<pre>taumem audit ")[2].partition("</pre>")[0]
    for escaped, sign in (("&lt;", "<"), ("&#39;", "'"), ("&#34;", '"'), ("&amp;", "&")):
        command = command.replace(escaped, sign)
    run(*shlex.split(command))
    assert came == {key: value for key, value in asked.items() if key != "finds"}


def test_a_redacted_audit_shows_no_item(asked, tmp_path):
    run("--train", "T", "--generated", "G", "-o", tmp_path, "--redact")
    assert asked["options"] == {"redact": True}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Jane Doe" not in page
    assert "training item 3" in page


@pytest.mark.parametrize(
    ("gates", "code", "outcomes"),
    [
        ("copies>0.01", 1, ["failed"]),
        ("copies>0.5,flagged>100", 0, ["passed", "passed"]),
        ("copies>0.02", 3, ["undecidable"]),
        ("copies>0.02,copies.low>0", 1, ["undecidable", "failed"]),
    ],
)
def test_gates_decide_how_it_ends(asked, tmp_path, capsys, gates, code, outcomes):
    junit = tmp_path / "junit.xml"
    assert run("--train", "T", "--generated", "G", "-o", tmp_path, "--fail-on", gates, "--junit", junit) == code
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines() if ": " in line][
        -len(outcomes) :
    ] == outcomes
    cases = list(ElementTree.parse(junit).getroot().iter("testcase"))
    assert [case.get("name") for case in cases] == [*gates.split(","), "negative", "positive"]


def test_samples_that_are_the_training_items_are_told_everywhere(asked, tmp_path, capsys):
    inputs = {role: items.model_copy(update={"notes": ()}) for role, items in audit_of("vectors").inputs.items()}
    inputs["generated"] = inputs["generated"].model_copy(update={"notes": (ITSELF, SIGNED_FLOATS)})
    asked["finds"] = audit_of("vectors", inputs=inputs)
    for more in ((), ("--redact",)):
        assert run("--train", "T", "--generated", "T", "-o", tmp_path, *more) == 0
        printed = capsys.readouterr().out
        assert printed.splitlines()[1].startswith("Of samples: these are the training items, one by one")
        assert "Of samples: floats are taken as images in [-1, 1]" in printed
        for name in ("report.html", "model-card.md"):
            assert "these are the training items, one by one" in (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.filterwarnings("always::taumem.errors.TaumemWarning")
def test_a_redacted_audit_prints_no_note_that_names_items(asked, tmp_path, capsys):
    asked["warns"] = "'Erika M.png' is in no group."
    run("--train", "T", "--generated", "G", "-o", tmp_path, "--redact")
    printed = capsys.readouterr()
    assert "Erika M" not in printed.out + printed.err
    assert "--redact leaves out 1 note about the inputs" in printed.err


def test_without_gates_even_copies_end_with_0(asked, tmp_path):
    assert run("--train", "T", "--generated", "G", "-o", tmp_path) == 0


def test_a_verdict_that_is_withheld_is_printed(asked, tmp_path, capsys):
    verdict = AuditVerdict(state="withheld", sentence="No verdict: [why].", p=None, withheld=("[why]",))
    control = Control(name="negative", sentence="9 of 9 are flagged", count=9, n=9, passed=False)
    asked["finds"] = audit_of("vectors", verdict=verdict, controls=(control,))
    assert run("--train", "T", "--generated", "G", "-o", tmp_path, "--fail-on", "copies>0.5") == 3
    printed = capsys.readouterr().out
    assert printed.startswith("No verdict: [why].")
    assert "negative control FAILED" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--train", "T"], "give --generated too"),
        ([], "give --train and --generated too"),
        (["--train", "T", "--generated", "G", "--fail-on", "copys>1"], "did you mean 'copies'"),
        (["--train", "T", "--generated", "G", "--fail-on", "scores.nonsense>1"], "there is no 'scores.nonsense'"),
        (["--train", "T", "--generated", "G", "--fail-on", "copies"], "a gate is NAME>NUMBER"),
        (["--train", "T", "--generated", "G", "--size", "1.5"], "expected a whole number"),
        (["--demo", "--train", "T"], "--demo brings its own data"),
        (["--demo", "--size", "8"], "--demo brings its own data"),
        (["--verify", "F", "--orbit", "none"], "--verify takes the settings of the audit itself; leave out --orbit"),
    ],
)
def test_what_does_not_fit_is_one_line_and_ends_with_2(asked, capsys, arguments, said):
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert "output" not in asked


def test_sets_that_cannot_be_audited_are_one_line(monkeypatch, tmp_path, capsys):
    def audit(*sets, **options):
        raise DataError("train: holds 1 item; expected 8 or more.")

    monkeypatch.setattr(taumem.audit, "audit", audit, raising=False)
    assert run("--train", "T", "--generated", "G", "-o", tmp_path / "audit") == 2
    assert capsys.readouterr().err == "error: train: holds 1 item; expected 8 or more.\n"
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize("differences", [(), ("copies.count: the record has 3, the inputs give 4",)])
def test_verifying_ends_with_1_where_something_differs(monkeypatch, capsys, differences):
    asked = {}

    def verify(folder, **inputs):
        asked.update(inputs, folder=folder)
        return SimpleNamespace(differences=differences, compared=120, agrees=not differences, other_inputs=("samples",))

    monkeypatch.setattr(taumem.audit, "verify", verify, raising=False)
    assert run("--verify", "F", "--train", "elsewhere") == len(differences)
    assert (asked["folder"], asked["train"], asked["generated"]) == (Path("F"), "elsewhere", None)
    printed = capsys.readouterr().out
    assert ("agrees with its inputs: 120 facts compared" in printed) == (not differences)
    assert all(difference in printed for difference in differences)
    assert printed.startswith("These are other samples than those that were audited.") == bool(differences)
    run("--verify", "F", "--json", "--features", "mine.py:f")
    assert asked["features"] == "mine.py:f"
    assert json.loads(capsys.readouterr().out)["differences"] == list(differences)


def test_the_verb_explains_itself(capsys):
    assert run("--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("--train", "--generated", "--heldout", "--fail-on", "Exit code", "--verify", "--demo", "--no-parts"):
        assert words in printed


def test_every_option_stands_in_the_guide():
    guide = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    table = guide.partition("## Options")[2].partition("## ")[0]
    arguments = app["audit"].assemble_argument_collection()
    flags = {name for argument in arguments for name in argument.names if name.startswith("--")}
    is_told = {name: f"`{name}`" in table or f"`--no-{name[2:]}`" in table for name in flags}
    positive = {name for name in flags if not name.startswith("--no-")}
    assert len(positive) > 20
    assert [name for name in sorted(positive) if not is_told[name]] == []
    named = set(re.findall(r"`(--[a-z-]+)`", table))
    assert sorted(named - flags) == []
