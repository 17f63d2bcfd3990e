"""Where a run stands: a small file in its folder, which whoever makes the run writes now and then (``state.json``).

It is no part of the record: what was measured says what is true of the run, and this says what has become of it.
"""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from taumem.errors import RecordError
from taumem.record.files import process_runs, temporary_neighbor

__all__ = ["State", "StateName", "note_state", "read_state"]

StateName = Literal["running", "interrupted", "failed", "finished"]
FILE = "state.json"
SECONDS_OF_SILENCE = 600.0
"""After which a run that said it was running on another computer is taken to have been killed."""


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes:
        name: in a word.
        step: the last one that was told.
        reason: why it failed, in one line; else empty.
        trace: of an error that was not foreseen; else empty.
        host: the computer that it ran on.
        pid: the process there.
        at: when this was noted, in seconds since 1970.
    """

    name: StateName
    step: int
    reason: str = ""
    trace: str = ""
    host: str = field(default_factory=platform.node)
    pid: int = field(default_factory=os.getpid)
    at: float = field(default_factory=time.time)

    @property
    def now(self) -> StateName:
        """In a word, today: a run that was killed could not say so."""
        is_here = self.host == platform.node()
        was_killed = not process_runs(self.pid) if is_here else time.time() - self.at > SECONDS_OF_SILENCE
        return "interrupted" if self.name == "running" and was_killed else self.name


def note_state(run: Path, state: State) -> None:
    """Note in a run's folder where it stands, if the disk lets us: a run does not end for the want of a note."""
    file = run / FILE
    temporary = temporary_neighbor(file)
    try:
        run.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(asdict(state)), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        return


def read_state(run: Path) -> State | None:
    """Read where a run stands; None where nobody noted it, or where it cannot be understood."""
    try:
        state = State(**json.loads((run / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecordError):
        return None
    return state if state.name in get_args(StateName) and isinstance(state.step, int) else None
