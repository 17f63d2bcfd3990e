"""The lines of ``measurements.jsonl``: one fact each, and a check by which damage is found, down to a single bit.

::

    {"quantity":"gap","value":0.25,"count":64,"step":16,"examples":256,"seconds":1.5,"check":"89abcdef"}

The check is the CRC-32 of this line's bytes before ``,"check"``, going on from the check of the line before, and that
of the first from the run itself. So it vouches for all lines so far: one that is missing, comes twice, stands elsewhere
or is another run's is found too. Lines of schemas 1 and 2 had none.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from taumem.errors import RecordError, TaumemWarning
from taumem.record.check import check_of
from taumem.record.estimate import Measurement
from taumem.record.header import ADVICE, first_problem

__all__ = ["Lines", "encoded", "read_lines"]

MEASUREMENTS = TypeAdapter(list[Measurement])
CHECKED = re.compile(rb'(.*),"check":"([0-9a-f]{8})"\}')


@dataclass(frozen=True)
class Lines:
    """The whole lines of a run's measurements.

    Attributes:
        measurements: what they say.
        bodies: their bytes, without their checks and what closes them.
        check_sums: their checks; computed where they have none.
        all_checked: whether each of them has its check.
        torn: bytes of a last line that a kill cut off.
    """

    measurements: list[Measurement]
    bodies: list[bytes]
    check_sums: list[str]
    all_checked: bool
    torn: int


def encoded(bodies: Iterable[bytes], previous: str) -> tuple[bytes, list[str]]:
    """Write lines with their checks.

    Args:
        bodies: of the lines, see :class:`Lines`.
        previous: the check of the line before; of the first line, the run's origin.

    Returns:
        The lines, and their checks.
    """
    lines, checks = [], []
    for body in bodies:
        previous = check_of(body, previous)
        lines.append(b'%b,"check":"%b"}\n' % (body, previous.encode()))
        checks.append(previous)
    return b"".join(lines), checks


def read_lines(file: Path, origin: str, *, all_checked: bool) -> Lines:
    """Read the measurements of a run; none where the file is missing.

    Args:
        file: that holds them.
        origin: of the run, see :attr:`taumem.record.RunHeader.origin`.
        all_checked: whether each line must have a check: those of schemas 1 and 2 need not.

    Raises:
        RecordError: the file cannot be read, or a line is damaged or cannot be understood.
    """
    try:
        *lines, tail = file.read_bytes().split(b"\n") if file.exists() else [b""]
    except OSError as error:
        raise RecordError(f"{file}: cannot be read ({error.strerror}).") from None
    bodies: list[bytes] = []
    checks: list[str] = []
    unchecked = False
    for number, line in enumerate(lines, start=1):
        body, said = _taken_apart(line)
        check = check_of(body, checks[-1] if checks else origin)
        unchecked |= not said
        if said != check and (said or all_checked):
            way_out = f"keep only the {number - 1} lines before it" if number > 1 else "remove the file"
            raise RecordError(
                f"{file}, line {number}: damaged, another run's, or a line before it is missing: its check does "
                f"not fit. Put a copy of the file in its place; or {way_out}, and the command of the run measures the "
                "rest anew."
            )
        bodies.append(body)
        checks.append(check)
    measurements = _parsed(bodies, file)
    if tail:
        warnings.warn(
            f"{file}: the last line was cut off (by a kill, or it is being written now); "
            f"dropped {len(tail)} bytes, kept {len(measurements)} measurements.",
            TaumemWarning,
            stacklevel=3,
        )
    return Lines(measurements, bodies, checks, not unchecked, len(tail))


def _taken_apart(line: bytes) -> tuple[bytes, str]:
    """A line without its check and what closes it, and the check that it states; empty where it states none."""
    if found := CHECKED.fullmatch(line):
        return found[1], found[2].decode()
    stripped = line.rstrip()
    return (stripped[:-1], "") if stripped.endswith(b"}") else (line, "cut off")


def _parsed(bodies: Sequence[bytes], file: Path) -> list[Measurement]:
    try:
        measurements = MEASUREMENTS.validate_json(b"[" + b",".join(body + b"}" for body in bodies) + b"]")
    except ValidationError:
        measurements = []
    if len(measurements) != len(bodies):  # one by one, to say which line is wrong
        measurements = [_one(body + b"}", f"{file}, line {number}") for number, body in enumerate(bodies, start=1)]
    for number, m in enumerate(measurements, start=1):
        if not m.is_finite:
            raise RecordError(f"{file}, line {number}: not a measurement: {m.quantity} is not finite. {ADVICE}")
    return measurements


def _one(line: bytes, place: str) -> Measurement:
    try:
        return Measurement.model_validate_json(line)
    except ValidationError as error:
        raise RecordError(f"{place}: not a measurement: {first_problem(error)}. {ADVICE}") from None
