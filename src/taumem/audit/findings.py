"""One row for each sample: in files for spreadsheets, and the most suspicious ones as pairs to be looked at."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch

from taumem.audit.compared import Compared
from taumem.audit.sides import Sides
from taumem.data.readers.opening import shown
from taumem.neighbors.views import orbit
from taumem.record.audit import AuditRecord, Pair
from taumem.record.files import write_atomically
from taumem.record.thumbnails import difference, thumbnail

__all__ = ["gallery", "rows_of", "write_findings"]

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
"""What a text begins with that a spreadsheet may run; and the apostrophe that is put in front of it."""
N_PAIRS = 60
_VIEWS = {view.name: view for view in orbit("full")}
LONGEST_SHOWN = 500
"""Symbols of a text in the gallery."""


def rows_of(sides: Sides, compared: Compared, parts: dict[str, list[Any]] | None, redact: bool) -> dict[str, list[Any]]:
    """Give the findings by column, the most suspicious first.

    Columns: ``sample`` and ``nearest`` (names, or numbers from 0 where names are left out), ``row`` (the sample's
    place), ``distance``, ``gap_ratio``, ``way`` (the view that found it), ``score``, ``p``, ``q``, ``flagged``,
    ``copied``; and what ``parts`` holds of each sample.
    """
    found, certainty = compared.found, compared.certainty
    order = np.lexsort((np.arange(len(found)), found.score))
    copied = compared.rules[0].copied(found)
    names, nearest = sides.generated.names, sides.train.names
    return {
        "sample": [str(row) if redact else shown(names[row]) for row in order],
        "nearest": [str(found.nearest[row]) if redact else shown(nearest[found.nearest[row]]) for row in order],
        "row": [int(row) for row in order],
        "distance": [_rounded(found.distance[row]) for row in order],
        "gap_ratio": [_rounded(found.ratio[row]) for row in order],
        "way": [found.ways[found.way[row]] for row in order],
        "score": [_rounded(found.score[row]) for row in order],
        "p": [float(certainty.p[row]) for row in order],
        "q": [float(certainty.q[row]) for row in order],
        "flagged": [bool(certainty.flagged[row]) for row in order],
        "copied": [bool(copied[row]) for row in order],
        **{name: [column[row] for row in order] for name, column in (parts or {}).items()},
    }


def write_findings(record: AuditRecord, rows: dict[str, list[Any]], folder: Path | str) -> AuditRecord:
    """Write the rows as CSV and Parquet, each atomically, and note their SHA-256 in the record.

    A text in the CSV that a spreadsheet would take for a formula has an apostrophe in front, and so has one that begins
    with an apostrophe: without the first one of these it is as it was. Parquet holds all as it is.
    """
    place = Path(folder)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(rows)
    writer.writerows(zip(*(map(_as_text, column) for column in rows.values()), strict=True))
    table = pa.BufferOutputStream()
    pyarrow.parquet.write_table(pa.table(rows), table)
    contents = {"findings.csv": text.getvalue().encode(), "findings.parquet": table.getvalue().to_pybytes()}
    for name, content in contents.items():
        write_atomically(place / name, content)
    return record.noting(place, *contents)


def gallery(sides: Sides, rows: dict[str, list[Any]], compared: Compared, redact: bool) -> tuple[Pair, ...]:
    """The most suspicious samples beside their nearest training items."""
    return tuple(_pair(sides, rows, compared, place, redact) for place in range(min(N_PAIRS, len(rows["row"]))))


def _pair(sides: Sides, rows: dict[str, list[Any]], compared: Compared, place: int, redact: bool) -> Pair:
    facts: dict[str, Any] = {
        name: rows[name][place] for name in ("row", "score", "distance", "way", "p", "q", "flagged", "copied")
    }
    near = int(compared.found.nearest[rows["row"][place]])
    names = {"sample": rows["sample"][place], "train": rows["nearest"][place], "ratio": rows["gap_ratio"][place]}
    contents: dict[str, Any] = {} if redact else _contents(sides, rows["row"][place], near, facts["way"])
    return Pair(**facts, **names, nearest=near, **contents)


def _contents(sides: Sides, row: int, near: int, way: str) -> dict[str, str]:
    sample, train = sides.generated.items[row], sides.train.items[near]
    if isinstance(sample, str) or isinstance(train, str):
        return {"sample_text": shown(sample[:LONGEST_SHOWN]), "train_text": shown(train[:LONGEST_SHOWN])}
    if sides.train.kind == "tokens":
        return {"sample_text": " ".join(map(str, sample.tolist())), "train_text": " ".join(map(str, train.tolist()))}
    if sides.train.kind == "images":
        pixels, other = np.asarray(sample), np.asarray(train)
        pictures = {"sample_image": thumbnail(pixels), "train_image": thumbnail(other)}
        if (view := _VIEWS[way]).is_plain:
            return pictures | {"difference_image": difference(pixels, other)}
        seen = view.onto(torch.as_tensor(sample)[None].float(), torch.as_tensor(train)[None].float())[0].numpy()
        # Of pixels that only one of them has nothing is known, so that they are no difference.
        apart = difference(np.where(np.isnan(seen), other, seen), other)
        return pictures | {"view_image": thumbnail(seen), "difference_image": apart}
    return {}


def _as_text(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def _rounded(value: float) -> float | None:
    return float(f"{value:.9g}") if np.isfinite(value) else None
