"""Where pilots are kept: what all have in common, and which are finished; by one process at a time.

A pilot is finished once its folder says so, beside the record: ``pilot.json``, written last and whole. Any other began
and was interrupted. It is removed before it is made again, since the same training twice need not give the same
numbers.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import filelock

from taumem.analysis.stopping import Reason, Verdict
from taumem.errors import ConfigError, RecordError, TaumemError, first_difference
from taumem.monitor.subsets import Subset
from taumem.processes import is_first, n_processes, told_by_first
from taumem.record import write_atomically
from taumem.record.files import make_folder, saying_why

__all__ = ["PilotFolder", "done_by_first"]

PLAN, FINISHED = "pilots.json", "pilot.json"
OURS = "P*-repeat*"

T = TypeVar("T")


def done_by_first(action: Callable[[], T]) -> T:
    """Let one of several processes that train together do something, and all know what came of it, errors too.

    Raises:
        ConfigError: there are several processes, and they do not know of one another yet.
        TaumemError: what the action raised, in every process.
    """
    if not is_first() and n_processes() == 1:
        raise ConfigError(
            "pilots are made by several processes, which do not know of one another yet: call "
            "torch.distributed.init_process_group first, or make the pilots in one process."
        )
    done: tuple[TaumemError | None, Any] = (None, None)
    if is_first():
        try:
            done = (None, action())
        except TaumemError as error:
            done = (error, None)
    problem, value = told_by_first(done)
    if problem is not None:
        raise problem
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PilotFolder:
    """The folder of some pilots.

    Attributes:
        path: of it.
    """

    path: Path

    @contextmanager
    def opened(self, facts: Mapping[str, Any]) -> Iterator[Self]:
        """Work in the folder, as the only one.

        Args:
            facts: what these pilots have in common, as JSON can hold it. Where one is finished, they must be its own.

        Raises:
            RecordError: the folder holds other pilots, or runs that are none; another process works in it, or the disk
                refuses.
        """
        lock = filelock.FileLock(self.path / ".pilots.lock", timeout=0)
        done_by_first(lambda: self._begin(lock, json.loads(json.dumps(facts))))
        try:
            yield self
        finally:
            lock.release()

    def finished(self, subset: Subset, max_steps: int | None) -> dict[str, Any] | None:
        """What came of a pilot; None where it is still to be made, or ended at a limit that has been raised since.

        Raises:
            RecordError: what is written there cannot be read.
        """
        file = self.path / subset.name / FINISHED
        if not file.exists():
            return None
        found = _read(file, f"remove {file.parent}, and it is made again")
        ended_at = found.get("step", 0) if found.get("reason") == Reason.LIMIT else None
        is_raised = ended_at is not None and (max_steps is None or max_steps > ended_at)
        return None if is_raised else found

    def clear(self, subset: Subset) -> Path:
        """Make room for a pilot, and give its place; what an interrupted one left is removed."""
        run = self.path / subset.name
        with saying_why(run):
            if run.exists():
                shutil.rmtree(run)
        return run

    def finish(self, subset: Subset, verdict: Verdict) -> None:
        """Note that a pilot is finished, and what came of it."""
        write_atomically(self.path / subset.name / FINISHED, json.dumps(verdict.to_json()) + "\n")

    def _begin(self, lock: filelock.BaseFileLock, facts: dict[str, Any]) -> None:
        make_folder(self.path)
        with saying_why(self.path):
            try:
                lock.acquire()
            except filelock.Timeout:
                raise RecordError(
                    f"{self.path}: another process is making these pilots; wait for it, or stop it."
                ) from None
        try:
            self._agree(facts)
        except BaseException:
            lock.release()
            raise

    def _agree(self, facts: dict[str, Any]) -> None:
        file = self.path / PLAN
        if not file.exists():
            if foreign := next(iter(sorted(self.path.glob(OURS))), None):
                raise RecordError(
                    f"{foreign}: is there, but no {PLAN} beside it that says of which pilots it is. Choose another "
                    "folder."
                )
        elif next(self.path.glob(f"{OURS}/{FINISHED}"), None) is not None:  # else nothing rests on the former plan
            before = _read(file, "choose another folder, or remove it")
            if before != facts:
                raise RecordError(
                    f"{self.path}: holds other pilots: {first_difference(before, facts)}. Choose another folder, or "
                    "remove it."
                )
            return
        write_atomically(file, json.dumps(facts) + "\n")


def _read(file: Path, what_to_do: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{file}: cannot be read ({error}); {what_to_do}.") from None
    if not isinstance(content, dict):
        raise RecordError(f"{file}: holds no facts of pilots; {what_to_do}.")
    return content
