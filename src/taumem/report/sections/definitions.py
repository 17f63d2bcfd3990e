"""What the words of the page mean, each clock's rule, and every onset."""

from collections.abc import Iterator

from taumem.analysis import has_levels
from taumem.report import figures
from taumem.report.items import copy_rule_of, kind_of
from taumem.report.onset_names import rules_of
from taumem.report.sections.section import Section
from taumem.report.study import Study

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it always."""
    runs = [record.header for record in study.records]
    shown = {
        "has_levels": has_levels(study.records),
        "has_texts": any(kind_of(run.data) == "texts" for run in runs),
        "copy_rule": _sentence("; in other runs, ".join(dict.fromkeys(copy_rule_of(run).sentence for run in runs))),
        "chance": figures.chance_of_copies(study),
        "rules": rules_of(study.onsets),
    }
    yield Section("definitions", "Definitions", template="definitions", shown=shown)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""
