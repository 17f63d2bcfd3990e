"""The writer of a run's folder: one at a time, each fact once, and never half of a file."""

import math
import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import filelock
from numpy.typing import NDArray

from taumem.errors import RecordError, TaumemWarning, first_difference
from taumem.record.estimate import Measurement
from taumem.record.files import (
    make_folder,
    refuse_a_link,
    remove_leftovers,
    saying_why,
    sync_folder,
    write_atomically,
)
from taumem.record.folder import RunFolder, array_bytes, array_file
from taumem.record.header import SCHEMA_VERSION, RunHeader, header_text, read_header
from taumem.record.lines import encoded, read_lines

__all__ = ["BeingWritten", "FolderWriter", "refuse_another_writer"]


class FolderWriter:
    """Begins a run in a folder, or continues the same run; the folder is locked until :meth:`close`.

    Args:
        path: the folder; made if it is missing.
        header: what the run is.

    Attributes:
        header: the one in the folder: that with which the run began, and the length of the longest plan since.
        kept: what the folder keeps.

    Raises:
        RecordError: the folder holds another run, or one of a longer plan; it is damaged or cannot be written to; or
            another process is writing to it.
    """

    def __init__(self, path: Path, header: RunHeader) -> None:
        self.path = path
        self._lock = _locked(path)
        try:
            remove_leftovers(path)
            existing, schema = self._begun(header)
            file = path / "measurements.jsonl"
            self._origin = existing.origin
            lines = read_lines(file, self._origin, all_checked=schema >= 3)
            self.kept = RunFolder(path, lines.measurements, self._origin)
            self._check_sums = lines.check_sums
            with saying_why(file):
                if not lines.all_checked:
                    write_atomically(file, encoded(lines.bodies, self._origin)[0])
                self._file = file.open("ab", buffering=0)
                self._size = file.stat().st_size - (lines.torn if lines.all_checked else 0)
                self._file.truncate(self._size)
                sync_folder(path)
            self.header = existing if existing.length == header.length else existing.as_long_as(header)
            if schema < SCHEMA_VERSION or self.header != existing:
                self.write_header(self.header)
        except BaseException:
            self._lock.release()
            raise

    def _begun(self, header: RunHeader) -> tuple[RunHeader, int]:
        """The header in the folder, now or before, and the schema that the run's files are in."""
        if (self.path / "run.json").exists():
            existing, schema = read_header(self.path)
            _refuse_another_run(self.path, existing, header)
            return existing, schema
        lines = self.path / "measurements.jsonl"
        if lines.exists() and lines.stat().st_size:
            raise RecordError(
                f"{self.path}: holds measurements, but no run.json that says of which run. "
                "Choose another output folder, or remove this one."
            )
        self.write_header(header)
        return header, SCHEMA_VERSION

    def write_header(self, header: RunHeader) -> None:
        """Put a header in place of the one that was there."""
        write_atomically(self.path / "run.json", header_text(header))

    def append(self, measurements: Iterable[Measurement]) -> None:
        """Write the measurements that are not there yet, and flush them to the disk.

        Raises:
            RecordError: a number is not finite, or the disk refuses (it is full, say); nothing is then written.
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
            bodies = [m.model_dump_json(exclude_none=True).encode().removesuffix(b"}") for m in new.values()]
            lines, checks = encoded(bodies, self._last_check or self._origin)
            self._write(lines)
            self._check_sums += checks
            self.kept.add(new.values())

    @property
    def _last_check(self) -> str:
        return self._check_sums[-1] if self._check_sums else ""

    def _write(self, lines: bytes) -> None:
        """Write lines at the end, all of them or none."""
        with saying_why(self.path / "measurements.jsonl"):
            try:
                self._file.truncate(self._size)  # what an earlier attempt left, if it could not be cut then
                rest = memoryview(lines)
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fsync(self._file.fileno())
            except BaseException:
                with suppress(OSError):
                    self._file.truncate(self._size)
                raise
        self._size += len(lines)

    @property
    def mark(self) -> str:
        """How many lines there are, and the check of the last one, which vouches for all before it."""
        return f"{len(self._check_sums)} {self._last_check}".rstrip()

    def holds(self, mark: str) -> bool:
        """Whether the lines that there were at a mark are the first of those that there are now."""
        n_lines, _, check = mark.partition(" ")
        checks = ["", *self._check_sums]
        return int(n_lines) < len(checks) and checks[int(n_lines)] == check

    def keep_arrays(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays at a step, in place of those that were kept there."""
        file = array_file(self.path, step)
        refuse_a_link(file)
        write_atomically(file, array_bytes(arrays, step, self._origin))

    def close(self) -> None:
        """Let others write to this run."""
        self._file.close()
        self._lock.release()


class BeingWritten(RecordError):  # noqa: N818 (what it is)
    """Another process writes the run."""


def refuse_another_writer(path: Path) -> None:
    """Refuse a run that another process writes, before anything is made for it.

    Args:
        path: the run's folder.

    Raises:
        BeingWritten: one does.
        RecordError: there can be no folder.
    """
    _locked(path).release()


def _locked(path: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(path / ".lock", timeout=0)
    make_folder(path)
    for own in (".lock", "run.json", "measurements.jsonl"):
        refuse_a_link(path / own)
    with saying_why(path):
        try:
            lock.acquire()
        except filelock.Timeout:
            raise BeingWritten(f"{path}: another process is writing this run; wait for it or stop it.") from None
    return lock


def _refuse_another_run(path: Path, existing: RunHeader, wanted: RunHeader) -> None:
    was, now = existing.identity, wanted.identity
    if was != now:
        raise RecordError(
            f"{path}: holds another run: {first_difference(was, now)}. "
            "Choose another output folder, or remove this one."
        )
    if wanted.steps < existing.steps:
        raise RecordError(
            f"{path}: its steps is {existing.steps}, this one has {wanted.steps}; a run can be made longer, not "
            f"shorter. Ask for at least {existing.steps} steps, or choose another output folder."
        )
