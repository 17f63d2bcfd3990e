"""What the words of the page mean, each clock's rule, and every onset."""

from collections.abc import Iterator, Sequence

from taumem.analysis import Onset, Study, families, has_levels
from taumem.report import figures
from taumem.report.items import copy_rule_of, kind_of
from taumem.report.sections.section import Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it always."""
    runs = [record.header for record in study.records]
    shown = {
        "has_levels": has_levels(study.records),
        "has_texts": any(kind_of(run.data) == "texts" for run in runs),
        "copy_rule": _sentence("; in other runs, ".join(dict.fromkeys(copy_rule_of(run).sentence for run in runs))),
        "chance": figures.chance_of_copies(study),
        "rules": list(_rules(study.onsets)),
    }
    yield Section("definitions", "Definitions", template="definitions", shown=shown)


def _rules(onsets: Sequence[Onset]) -> Iterator[tuple[str, str]]:
    """The rule of each clock, in the order of the clocks; one for clocks that differ by their threshold alone."""
    found = {onset.clock for onset in onsets}
    for family, clocks in families().items():
        xs = [clock.x for clock in clocks if clock.name in found and clock.x]
        if xs:
            yield f"{family}[x]", f"{clocks[0].rule.replace('{x}', 'x')} Here x = {', '.join(xs)}."
        elif family in found:
            yield family, clocks[0].rule


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""
