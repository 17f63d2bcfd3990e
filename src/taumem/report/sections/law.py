"""When each clock went off, and the laws that follow."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where a clock could be read."""
    if not study.onsets:
        return
    fitted = [clock for clock in study.clocks if clock.drawn]
    text = "When each clock went off, against the number of training examples P. Choose which clocks to see. "
    if fitted:
        text += (
            "The line is the law, with a free exponent where the onsets determine one, and of the clock that was "
            "forecast the one that forecast it; the band is its prediction for a single run. "
        )
    several = [law for clock in fitted if (law := clock.drawn) is not None and law.spans_batch_sizes]
    if several:
        text += (
            f"Onsets of all batch sizes B are brought to {several[0].reference_batch_size:,}, that of most runs, by "
            "B<sup>k</sup> with the k of their law: on one line they obey one law. The smaller the batch, the paler. "
        )
    yield Section(
        "law",
        "The law" if fitted else "Onsets, and no law yet",
        f"{text}Triangles are bounds: they point to where the onset lies.",
        (Panel("law", "The law", figures.law(study)),),
        template="law",
        shown={
            "fitted": fitted,
            "spans_batch_sizes": bool(several),
            "collapse_above_1": any((clock.linear.collapse or 0) > 1 for clock in fitted if clock.linear),
        },
    )
