"""The sections of the page, one module each: its title, its words, when it is shown, and its figures."""

from collections.abc import Callable, Iterator

from taumem.analysis import Study
from taumem.report.sections import (
    bits,
    copies,
    definitions,
    forecast,
    gap,
    infilling,
    items,
    language,
    law,
    losses,
    made,
    models,
    novelty,
    order,
    parts,
    phase,
    price,
    quality,
    samples,
    twins,
    unchecked,
)
from taumem.report.sections.section import Panel, Section

__all__ = ["SECTIONS", "Panel", "Section"]

SECTIONS: tuple[Callable[[Study], Iterator[Section]], ...] = (
    forecast.section,
    law.section,
    order.section,
    phase.section,
    price.section,
    losses.section,
    bits.section,
    gap.section,
    copies.section,
    parts.section,
    infilling.section,
    items.section,
    quality.section,
    models.section,
    language.section,
    novelty.section,
    twins.section,
    samples.section,
    unchecked.section,
    definitions.section,
    made.section,
)
"""In the order of the page; each yields what it has to show."""
