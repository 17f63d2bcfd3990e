"""The guard in a script on Hugging Face Accelerate, such as the training scripts of diffusers.

::

    guarded = AccelerateGuard(accelerator, guard)         # before accelerator.load_state
    ...
            if accelerator.sync_gradients:
                global_step += 1
                if guarded(model, global_step):           # in every process, before the script's own saving
                    break
        if guarded.stopped:                               # the loop over epochs has to end too
            break

``sinks=[accelerator]`` of the guard writes its numbers where the script's go. ``ema=ema_model`` takes diffusers'
``EMAModel``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taumem.integrations.kept_copies import FOLDER, KeptCopies
from taumem.integrations.state_file import read_state, write_state
from taumem.monitor import Guard
from taumem.processes import is_first

__all__ = ["AccelerateGuard"]


class AccelerateGuard:
    """Asks a guard after each update, and goes with the checkpoints that ``accelerator.save_state`` makes.

    The guard's state lies in each checkpoint as ``taumem.json`` and is read by ``accelerator.load_state``; checkpoints
    from before the guard was there can be loaded, which ``register_for_checkpointing`` would refuse. The checkpoint to
    keep is copied, so that it outlives ``checkpoints_total_limit``.

    Processes agree on when to stop without the accelerator's trigger, which stays the script's own.

    Args:
        accelerator: the script's.
        guard: made beforehand; ``batch_size`` is that of all processes and accumulated batches together.
        keep_in: folder of the copy; None for ``_taumem-kept`` beside the checkpoints.
        copies: whether to copy the checkpoint to keep; False where none are deleted.

    Attributes:
        guard: the guard.
        step: the last one that it was called with.
        stopped: whether it has said stop.
    """

    def __init__(
        self, accelerator: Any, guard: Guard, *, keep_in: Path | str | None = None, copies: bool = True
    ) -> None:
        self.guard = guard
        self.step = 0
        self.stopped = False
        self._accelerator = accelerator
        # Where Accelerate names checkpoints itself, it takes everything beside them for one.
        configuration = getattr(accelerator, "project_configuration", None)
        if keep_in is None and getattr(configuration, "automatic_checkpoint_naming", False):
            keep_in = Path(accelerator.project_dir) / FOLDER
        self._copies = KeptCopies(guard, keep_in, copies=copies)
        self._unfinished: tuple[int, Path] | None = None  # the checkpoint that is not copied yet, if it is to be
        self._unwrapped: dict[int, tuple[Any, Any]] = {}  # by identity; Accelerate takes its time for each
        accelerator.register_save_state_pre_hook(self._saving)
        accelerator.register_load_state_pre_hook(self._loading)

    def __call__(self, model: Any, step: int) -> bool:
        """Look if a look is due; say whether to stop.

        Args:
            model: as it was prepared: a module, or several in a tuple, list or dict.
            step: updates so far. While gradients accumulate nothing is done.
        """
        if not self._accelerator.sync_gradients:
            return self.stopped
        if self._unfinished is not None:  # the script has gone on, so its checkpoint is complete
            self._copies.saved(*self._unfinished)
            self._unfinished = None
        self.step = step
        self.stopped = self.guard(self._unwrap(model), step)
        return self.stopped

    def _unwrap(self, model: Any) -> Any:
        if isinstance(model, Mapping):
            return {name: self._unwrap(member) for name, member in model.items()}
        if isinstance(model, tuple | list):
            return tuple(self._unwrap(member) for member in model)
        wrapped, unwrapped = self._unwrapped.get(id(model), (None, None))
        if wrapped is not model:
            unwrapped = self._accelerator.unwrap_model(model)
            self._unwrapped[id(model)] = (model, unwrapped)
        return unwrapped

    def _saving(self, models: Any, weights: Any, folder: str) -> None:
        if is_first():
            self._unfinished = (self.step, Path(folder))
            self.guard.saved(*self._unfinished)
            write_state(self.guard, Path(folder), self.step)

    def _loading(self, models: Any, folder: str) -> None:
        step = read_state(self.guard, Path(folder))
        if step is not None:
            self.step = step
            self._unfinished = (step, Path(folder))  # killed since, its copy may not have been made
