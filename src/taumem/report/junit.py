"""The gates and the controls of an audit as JUnit XML, which programs of continuous integration show."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from taumem.analysis.wording import plain_name, sentence
from taumem.record import write_atomically
from taumem.record.audit import AuditRecord

__all__ = ["Case", "cases_of_controls", "junit", "write_junit"]

_ELEMENTS = {"failed": "failure", "undecidable": "error"}


@dataclass(frozen=True)
class Case:
    """One test case.

    Attributes:
        name: what is tested.
        outcome: how it ended; what could not be decided is an error, so that it is not taken for passed.
        sentence: why.
        group: what cases of its kind are called.
    """

    name: str
    outcome: Literal["passed", "failed", "undecidable"]
    sentence: str
    group: str = "gates"


def cases_of_controls(record: AuditRecord) -> list[Case]:
    """The controls of an audit; a positive one measures power, and always passes."""
    return [
        Case(
            control.name,
            "failed" if control.passed is False else "passed",
            sentence(control.sentence),
            "controls",
        )
        for control in record.controls
    ]


def write_junit(path: Path | str, record: AuditRecord, gates: Sequence[Case] = ()) -> Path:
    """Write a JUnit XML file: the gates, then the controls.

    Returns:
        The path.
    """
    path = Path(path)
    write_atomically(path, junit([*gates, *cases_of_controls(record)], record.verdict.sentence))
    return path


def junit(cases: Sequence[Case], verdict: str) -> str:
    """Cases as JUnit XML; the verdict stands in the suite's output."""
    counts = {f"{element}s": str(sum(c.outcome == name for c in cases)) for name, element in _ELEMENTS.items()}
    totals = {"tests": str(len(cases)), **counts, "skipped": "0"}
    root = ElementTree.Element("testsuites", {"name": "taumem audit", **totals})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "taumem audit", **totals})
    for case in cases:
        named = {"classname": f"taumem.audit.{case.group}", "name": plain_name(case.name)}
        element = ElementTree.SubElement(suite, "testcase", named)
        words = plain_name(case.sentence)
        if case.outcome in _ELEMENTS:
            ElementTree.SubElement(element, _ELEMENTS[case.outcome], {"message": words}).text = words
        else:
            ElementTree.SubElement(element, "system-out").text = words
    ElementTree.SubElement(suite, "system-out").text = plain_name(verdict)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
