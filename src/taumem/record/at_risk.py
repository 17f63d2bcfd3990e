"""A training item that samples came close to, or that stands alone among the others: a row of an audit's list."""

from typing import Literal

from pydantic import Field

from taumem.record.audit_facts import Fact

__all__ = ["AtRisk"]


class AtRisk(Fact):
    """A training item at risk, and why it is listed."""

    row: int = Field(ge=0)
    """Its place, from 0."""
    source: str
    """Its name; its place where names are left out."""
    why: Literal["copied", "isolated"]
    """``copied``: samples copy it by the rule, or are flagged. ``isolated``: none does, and it is among those that are
    furthest from all others, which models of images memorize first (docs/items.md)."""
    copies: int = 0
    """Samples that copy it by the rule."""
    flagged: int = 0
    """Samples that are flagged and nearest to it."""
    score: float | None = None
    """The lowest score of a sample that is nearest to it; None where there is no such sample."""
    isolation: float | None = None
    """Distance to the nearest training item that is no near-duplicate of it; None where it was not measured."""
    less_isolated: float | None = None
    """Share of the training items of which isolation was measured that are nearer to others than it is."""
