"""What was found: copies above chance, by which rules, on which side, and of parts."""

from collections.abc import Iterator

from taumem.record.audit import AuditRecord
from taumem.report.sections.section import Section

__all__ = ["at_risk", "partial", "phantoms", "section"]

MOST_MOTIFS = 30


def section(record: AuditRecord) -> Iterator[Section]:
    """Show it always."""
    chance = record.copies.chance
    heldout = chance is not None and chance.source == "heldout"
    of_chance = (
        "held-out items, which the model never saw and which did not calibrate the audit"
        if heldout
        else "training items, each against the others: how often they would pass for copies of one another"
    )
    yield Section("found", "What was found", template="found", shown={"of_chance": of_chance})


def phantoms(record: AuditRecord) -> Iterator[Section]:
    """Show the matches on both sides, where held-out items were there to be matched."""
    if record.phantoms is not None:
        yield Section("phantoms", "Matches to what was trained on, and to what was not", template="phantoms")


def at_risk(record: AuditRecord) -> Iterator[Section]:
    """Show the training items at risk, where any are listed."""
    if record.at_risk:
        yield Section("at-risk", "Training items most at risk", template="at_risk")


def partial(record: AuditRecord) -> Iterator[Section]:
    """Show copies of parts, and what samples say too often, where these were looked for."""
    if record.partial or record.motifs:
        keys = dict.fromkeys(key for motif in record.motifs for key in motif)
        columns = {key: key.removeprefix("n_").replace("_", " ").replace("heldout", "held-out") for key in keys}
        shown = {"columns": columns, "motifs": record.motifs[:MOST_MOTIFS]}
        yield Section("partial", "Copies of parts", template="partial", shown=shown)
