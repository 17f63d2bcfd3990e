"""Two models that share no training image, from the same noise: the picture of memorization setting in."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report.exhibits import twin_exhibits
from taumem.report.sections.section import Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where images of twins were kept at the same steps."""
    if pairs := twin_exhibits(study):
        shown = {
            "pairs": pairs,
            "is_marked": any(moment.mark for pair in pairs for moment in pair.moments),
            "has_nearest": any(row.is_nearest for pair in pairs for rows in pair.noises for row in rows),
        }
        title = "Two models on disjoint training sets, from the same noise"
        yield Section("twins", title, template="twins", shown=shown)
