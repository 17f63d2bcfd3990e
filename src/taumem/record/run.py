"""A run: what it is, what was measured in it, and its samples; in a folder, or (to be read alone) in a sealed file.

A fact that is already there is never written twice, so a resumed run has no gap and no duplicate.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from taumem.errors import ConfigError, RecordError, first_difference
from taumem.record.copy_rule import CopyRule
from taumem.record.curve import Curve
from taumem.record.estimate import Measurement
from taumem.record.folder import RunFolder
from taumem.record.header import RunHeader, read_header
from taumem.record.kept import Arrays, Kept
from taumem.record.lines import read_lines
from taumem.record.sealed import find_sealed, sealed_file_above
from taumem.record.writer import FolderWriter

__all__ = ["RunRecord"]


class RunRecord:
    """A run: its header and its measurements, in memory as on disk.

    Open one with :meth:`read` to look at it, with :meth:`open` to write to it (one writer at a time), or make one in
    memory with :meth:`of`.

    Args:
        path: the run's folder; of a sealed run, the sealed file and the run's name in it.
        header: what the run is.
        kept: its measurements and arrays.
        writer: of its folder, if it is to be written to.
    """

    def __init__(self, path: Path, header: RunHeader, kept: Kept, writer: FolderWriter | None = None) -> None:
        self.path = path
        self.header = header
        self._kept = kept
        self._writer = writer

    def __repr__(self) -> str:
        return f"<RunRecord {self.path}: {self.header.key}>"

    # --- reading ----------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, path: Path | str) -> "RunRecord":
        """Read a run.

        Args:
            path: the folder that holds ``run.json``; or a sealed file and the name of a run in it, as
                ``study.sealed/P000016-seed0``. Where the folder is gone, the run is looked for in the sealed file that
                stands beside its study.

        Raises:
            RecordError: no run there, a header or a line that cannot be understood, or a schema version of the future.
        """
        path = Path(path)
        if not (path / "run.json").exists() and (found := find_sealed(path)):
            (study, name), *others = found
            if others:
                raise RecordError(f"{path}: holds {len(found)} runs; name one of them, such as {study.path / name}.")
            return cls(study.path / name, study.headers[name], study.run(name))
        header, schema = read_header(path)
        lines = read_lines(path / "measurements.jsonl", header.origin, all_checked=schema >= 3)
        return cls(path, header, RunFolder(path, lines.measurements, header.origin))

    @classmethod
    def of(cls, header: RunHeader, measurements: Iterable[Measurement]) -> "RunRecord":
        """Make a run in memory, without arrays; a fact that comes twice is taken once."""
        nowhere = Path("(in memory)")
        return cls(nowhere, header, RunFolder(nowhere, measurements))

    def as_it_stands(self) -> "RunRecord":
        """The same run for a reader: what is written to it from now on is not in it."""
        if self._writer is None:
            return self
        return RunRecord(self.path, self.header, RunFolder(self.path, self.measurements, self.header.origin))

    @property
    def measurements(self) -> list[Measurement]:
        """All that was measured, in the order in which it was written."""
        return self._kept.measurements

    @property
    def steps(self) -> list[int]:
        """The steps at which something was measured, ascending."""
        return self._kept.steps

    @property
    def last_step(self) -> int:
        """The last step at which something was measured; 0 for a run that has only begun."""
        return max(self.steps, default=0)

    @property
    def quantities(self) -> list[str]:
        """The names of what was measured, sorted."""
        return sorted({quantity for quantity, _ in self._kept.series})

    def curve(self, quantity: str, t: float | None = None) -> Curve:
        """One quantity over training.

        Args:
            quantity: its name; see :attr:`quantities`.
            t: the diffusion time, or None for the quantity that belongs to no single time.

        Raises:
            RecordError: the run has no such quantity.
        """
        if (quantity, t) not in self._kept.series:
            at = "" if t is None else f" at t = {t:g}"
            raise RecordError(
                f"{self.path}: no measurement of '{quantity}'{at}; it has: {', '.join(self.quantities) or 'none'}."
            )
        return self._kept.curve(quantity, t)

    def curve_or_none(self, quantity: str) -> Curve | None:
        """A quantity that belongs to no single diffusion time, over training; None where the run has none."""
        return self._kept.curve(quantity, None) if (quantity, None) in self._kept.series else None

    def array_steps(self) -> list[int]:
        """The steps at which arrays (samples) were kept, ascending."""
        return self._kept.array_steps()

    def arrays(self, step: int) -> Arrays:
        """The arrays kept at a step.

        Raises:
            RecordError: nothing was kept at that step.
        """
        if step not in (steps := self.array_steps()):
            raise RecordError(f"{self.path}: no arrays at step {step}; there are some at {steps}.")
        return self._kept.arrays(step)

    # --- writing ----------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path | str, header: RunHeader) -> "RunRecord":
        """Begin a run, or continue the same run, as its only writer.

        Args:
            path: the run's folder; made if it is missing.
            header: what the run is.

        Raises:
            RecordError: the folder holds another run, cannot be understood, or is being written by another process; or
                the run is sealed.
        """
        path = Path(path)
        if file := sealed_file_above(path):
            raise RecordError(f"{path}: is sealed, and sealed runs are not written to; unseal {file} into a folder.")
        if not (path / "run.json").exists() and (found := find_sealed(path)):
            raise RecordError(
                f"{path}: {found[0][0].path} holds this run; unseal it to go on with it, or choose another folder."
            )
        writer = FolderWriter(path, header)
        return cls(path, writer.header, writer.kept, writer)

    def append(self, measurements: Iterable[Measurement]) -> None:
        """Write measurements that the record does not hold yet, and flush them to the disk.

        Raises:
            RecordError: the record was opened for reading, or a number is not finite.
        """
        self._writable().append(measurements)

    def note_probes(self, settings: Mapping[str, Mapping[str, Any]], copy_rule: CopyRule | None = None) -> None:
        """Note in the header how the probes measure; numbers measured otherwise belong into another record.

        Args:
            settings: of each probe, by its name; values that JSON can hold.
            copy_rule: when a sample counts as a copy; None if no probe counts copies.

        Raises:
            RecordError: the record was opened for reading, or the run was measured with other settings before.
            ConfigError: a setting that JSON cannot hold.
        """
        writer = self._writable()
        fresh = {"probes": self.header.probes | json.loads(json.dumps(settings, default=_plain))}
        changed = self.header.model_copy(update=fresh | ({"copy_rule": copy_rule} if copy_rule else {}))
        before, now = self.header.noted, changed.noted
        # Settings that one of two versions of a probe does not know say nothing of a difference.
        known = {name: {key: value for key, value in before[name].items() if key in now[name]} for name in before}
        again = {name: {key: now[name][key] for key in known[name]} for name in known}
        if self.steps and again != known:
            raise RecordError(
                f"{self.path}: was measured otherwise before: {first_difference(known, again)}. "
                "Choose another output folder, or measure as before."
            )
        if now != before:
            self.header = changed
            writer.write_header(changed)

    def keep_arrays(self, step: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays (samples and what belongs to them) at a step, in place of those that were kept there.

        Raises:
            RecordError: the record was opened for reading.
        """
        self._writable().keep_arrays(step, arrays)

    @property
    def mark(self) -> str:
        """What the record holds at this moment, in a few characters: for a checkpoint, say, that goes with it.

        Raises:
            RecordError: the record was opened for reading.
        """
        return self._writable().mark

    def holds(self, mark: str) -> bool:
        """Whether the record still holds all that it did when it had this mark, to the bit."""
        return self._writable().holds(mark)

    def close(self) -> None:
        """Let others write to this run."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _writable(self) -> FolderWriter:
        if self._writer is None:
            raise RecordError(f"{self.path}: not open for writing; use RunRecord.open to write.")
        return self._writer


def _plain(value: Any) -> Any:
    """What JSON can hold of a setting: the numbers of numpy and torch are spelled differently, and mean the same."""
    if callable(convert := getattr(value, "tolist", None)):
        return convert()
    raise ConfigError(f"a probe's settings are values that JSON can hold; got {value!r} ({type(value).__name__}).")
