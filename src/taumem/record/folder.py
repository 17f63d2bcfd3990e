"""A run's folder, and what is read from it.

::

    RUN/
      run.json              RunHeader: written atomically; probes note their settings in it when they are first asked
      measurements.jsonl    one Measurement a line, append-only, flushed to the disk at every look
      arrays/00000128.npz   samples and their nearest training items at a step, written atomically

A kill can tear the last line of ``measurements.jsonl``. Reading drops it with a warning; writing removes it first and
measures that look again.
"""

import warnings
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from taumem.errors import RecordError, TaumemWarning
from taumem.record.curve import Curve
from taumem.record.estimate import Measurement
from taumem.record.header import ADVICE, first_problem
from taumem.record.kept import Arrays, Series

__all__ = ["RunFolder", "array_file", "read_measurements"]

MEASUREMENTS = TypeAdapter(list[Measurement])


class RunFolder:
    """What a run's folder keeps.

    Args:
        path: the folder; arrays are read from it when they are asked for.
        measurements: in the order of their lines; a fact that comes twice is taken once.

    Attributes:
        measurements: each fact once.
        values: of the facts, by their keys.
    """

    def __init__(self, path: Path, measurements: Iterable[Measurement] = ()) -> None:
        self.path = path
        self.measurements: list[Measurement] = []
        self.values: dict[tuple[int, str, float | None], float] = {}
        self._rows: dict[Series, list[Measurement]] = {}
        self.add(measurements)

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Take in the facts that are new."""
        for m in measurements:
            if m.key not in self.values:
                self.values[m.key] = m.value
                self.measurements.append(m)
                self._rows.setdefault((m.quantity, m.t), []).append(m)

    @property
    def steps(self) -> list[int]:
        """The steps at which something was measured, ascending."""
        return sorted({m.step for m in self.measurements})

    @property
    def series(self) -> Collection[Series]:
        """The quantities that were measured, each with its diffusion times."""
        return self._rows.keys()

    def curve(self, quantity: str, t: float | None) -> Curve:
        """One of the series over training."""
        return Curve.from_measurements(quantity, self._rows[quantity, t])

    def array_steps(self) -> list[int]:
        """The steps at which arrays were kept, ascending."""
        return sorted(int(file.stem) for file in (self.path / "arrays").glob("*.npz"))

    def arrays(self, step: int) -> Arrays:
        """The arrays kept at a step.

        Raises:
            RecordError: the file is damaged.
        """
        file = array_file(self.path, step)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        # The parsers of archives and headers raise whatever Python's own raise: zlib.error, SyntaxError, ...
        except Exception as error:
            raise RecordError(f"{file}: damaged ({error}); remove it, and the run's samples at step {step}.") from None


def array_file(folder: Path, step: int) -> Path:
    """Where a run's arrays of a step are."""
    return folder / "arrays" / f"{step:08d}.npz"


def read_measurements(folder: Path) -> tuple[list[Measurement], int]:
    """Read the whole lines of a run's measurements, and count the bytes of a last line that a kill cut off.

    Raises:
        RecordError: a line that cannot be understood.
    """
    file = folder / "measurements.jsonl"
    *lines, tail = file.read_bytes().split(b"\n") if file.exists() else [b""]
    measurements = _parsed(lines, file)
    if tail:
        warnings.warn(
            f"{file}: the last line was cut off (by a kill, or it is being written now); "
            f"dropped {len(tail)} bytes, kept {len(measurements)} measurements.",
            TaumemWarning,
            stacklevel=3,
        )
    return measurements, len(tail)


def _parsed(lines: list[bytes], file: Path) -> list[Measurement]:
    try:
        measurements = MEASUREMENTS.validate_json(b"[" + b",".join(lines) + b"]")
        if len(measurements) == len(lines):
            return measurements
    except ValidationError:
        pass
    measurements = []  # one by one, to say which line is wrong
    for number, line in enumerate(lines, start=1):
        try:
            measurements.append(Measurement.model_validate_json(line))
        except ValidationError as error:
            raise RecordError(f"{file}, line {number}: not a measurement: {first_problem(error)}. {ADVICE}") from None
    return measurements
