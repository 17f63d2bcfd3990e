"""TensorBoard's event files, read by the ``tensorboard`` package."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taumem.errors import DataError
from taumem.logs.formats.format import TIME, Row

__all__ = ["Events"]

MARK = "tfevents"
LENGTH, AROUND = 12, 4
"""Bytes before a record (its length and the check of that), and after it (its check)."""


class Events:
    """Reads an event file."""

    name = "TensorBoard"

    def takes(self, file: Path) -> bool:
        """By its name."""
        return MARK in file.name

    def rows(self, file: Path, notes: list[str]) -> Iterator[Row]:
        """Each scalar, with its step; what comes after damage cannot be read."""
        load, as_array = _tensorboard()
        n_read = 0
        for event in load(str(file)).Load():
            n_read += 1
            for value in event.summary.value:
                number = None
                if value.HasField("simple_value"):
                    number = float(value.simple_value)
                elif value.HasField("tensor") and not value.tensor.tensor_shape.dim and not value.tensor.string_val:
                    number = float(as_array(value.tensor))
                if number is not None:
                    yield {"step": float(event.step), TIME: event.wall_time, value.tag: number}
        n_records, is_cut_off = _records(file)
        if n_read == 0 and file.stat().st_size > 0:
            raise DataError(f"{file}: no event file of TensorBoard, or one that is damaged from its start.")
        if n_read < n_records:
            notes.append(f"{file.name} is damaged after {n_read} of {n_records} events; the rest is left out.")
        elif is_cut_off:
            notes.append(f"The end of {file.name} is cut off (it may be being written).")


def _tensorboard() -> tuple[Any, Any]:
    try:
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise DataError(
            'event files of TensorBoard are read by the package tensorboard: pip install "taumem[trackers]", or '
            "pip install tensorboard."
        ) from None
    return LegacyEventFileLoader, make_ndarray


def _records(file: Path) -> tuple[int, bool]:
    """How many whole records a file holds by its own account, and whether a part of one follows."""
    size, at, n_records = file.stat().st_size, 0, 0
    with file.open("rb") as stream:
        while at + LENGTH <= size:
            stream.seek(at)
            end = at + LENGTH + struct.unpack("<Q", stream.read(8))[0] + AROUND
            if end > size:
                break
            at, n_records = end, n_records + 1
    return n_records, at < size
