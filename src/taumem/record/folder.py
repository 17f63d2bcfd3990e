"""A run's folder, and what is read from it.

::

    RUN/
      run.json              RunHeader: written atomically; probes note their settings in it when they are first asked
      measurements.jsonl    one Measurement a line, append-only, flushed to the disk at every look
      arrays/00000128.npz   samples and their nearest training items at a step, written atomically

A kill can tear the last line of ``measurements.jsonl``. Reading drops it with a warning; writing removes it first and
measures that look again. Any other damage is found: lines, header and arrays carry checks.
"""

import io
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.errors import RecordError
from taumem.record.check import check_of
from taumem.record.curve import Curve
from taumem.record.estimate import Measurement
from taumem.record.kept import Arrays, Series

__all__ = ["RunFolder", "array_bytes", "array_file"]

CHECK_LENGTH = 8


class RunFolder:
    """What a run's folder keeps.

    Args:
        path: the folder; arrays are read from it when they are asked for.
        measurements: in the order of their lines; a fact that comes twice is taken once.
        origin: of the run, from which the checks of its arrays go on; empty where it has none.

    Attributes:
        measurements: each fact once.
        values: of the facts, by their keys.
    """

    def __init__(self, path: Path, measurements: Iterable[Measurement] = (), origin: str = "") -> None:
        self.path = path
        self.origin = origin
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
        files = (self.path / "arrays").glob("*.npz")
        return sorted(int(file.stem) for file in files if file.stem.isdecimal())

    def arrays(self, step: int) -> Arrays:
        """The arrays kept at a step.

        Raises:
            RecordError: the file is damaged.
        """
        file = array_file(self.path, step)
        try:
            return _arrays_in(file.read_bytes(), check_of(str(step).encode(), self.origin))
        # The parsers of archives and headers raise whatever Python's own raise: zlib.error, SyntaxError, ...
        except Exception as error:
            raise RecordError(
                f"{file}: damaged ({error}). Put a copy in its place; or remove it: the run then has no samples at "
                f"step {step}, and all its measurements."
            ) from None


def array_file(folder: Path, step: int) -> Path:
    """Where a run's arrays of a step are."""
    return folder / "arrays" / f"{step:08d}.npz"


def array_bytes(arrays: Mapping[str, NDArray[Any]], step: int, origin: str) -> bytes:
    """An .npz file that ends (in the archive's comment) in the check of the run, the step and all before."""
    file = io.BytesIO()
    # numpy 1.26 would keep an argument allow_pickle as one more array.
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b" " * CHECK_LENGTH
    content = file.getvalue()[:-CHECK_LENGTH]
    return content + check_of(content, check_of(str(step).encode(), origin)).encode()


def _arrays_in(content: bytes, previous: str) -> Arrays:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()  # files of schemas 1 and 2 have but the checks of their members
        if archive.comment and archive.comment != check_of(content[:-CHECK_LENGTH], previous).encode():
            damaged = "the file, as this run's at this step,"
    if damaged:
        raise RecordError(f"the check of {damaged} does not fit")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
