"""The checkpoint to keep, copied to where no rotating saver deletes it.

Trainers that hold few checkpoints (``save_total_limit``, ``checkpoints_total_limit``, ``save_top_k``) delete the
oldest, which is often the one from before memorization.
"""

import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from taumem.errors import RecordError, TaumemWarning
from taumem.monitor import Guard
from taumem.processes import is_first

__all__ = ["FOLDER", "KeptCopies"]

FOLDER = "_taumem-kept"
"""Beside the checkpoints: ``_taumem-kept/step-500/checkpoint-500``. No trainer takes its name for that of a checkpoint,
and what begins with an underscore, Transformers does not upload."""


class KeptCopies:
    """Tells a guard of checkpoints as they come and go, and keeps a copy of the best one so far.

    There is one copy at any time. It is a real one, since trainers may write a file again in place (``last.ckpt``). Of
    several processes, the first one copies.

    Args:
        guard: is told.
        folder: of the copies; None for a folder ``_taumem-kept`` beside the first checkpoint.
        copies: whether to copy; False where the trainer deletes nothing.
    """

    def __init__(self, guard: Guard, folder: Path | str | None = None, *, copies: bool = True) -> None:
        self.guard = guard
        self.folder = None if folder is None else Path(folder)
        self.copies = copies
        self._written: dict[Path, int] = {}

    def find(self, step: int, paths: Iterable[Path | str]) -> None:
        """Tell of those checkpoints that are new, or were written again, since this was last asked.

        Args:
            step: whose weights the new ones hold.
            paths: where checkpoints may be.
        """
        for path in sorted({Path(path) for path in paths}):
            written = path.stat().st_mtime_ns if path.exists() else 0
            if written and self._written.get(path) != written:
                self._written[path] = written
                self.saved(step, path)

    def saved(self, step: int, path: Path | str) -> None:
        """Tell of a checkpoint that is complete: a file or a folder.

        Args:
            step: whose weights it holds.
            path: where it is.

        Raises:
            RecordError: the disk refuses, and the guard is strict.
        """
        path = Path(path)
        if self.folder is None:
            self.folder = next((place for place in path.parents if place.name == FOLDER), path.parent / FOLDER)
        with _never_deadly(self.guard):
            for former, place in self._known():
                if former != step and place == path:  # written again in place
                    self._gone(former)
            self.guard.saved(step, path)
            self.refresh()

    def refresh(self) -> None:
        """Forget checkpoints that are gone, copy the one to keep, and remove copies of others."""
        if not is_first():
            return
        with _never_deadly(self.guard):
            for step, place in self._known():
                if not place.exists():
                    self._gone(step)
            # A guard that keeps weights itself needs no copies of others'.
            best = self.guard.verdict.checkpoint
            if not self.copies or self.guard.on_onset == "checkpoint" or best is None or not best.path:
                return
            home = self._home(best.step)
            if not home.exists():
                _copy(Path(best.path), home)
            for step, place in self._known():
                if step != best.step and self._home(step).exists():
                    shutil.rmtree(self._home(step))
                    if not place.exists():
                        self.guard.deleted(step)

    def _known(self) -> Iterator[tuple[int, Path]]:
        """The checkpoints that the guard was told of, those without a path left out."""
        told: dict[str, str] = self.guard.state_dict()["checkpoints"]
        yield from [(int(step), Path(path)) for step, path in told.items() if path]

    def _gone(self, step: int) -> None:
        copies = list(self._home(step).glob("*"))
        if copies:
            self.guard.saved(step, copies[0])
        else:
            self.guard.deleted(step)

    def _home(self, step: int) -> Path:
        return (self.folder or Path(FOLDER)) / f"step-{step}"


@contextmanager
def _never_deadly(guard: Guard) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = f"the checkpoint to keep was not copied: {error}"
        if guard.strict:
            raise RecordError(told) from error
        warnings.warn(f"{told}. The trainer may delete it.", TaumemWarning, stacklevel=4)


def _copy(source: Path, home: Path) -> None:
    """Copy a file or a folder into a new folder, which appears once it is complete."""
    unfinished = home.with_name(f"{home.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    target = unfinished / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
    unfinished.rename(home)
