"""Which of the checkpoints that exist is the one to keep, and which a rotating saver must leave."""

import math
from collections.abc import Collection, Mapping
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import torch

from taumem.analysis.stopping import Checkpoint, Reason, Verdict
from taumem.record import RunRecord, write_atomically

__all__ = ["KeptCheckpoints"]

WEIGHTS = "weights-{step}.pt"
"""The file of weights that a guard keeps itself."""


class KeptCheckpoints:
    """The checkpoints that a trainer has told of.

    Attributes:
        paths: by step; empty where the trainer gave none.
    """

    def __init__(self) -> None:
        self.paths: dict[int, str] = {}

    def add(self, step: int, path: str) -> None:
        """A checkpoint exists now."""
        self.paths[index(step)] = path

    def keep(self, folder: Path, step: int, weights: Any, wanted: Collection[int]) -> None:
        """Write the weights of a step into a folder, in place of those that are wanted no longer.

        Raises:
            RecordError: the disk refuses.
        """
        file = folder / WEIGHTS.format(step=step)
        write_atomically(file, lambda path: torch.save(weights, path))
        for former, path in list(self.paths.items()):
            if former not in {step, *wanted} and Path(path) == folder / WEIGHTS.format(step=former):
                Path(path).unlink(missing_ok=True)
                self.remove(former)
        self.add(step, str(file))

    def remove(self, step: int) -> None:
        """A checkpoint exists no longer."""
        self.paths.pop(step, None)

    def best(self, verdict: Verdict, record: RunRecord) -> Checkpoint | None:
        """The checkpoint to keep for what a verdict says; None where there is none, or nothing speaks for one.

        The held-out loss, read between looks, decides where the rule is about it; else the last checkpoint that is not
        after the look to keep, or the first one, if all are.
        """
        if not self.paths or verdict.keep is None:
            return None
        steps = np.array(sorted(self._there()))
        loss = record.curve_or_none("heldout_loss")
        if verdict.reason in (Reason.LOSS_TURNED, Reason.NO_ONSET) and loss is not None and (loss.steps > 0).any():
            later = loss.steps > 0
            at = np.interp(np.log(np.maximum(steps, 1)), np.log(loss.steps[later]), loss.values[later])
            # Beyond the looks nothing is known: the checkpoint nearest to the look to keep wins among equals.
            far = [abs(math.log(max(int(step), 1) / max(verdict.keep, 1))) for step in steps]
            place = min(range(len(steps)), key=lambda k: (float(at[k]), far[k]))
        else:
            place = max(int(np.searchsorted(steps, verdict.keep, side="right")) - 1, 0)
        step = int(steps[place])
        return Checkpoint(step, self.paths[step])

    def _there(self) -> list[int]:
        """Those that were not deleted: where any of the paths is found on this disk, the others are gone."""
        gone = [step for step, path in self.paths.items() if path and not Path(path).exists()]
        found = [step for step in self.paths if step not in gone]
        return found if any(self.paths[step] for step in found) else list(self.paths)

    def state(self) -> dict[str, Any]:
        """By step, as JSON has it."""
        return {str(step): path for step, path in self.paths.items()}

    def load(self, state: Mapping[str, str]) -> None:
        """Take over what another process knew."""
        self.paths = {int(step): str(path) for step, path in state.items()}
