"""Which training items go first: their onsets against how isolated they are, and those that went first."""

from collections.abc import Iterator
from dataclasses import dataclass

from taumem.analysis import ItemOnsets, Study, find_item_onsets, order_of_items
from taumem.analysis.wording import number
from taumem.errors import ConfigError
from taumem.record import RunRecord
from taumem.record.thumbnails import as_data_uri, enlarged
from taumem.report.exhibits.pictures import SHOWN_HEIGHT, are_pictures
from taumem.report.figures.items import onsets_of_items
from taumem.report.sections.section import Panel, Section

__all__ = ["section"]

N_FIRST = 12


@dataclass(frozen=True)
class First:
    """The items that a run memorized first.

    Attributes:
        title: which run.
        items: of each, its place in the training set and its onset in words.
        pictures: as data URIs with what they show, of those that samples came near to; empty for other items.
    """

    title: str
    items: str
    pictures: tuple[tuple[str, str], ...]


def section(study: Study) -> Iterator[Section]:
    """Show it where items of a run can be told apart."""
    found = find_item_onsets(study.records, confidence=study.confidence)
    try:
        order = order_of_items(found, confidence=study.confidence)
    except ConfigError:  # no items whose onsets differ
        return
    titles = {"isolation": "Onsets against isolation", "unseen": "Onsets against the loss under the twin"}
    panels = tuple(Panel(f"items-{name}", titles[name], onsets_of_items(found, name)) for name in order.correlations)
    known = {record.header.key: record for record in study.records}
    ends = {run.run.n_train: run for run in reversed(found)}
    firsts = [_first(ends[size], known.get(ends[size].run)) for size in sorted({min(ends), max(ends)})]
    shown = {"order": order, "firsts": firsts}
    yield Section("items", "Which examples go first", panels=panels, template="items", shown=shown)


def _first(found: ItemOnsets, record: RunRecord | None) -> First:
    places = [int(place) for place in found.order[:N_FIRST]]
    words = [f"{place} ({_onset(found, place)})" for place in places]
    pictures = {} if record is None else _pictures(record)
    seen = tuple((pictures[k], f"item {k}, {_onset(found, k)} steps") for k in places if k in pictures)
    return First(found.run.label, ", ".join(words), seen)


def _onset(found: ItemOnsets, place: int) -> str:
    onset = found.placed[place]
    return {"left": "< ", "right": "> "}.get(onset.censored, "") + number(onset.step)


def _pictures(record: RunRecord) -> dict[int, str]:
    """By place, the training images that kept samples came nearest to."""
    found: dict[int, str] = {}
    for step in record.array_steps():
        arrays = record.arrays(step)
        if not are_pictures(arrays) or "place" not in arrays or "nearest" not in arrays:
            continue
        for place, pixels in zip(arrays["place"].tolist(), arrays["nearest"], strict=False):
            if place not in found:
                found[place] = as_data_uri(enlarged(pixels, SHOWN_HEIGHT), exact=True)
    return found
