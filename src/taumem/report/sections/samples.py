"""The samples themselves, before, at and after the onset."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.record import ItemKind
from taumem.report.exhibits import exhibits_of
from taumem.report.exhibits.alignment import GAP
from taumem.report.exhibits.texts import VERBATIM
from taumem.report.items import copy_rule_of
from taumem.report.sections.section import Section

__all__ = ["section"]

_SECTIONS: dict[ItemKind, tuple[str, str]] = {
    "images": ("pictures", "Samples beside their nearest training images"),
    "strings": ("strings", "Samples before, at and after the onset"),
    "texts": ("texts", "Samples over their nearest training texts"),
}
"""By kind of item, the section's key, which is its template too, and its title."""


def section(study: Study) -> Iterator[Section]:
    """Show one for each kind of item that was kept."""
    exhibits = exhibits_of(study)
    are_lines = any(copy_rule_of(record.header).measure == "edit_distance" for record in study.records)
    shown = {"verbatim": VERBATIM, "gap": GAP if are_lines else ""}
    for kind, (key, title) in _SECTIONS.items():
        if of_kind := [exhibit for exhibit in exhibits if exhibit.kind == kind]:
            yield Section(key, title, template=key, shown={**shown, "exhibits": of_kind})
