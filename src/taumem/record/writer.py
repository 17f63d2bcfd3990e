"""The writer of a run's folder: one at a time, each fact once, and never half of a file."""

import math
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from taumem.errors import RecordError, TaumemWarning, first_difference
from taumem.record.estimate import Measurement
from taumem.record.files import write_atomically
from taumem.record.folder import RunFolder, array_file, read_measurements
from taumem.record.header import RunHeader, read_header

__all__ = ["FolderWriter"]


class FolderWriter:
    """Begins a run in a folder, or continues the same run; the folder is locked until :meth:`close`.

    Args:
        path: the folder; made if it is missing.
        header: what the run is.

    Attributes:
        header: the one in the folder: that with which the run began.
        kept: what the folder keeps.

    Raises:
        RecordError: the folder holds another run, cannot be understood or written to, or is being written by another
            process.
    """

    def __init__(self, path: Path, header: RunHeader) -> None:
        self.path = path
        self._lock = _locked(path)
        try:
            self.header = self._begin(header)
            measurements, torn = read_measurements(path)
            self.kept = RunFolder(path, measurements)
            lines = path / "measurements.jsonl"
            self._file = lines.open("ab")
            self._file.truncate(lines.stat().st_size - torn)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, header: RunHeader) -> RunHeader:
        if (self.path / "run.json").exists():
            existing = read_header(self.path)
            _refuse_another_run(self.path, existing, header)
            return existing
        lines = self.path / "measurements.jsonl"
        if lines.exists() and lines.stat().st_size:
            raise RecordError(
                f"{self.path}: holds measurements, but no run.json that says of which run. "
                "Choose another output folder, or remove this one."
            )
        self.write_header(header)
        return header

    def write_header(self, header: RunHeader) -> None:
        """Put a header in place of the one that was there."""
        write_atomically(self.path / "run.json", header.model_dump_json(indent=2) + "\n")

    def append(self, measurements: Iterable[Measurement]) -> None:
        """Write the measurements that are not there yet, and flush them to the disk.

        Raises:
            RecordError: a number is not finite.
        """
        new: dict[tuple[int, str, float | None], Measurement] = {}
        changed: list[Measurement] = []
        values = self.kept.values
        for m in measurements:
            if m.key not in values:
                new.setdefault(m.key, m)
            elif not math.isclose(m.value, values[m.key], rel_tol=1e-2, abs_tol=1e-4):
                changed.append(m)
        if changed:
            warnings.warn(
                f"{self.path}: {changed[0].quantity} at step {changed[0].step} was {values[changed[0].key]:.4g} "
                f"when it was measured first and is {changed[0].value:.4g} now; the record keeps the first. A run with "
                "other settings needs another folder.",
                TaumemWarning,
                stacklevel=3,
            )
        for m in new.values():
            if not m.is_finite:
                raise RecordError(
                    f"{self.path}: {m.quantity} or its error is not finite at step {m.step} (it is {m.value}); "
                    "training has diverged (try a smaller learning rate)."
                )
        if new:
            self._file.write(b"".join(m.model_dump_json(exclude_none=True).encode() + b"\n" for m in new.values()))
            self._file.flush()
            os.fsync(self._file.fileno())
            self.kept.add(new.values())

    def keep_arrays(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays at a step, in place of those that were kept there."""

        def save(path: Path) -> None:
            with path.open("wb") as file:
                # numpy 1.26 would keep an argument allow_pickle as one more array.
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

        write_atomically(array_file(self.path, step), save)

    def close(self) -> None:
        """Let others write to this run."""
        self._file.close()
        self._lock.release()


def _locked(path: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(path / ".lock", timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise RecordError(f"{path}: another process is writing this run; wait for it or stop it.") from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be written to ({error.strerror}); choose another folder.") from None
    return lock


def _refuse_another_run(path: Path, existing: RunHeader, wanted: RunHeader) -> None:
    was, now = existing.identity, wanted.identity
    if was != now:
        raise RecordError(
            f"{path}: holds another run: {first_difference(was, now)}. "
            "Choose another output folder, or remove this one."
        )
