"""A run on disk: what it was (``run.json``) and what was measured (``measurements.jsonl``), and its samples.

::

    RUN/
      run.json              RunHeader: written atomically; probes note their settings in it when they are first asked
      measurements.jsonl    one Measurement a line, append-only, flushed to the disk at every look
      arrays/00000128.npz   samples and their nearest training items at a step, written atomically

A kill can tear the last line of ``measurements.jsonl``. Reading drops it with a warning; writing removes it first and
measures that look again. A fact that is already there is never written twice, so a resumed run has no gap and no
duplicate.
"""

import json
import math
import os
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import filelock
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from taumem.errors import RecordError, TaumemWarning, first_difference
from taumem.record.copy_rule import CopyRule
from taumem.record.curve import Curve
from taumem.record.estimate import Measurement
from taumem.record.files import write_atomically
from taumem.record.header import ADVICE, RunHeader, first_problem, read_header

__all__ = ["RunRecord", "find_runs", "read_runs"]


@dataclass
class RunRecord:
    """A run: its header and its measurements, in memory as on disk.

    Open one with :meth:`read` to look at it, or with :meth:`open` to write to it (one writer at a time).
    """

    path: Path
    header: RunHeader
    measurements: list[Measurement] = field(default_factory=list)
    _values: dict[tuple[int, str, float | None], float] = field(default_factory=dict, repr=False)
    _file: IO[bytes] | None = field(default=None, repr=False)
    _lock: filelock.BaseFileLock | None = field(default=None, repr=False)

    # --- reading ----------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: Path | str) -> "RunRecord":
        """Read a run's folder.

        Args:
            path: the folder that holds ``run.json``.

        Raises:
            RecordError: no run there, a header or a line that cannot be understood, or a schema version of the future.
        """
        path = Path(path)
        record = cls(path, read_header(path))
        measurements, torn = _read_measurements(path / "measurements.jsonl")
        if torn:
            _warn_of_torn_line(path / "measurements.jsonl", torn, len(measurements))
        record._remember(measurements)
        return record

    @property
    def steps(self) -> list[int]:
        """The steps at which something was measured, ascending."""
        return sorted({m.step for m in self.measurements})

    @property
    def last_step(self) -> int:
        """The last step at which something was measured; 0 for a run that has only begun."""
        return max((m.step for m in self.measurements), default=0)

    @property
    def quantities(self) -> list[str]:
        """The names of what was measured, sorted."""
        return sorted({m.quantity for m in self.measurements})

    def curve(self, quantity: str, t: float | None = None) -> Curve:
        """One quantity over training.

        Args:
            quantity: its name; see :attr:`quantities`.
            t: the diffusion time, or None for the quantity that belongs to no single time.

        Raises:
            RecordError: the run has no such quantity.
        """
        rows = [m for m in self.measurements if m.quantity == quantity and m.t == t]
        if not rows:
            at = "" if t is None else f" at t = {t:g}"
            raise RecordError(
                f"{self.path}: no measurement of '{quantity}'{at}; it has: {', '.join(self.quantities) or 'none'}."
            )
        return Curve.from_measurements(quantity, rows)

    def curve_or_none(self, quantity: str) -> Curve | None:
        """A quantity that belongs to no single diffusion time, over training; None where the run has none."""
        rows = [m for m in self.measurements if m.quantity == quantity and m.t is None]
        return Curve.from_measurements(quantity, rows) if rows else None

    def array_steps(self) -> list[int]:
        """The steps at which arrays (samples) were kept, ascending."""
        return sorted(int(file.stem) for file in (self.path / "arrays").glob("*.npz"))

    def arrays(self, step: int) -> dict[str, NDArray[Any]]:
        """The arrays kept at a step.

        Raises:
            RecordError: nothing was kept at that step.
        """
        file = self._array_file(step)
        if not file.exists():
            raise RecordError(f"{self.path}: no arrays at step {step}; there are some at {self.array_steps()}.")
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise RecordError(f"{file}: damaged ({error}); remove it, and the run's samples at step {step}.") from None

    # --- writing ----------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path | str, header: RunHeader) -> "RunRecord":
        """Begin a run, or continue the same run, as its only writer.

        Args:
            path: the run's folder; made if it is missing.
            header: what the run is.

        Raises:
            RecordError: the folder holds another run, cannot be understood, or is being written by another process.
        """
        path = Path(path)
        lock = filelock.FileLock(path / ".lock", timeout=0)
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            raise RecordError(f"{path}: another process is writing this run; wait for it or stop it.") from None
        except OSError as error:
            raise RecordError(f"{path}: cannot be written to ({error.strerror}); choose another folder.") from None
        try:
            lines = path / "measurements.jsonl"
            if (path / "run.json").exists():
                existing = read_header(path)
                _refuse_another_run(path, existing, header)
                header = existing
            elif lines.exists() and lines.stat().st_size:
                raise RecordError(
                    f"{path}: holds measurements, but no run.json that says of which run. "
                    "Choose another output folder, or remove this one."
                )
            else:
                write_atomically(path / "run.json", header.model_dump_json(indent=2) + "\n")
            measurements, torn = _read_measurements(lines)
            file = lines.open("ab")
            if torn:
                _warn_of_torn_line(lines, torn, len(measurements))
                file.truncate(lines.stat().st_size - torn)
        except BaseException:
            lock.release()
            raise
        record = cls(path, header, _file=file, _lock=lock)
        record._remember(measurements)
        return record

    def append(self, measurements: Iterable[Measurement]) -> None:
        """Write measurements that the record does not hold yet, and flush them to the disk.

        Raises:
            RecordError: the record was opened for reading, or a number is not finite.
        """
        file = self._writable()
        new: dict[tuple[int, str, float | None], Measurement] = {}
        changed: list[Measurement] = []
        for m in measurements:
            if m.key not in self._values:
                new.setdefault(m.key, m)
            elif not math.isclose(m.value, self._values[m.key], rel_tol=1e-2, abs_tol=1e-4):
                changed.append(m)
        if changed:
            warnings.warn(
                f"{self.path}: {changed[0].quantity} at step {changed[0].step} was {self._values[changed[0].key]:.4g} "
                f"when it was measured first and is {changed[0].value:.4g} now; the record keeps the first. A run with "
                "other settings needs another folder.",
                TaumemWarning,
                stacklevel=2,
            )
        for m in new.values():
            if not m.is_finite:
                raise RecordError(
                    f"{self.path}: {m.quantity} or its error is not finite at step {m.step} (it is {m.value}); "
                    "training has diverged (try a smaller learning rate)."
                )
        if new:
            file.write(b"".join(m.model_dump_json(exclude_none=True).encode() + b"\n" for m in new.values()))
            file.flush()
            os.fsync(file.fileno())
            self._remember(new.values())

    def note_probes(self, settings: Mapping[str, Mapping[str, Any]], copy_rule: CopyRule | None = None) -> None:
        """Note in the header how the probes measure; numbers measured otherwise belong into another record.

        Args:
            settings: of each probe, by its name; values that JSON can hold.
            copy_rule: when a sample counts as a copy; None if no probe counts copies.

        Raises:
            RecordError: the record was opened for reading, or the run was measured with other settings before.
        """
        self._writable()
        fresh = {"probes": self.header.probes | json.loads(json.dumps(settings))}
        changed = self.header.model_copy(update=fresh | ({"copy_rule": copy_rule} if copy_rule else {}))
        before, now = self.header.noted, changed.noted
        if (again := {name: now[name] for name in before}) != before:
            raise RecordError(
                f"{self.path}: was measured otherwise before: {first_difference(before, again)}. "
                "Choose another output folder, or measure as before."
            )
        if now != before:
            self.header = changed
            write_atomically(self.path / "run.json", changed.model_dump_json(indent=2) + "\n")

    def keep_arrays(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays (samples and what belongs to them) at a step, in place of those that were kept there.

        Raises:
            RecordError: the record was opened for reading.
        """
        self._writable()

        def save(path: Path) -> None:
            with path.open("wb") as file:
                # numpy 1.26 would keep an argument allow_pickle as one more array.
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

        write_atomically(self._array_file(step), save)

    def close(self) -> None:
        """Let others write to this run."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _writable(self) -> IO[bytes]:
        if self._file is None:
            raise RecordError(f"{self.path}: opened for reading; use RunRecord.open to write.")
        return self._file

    def _array_file(self, step: int) -> Path:
        return self.path / "arrays" / f"{step:08d}.npz"

    def _remember(self, measurements: Iterable[Measurement]) -> None:
        for m in measurements:
            if m.key not in self._values:
                self._values[m.key] = m.value
                self.measurements.append(m)


def read_runs(*places: Path | str) -> list[RunRecord]:
    """Read runs from their folders, or from folders that hold them at any depth; each run once.

    Raises:
        RecordError: a place without a run, or a record that cannot be read.
    """
    return [RunRecord.read(folder) for folder in find_runs(*places)]


def find_runs(*places: Path | str) -> list[Path]:
    """Find the folders of runs at these places or below them at any depth; each once.

    Raises:
        RecordError: a place without a run.
    """
    folders: dict[Path, Path] = {}
    for place in map(Path, places):
        found = sorted(file.parent for file in place.rglob("run.json"))
        if not found:
            raise RecordError(f"{place}: no runs here; expected a folder with a run.json in it or below it.")
        for folder in found:
            folders.setdefault(folder.resolve(), folder)
    return list(folders.values())


def _read_measurements(file: Path) -> tuple[list[Measurement], int]:
    """Read the whole lines of a file of measurements, and count the bytes of a last line that a kill cut off."""
    if not file.exists():
        return [], 0
    *lines, tail = file.read_bytes().split(b"\n")
    measurements = []
    for number, line in enumerate(lines, start=1):
        try:
            measurements.append(Measurement.model_validate_json(line))
        except ValidationError as error:
            raise RecordError(f"{file}, line {number}: not a measurement: {first_problem(error)}. {ADVICE}") from None
    return measurements, len(tail)


def _warn_of_torn_line(file: Path, torn: int, kept: int) -> None:
    warnings.warn(
        f"{file}: the last line was cut off (by a kill, or it is being written now); "
        f"dropped {torn} bytes, kept {kept} measurements.",
        TaumemWarning,
        stacklevel=3,
    )


def _refuse_another_run(path: Path, existing: RunHeader, wanted: RunHeader) -> None:
    was, now = existing.identity, wanted.identity
    if was != now:
        raise RecordError(
            f"{path}: holds another run: {first_difference(was, now)}. "
            "Choose another output folder, or remove this one."
        )
