"""The state of a guard as a JSON file inside a checkpoint: it goes wherever the checkpoint goes.

Frameworks keep states of their own kind of objects, and lose them in their own ways: Transformers drops those of
callbacks unless asked, Accelerate refuses checkpoints from before a guard was there. A file of its own is lost with the
checkpoint alone.
"""

import json
import warnings
from pathlib import Path

from taumem.errors import ConfigError, RecordError, TaumemWarning
from taumem.monitor import Guard
from taumem.record import write_atomically

__all__ = ["STATE_FILE", "read_state", "write_state"]

STATE_FILE = "taumem.json"


def write_state(guard: Guard, folder: Path, step: int) -> None:
    """Write the state of a guard into the folder of a checkpoint.

    Args:
        guard: whose state.
        folder: of the checkpoint.
        step: whose weights it holds.

    Raises:
        RecordError: the disk refuses, and the guard is strict.

    Warns:
        TaumemWarning: the disk refuses.
    """
    state = json.dumps({"step": step, "guard": guard.state_dict()}, indent=1)
    try:
        write_atomically(folder / STATE_FILE, f"{state}\n")
    except RecordError as error:
        if guard.strict:
            raise
        warnings.warn(f"the guard's state is not in the checkpoint: {error}", TaumemWarning, stacklevel=3)


def read_state(guard: Guard, folder: Path, step: int | None = None) -> int | None:
    """Bring a guard to where it was when a checkpoint was made.

    Args:
        guard: goes on from there.
        folder: of the checkpoint.
        step: whose weights it must hold; None for any.

    Returns:
        The step whose weights the checkpoint holds; None where it has no state of a guard, or that of another step.

    Warns:
        TaumemWarning: the file is damaged. The guard goes on with what its record says.
    """
    file = folder / STATE_FILE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        made = int(found["step"])
        if step is not None and made != step:
            return None
        guard.load_state_dict(found["guard"])
    except (OSError, LookupError, TypeError, ValueError, ConfigError) as error:
        warnings.warn(
            f"{file}: no state of a guard can be read ({error}). The guard goes on with what its record says.",
            TaumemWarning,
            stacklevel=3,
        )
        return None
    return made
