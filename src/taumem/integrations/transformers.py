"""The guard as a callback of the Transformers Trainer.

::

    guard = taumem.Guard(loss, train=train_items, heldout=heldout_items, folder="runs/mine", on_onset="stop")
    trainer = Trainer(model, args, train_dataset=..., callbacks=[TransformersGuard(guard)])
    trainer.train()
    print(guard.verdict)

``sinks=[lambda numbers, step: trainer.log(numbers)]`` of the guard writes its numbers where the Trainer's go. A loss
that writes into the Trainer (meters, say) is put right by ``restores=[...]`` of the guard.
"""

import warnings
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from taumem.errors import TaumemWarning
from taumem.integrations.kept_copies import FOLDER, KeptCopies
from taumem.integrations.state_file import read_state, write_state
from taumem.monitor import Guard

__all__ = ["TransformersGuard"]


class TransformersGuard(TrainerCallback):  # type: ignore[misc]
    """Asks a guard after each update; stops the Trainer where the guard says so.

    It is no ``ExportableState``, so that ``restore_callback_states_from_checkpoint`` neither loses its state nor
    replaces its settings by older ones: the guard's state lies in each checkpoint as ``taumem.json``. With
    ``save_total_limit`` the checkpoint to keep is copied, so that it outlives the others.

    Args:
        guard: made beforehand; ``batch_size`` is that of all devices and accumulated batches together.
        keep_in: folder of the copy; None for ``_taumem-kept`` in the output folder.

    Attributes:
        guard: the guard.
    """

    def __init__(self, guard: Guard, *, keep_in: Path | str | None = None) -> None:
        self.guard = guard
        self._keep_in = keep_in

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Go on from where the checkpoint was made that training goes on from."""
        step = state.global_step
        if step and not any(read_state(self.guard, place, step) for place in self._places(args, step)):
            warnings.warn(
                f"training goes on from step {step:,}, and no checkpoint of that step with a guard's state was found "
                f"in {args.output_dir}: the guard goes on with what its record says.",
                TaumemWarning,
                stacklevel=2,
            )
        self._copies(args).refresh()

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> Any:
        """Look if a look is due; stop if the guard says so."""
        if self.guard(model, state.global_step):
            control.should_training_stop = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Put the guard's state into the checkpoint, and keep the best one from being rotated away."""
        step = state.global_step
        place = Path(args.output_dir) / f"checkpoint-{step}"
        if not place.is_dir():  # saved by another process, or in a search for hyperparameters
            return
        self.guard.saved(step, place)
        if state.is_world_process_zero:
            write_state(self.guard, place, step)
        self._copies(args).saved(step, place)

    def _copies(self, args: Any) -> KeptCopies:
        return KeptCopies(self.guard, self._kept(args), copies=bool(args.save_total_limit))

    def _kept(self, args: Any) -> Path:
        return Path(args.output_dir) / FOLDER if self._keep_in is None else Path(self._keep_in)

    def _places(self, args: Any, step: int) -> list[Path]:
        """Where the checkpoint of a step may be: the Trainer does not say which one it goes on from."""
        name = f"checkpoint-{step}"
        told = [Path(args.resume_from_checkpoint)] if isinstance(args.resume_from_checkpoint, str) else []
        return [*told, Path(args.output_dir) / name, self._kept(args) / f"step-{step}" / name]
