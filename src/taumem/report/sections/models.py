"""What the models give away: whether two of them agree, and whether a loss tells members from others."""

from collections.abc import Iterator

from taumem.analysis import Study
from taumem.report import figures
from taumem.report.sections.section import Panel, Section

__all__ = ["section"]


def section(study: Study) -> Iterator[Section]:
    """Show it where either was measured."""
    agreement, membership = figures.agreement(study), figures.membership(study)
    title, words, panels = [], [], []
    if agreement.data:
        title.append("agreement of two models")
        words.append(
            "Models that have learned the distribution draw the same sample from the same noise; models that have "
            "learned their own training sets do not."
        )
        panels.append(Panel("agreement", "Agreement of two models, against the step", agreement))
    if membership.data:
        title.append("membership")
        words.append("Membership is told from the loss alone: 0.5 is chance, 1 is certainty.")
        panels.append(Panel("membership", "Membership, against the step per training example", membership))
    if panels:
        text = " ".join([*words, "Bands are two standard errors."])
        yield Section("models", " and ".join(title).capitalize(), text, tuple(panels))
