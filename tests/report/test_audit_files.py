"""What an audit is in other people's files: JUnit XML for continuous integration, a snippet for a model card."""

import json
import re
from xml.etree import ElementTree

import pytest
from planted_audit import NASTY, audit_of

from taumem.record.audit import AuditVerdict, Control, NotRun
from taumem.report.junit import Case, write_junit
from taumem.report.model_card import model_card, write_model_card


def test_each_gate_and_each_control_is_a_case(tmp_path):
    failed = Control(
        name="negative", sentence="held-out items: 9 of 100 are flagged", count=9, n=100, passed=False, p=1e-9
    )
    record = audit_of("vectors", controls=(failed, audit_of().controls[1]))
    gates = [
        Case("copies>0.01", "failed", "12 of 500."),
        Case("a<1", "undecidable", "why"),
        Case("b>1", "passed", "it is 3"),
    ]
    suite = ElementTree.parse(write_junit(tmp_path / "gates" / "junit.xml", record, gates)).getroot().find("testsuite")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "2",
        "errors": "1",
        "skipped": "0",
    }
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {
        "copies>0.01": ["failure"],
        "a<1": ["error"],
        "b>1": ["system-out"],
        "negative": ["failure"],
        "positive": ["system-out"],
    }
    assert suite.find("testcase/failure").get("message") == "12 of 500."
    assert suite.find("system-out").text == record.verdict.sentence


def test_no_name_breaks_the_xml(tmp_path):
    nasty = f"{NASTY}\x00\x08\x1b[31m]]>\ufffe"
    verdict = AuditVerdict(state="copies", sentence=nasty, p=None)
    control = Control(name=nasty, sentence=nasty, count=1, n=2, passed=None)
    record = audit_of("vectors", verdict=verdict, controls=(control,))
    root = ElementTree.parse(write_junit(tmp_path / "j.xml", record, [Case(nasty, "failed", nasty)])).getroot()
    assert [case.get("name").count("alert(1)") for case in root.iter("testcase")] == [1, 1]


def block_of(card: str) -> dict:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", card, re.DOTALL).group(1))


def test_the_block_of_a_model_card_holds_the_numbers():
    record = audit_of()
    (model,) = block_of(model_card(record, model="my: 'model'"))["model-index"]
    (result,) = model["results"]
    assert model["name"] == "my: 'model'"
    assert result["task"]["type"] == "unconditional-image-generation"
    metrics = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert metrics["copy_fraction"] == record.copies.fraction
    assert (metrics["copy_fraction_low"], metrics["copy_fraction_high"]) == (record.copies.low, record.copies.high)
    assert metrics["c_t"] == record.scores["c_t"].value
    assert "nn_divergence" not in metrics
    assert json.dumps(metrics)


def test_the_words_of_a_model_card_say_what_was_found_and_claim_no_privacy(tmp_path):
    file = write_model_card(tmp_path / "card.md", audit_of())
    words = file.read_text(encoding="utf-8").partition("\n---\n")[2]
    for said in (
        "| copies | 12 | 500 | 2.4 % | 1.2 % to 4.2 % |",
        "| 0 | 200 |",
        "Not looked at: Membership",
        "-3.41",
        "two-sided",
    ):
        assert said in words
    assert len(re.findall("privacy|private|anonym", words)) == 1
    assert "no statement about privacy" in words


def test_a_model_card_names_no_file_and_breaks_on_no_sentence():
    verdict = AuditVerdict(state="withheld", sentence=f"{NASTY} | **a** # b `c`", p=None, withheld=(NASTY,))
    card = model_card(audit_of(verdict=verdict, not_run=(NotRun(what="a|b", why=NASTY),)), model=NASTY)
    assert "<script>" not in card.partition("\n---\n")[2].replace(r"\<script\>", "")
    for name in ("samples/0", "patients", "Jane"):
        assert name not in card
    assert "alert(1)" in block_of(card)["model-index"][0]["name"]
    card.encode()
