"""A section of the page, and the figures in it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from taumem.analysis import Study

__all__ = ["Panel", "Section", "has_points", "over_training"]


@dataclass(frozen=True)
class Panel:
    """A figure on the page: where it goes, what it is called, and what plotly needs to draw it."""

    key: str
    title: str
    figure: go.Figure

    @property
    def json(self) -> Markup:
        """The figure as JSON that cannot end the script element it stands in."""
        return Markup(self.figure.to_json().replace("<", "\\u003c"))


@dataclass(frozen=True)
class Section:
    """A section: its title, its words, and what it shows.

    Attributes:
        key: its anchor on the page.
        title: above it.
        text: below the title; templates of their own may say more, and with markup.
        panels: its figures.
        template: of its body, in ``templates/sections``; ``figures`` shows the panels side by side where there is room.
        shown: what its template needs beside the study.
    """

    key: str
    title: str
    text: str = ""
    panels: tuple[Panel, ...] = ()
    template: str = "figures"
    shown: Mapping[str, Any] = field(default_factory=dict[str, Any])


def over_training(study: Study, key: str, title: str, text: str, draw: Callable[..., go.Figure]) -> Iterator[Section]:
    """A figure against the step, and against the step per training example; nothing where there is nothing to show."""
    by_step = draw(study, per_example=False)
    if has_points(by_step):
        by_example = draw(study, per_example=True)
        panels = (
            Panel(f"{key}-step", "against the step", by_step),
            Panel(f"{key}-example", "against the step per training example", by_example),
        )
        yield Section(key, title, text, panels)


def has_points(figure: go.Figure) -> bool:
    """Whether a figure shows anything but entries in its legend."""
    return any(trace.x is not None and len(trace.x) > 0 and trace.x[0] is not None for trace in figure.data)
