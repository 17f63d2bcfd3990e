"""The format of a sealed study: what is in the file, and where.

The file is a zip archive of .npy columns, as numpy's .npz is, and a JSON manifest, compressed by LZMA. Its last 64
bytes, the archive's comment, are the SHA-256 of all before them, in hexadecimal; it is checked before anything is read.
Measurements stand series by series (a quantity at a diffusion time), within a series run by run, in the order in which
they were written:

==========================  ============================================================================================
``manifest.json``           :class:`Manifest`: the series, the runs with their headers, how each column is packed
``rows``                    [series, runs]: how many measurements there are
``place``                   of each measurement among those of its run, from 0
``step``, ``value``, ...    what was measured: the fields of a measurement; NaN stands for None (``se`` may be of single
                            precision)
``n_items``                 of how many items the values were kept; -1 for None
``items``                   these, one after the other, as differences from look to look of the whole numbers that
                            :mod:`taumem.record.items` makes of them
``coding``                  [series, runs]: how it did so, as a place in ``CODINGS``
``arrays/0``, ...           arrays of one name, type and shape, of all runs and steps
==========================  ============================================================================================
"""

import os
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from taumem.record.kept import Series
from taumem.record.packing import Packing

__all__ = ["COLUMNS", "DIGEST_LENGTH", "SUFFIX", "VERSION", "Entry", "Manifest", "why_no_name"]

SUFFIX = ".sealed"
VERSION: Literal[1] = 1
"""Raised when a reader of the previous version would misread a file."""

DIGEST_LENGTH = 64

COLUMNS = ("step", "examples", "seconds", "value", "se", "low", "high", "confidence", "count")
"""The fields of a measurement that are numbers."""


class Entry(BaseModel):
    """A run in the manifest: its header, and which arrays it kept at which steps (by the numbers of their columns)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: dict[str, Any]
    arrays: dict[int, dict[str, int]]


class Manifest(BaseModel):
    """What a sealed study holds, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["taumem sealed study"] = "taumem sealed study"
    version: Literal[1] = VERSION
    digits: int | None = None
    """To which the values of items were rounded; None where nothing was."""
    series: tuple[Series, ...]
    runs: dict[str, Entry]
    """By name: the run's folder below the study's."""
    files: dict[str, str]
    """Texts that stood beside the runs: the experiment, of a sweep each one and what it goes over."""
    columns: dict[str, Packing]

    @field_validator("runs", "files")
    @classmethod
    def _refuse_names_outside(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            if reason := why_no_name(name):
                raise ValueError(reason)
        return named


def why_no_name(name: str) -> str:
    """Why a name is none of a run or a file in a study, which stays in its folder when unsealed; empty if it is one."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") for part in parts)
    foreign = set("\0\\:") if os.name == "nt" else {"\0"}  # what leads out of a folder on Windows
    in_utf8 = not any("\ud800" <= character <= "\udfff" for character in name)
    if name == "." or (in_utf8 and not (not parts or name[0] == "/" or hidden or set(name) & foreign)):
        return ""
    return f"{name!r} is no name of a file in a study"
