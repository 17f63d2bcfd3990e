"""The guard as a callback of a Lightning Trainer, of ``lightning.pytorch`` or of ``pytorch_lightning``.

::

    guard = taumem.Guard(loss, train=train_items, heldout=heldout_items, folder="runs/mine", on_onset="stop")
    trainer = Trainer(max_steps=100_000, callbacks=[LightningGuard(guard)])      # the loss gets the LightningModule
    trainer.fit(module, loader)
    print(guard.verdict)

Other callbacks can watch its numbers: ``EarlyStopping(monitor="taumem/gap", strict=False)``,
``ModelCheckpoint(monitor="taumem/heldout_loss", every_n_train_steps=100)``. The Trainer's loggers get them at every
look.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from taumem.analysis.stopping import Reason
from taumem.integrations.kept_copies import KeptCopies
from taumem.monitor import Guard
from taumem.monitor.sinks import numbers_of

__all__ = ["LightningGuard"]

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""One library under two names, whose classes do not know each other."""


def _bases() -> tuple[type, ...]:
    """The Callback classes of the packages in use: those that are imported, or else the first that is installed."""
    used = [name for name in PACKAGES if name in sys.modules]
    if not used:
        try:
            import_module(PACKAGES[0])
            used = [PACKAGES[0]]
        except ModuleNotFoundError:
            used = [PACKAGES[1]]
    return tuple(import_module(name).Callback for name in used)


_Callback: Any = type("_Callback", _bases(), {})


class LightningGuard(_Callback):  # type: ignore[misc]
    """Asks a guard after each optimizer step; stops the Trainer where the guard says so.

    Its state goes with the Trainer's checkpoints, of plain types, so that they load with ``weights_only``. The
    checkpoint to keep is copied, so that it outlives ``save_top_k``. Steps are the Trainer's ``global_step``, which
    counts each optimizer's where there are several.

    Args:
        guard: made beforehand; ``batch_size`` is that of all devices and accumulated batches together.
        keep_in: folder of the copy; None for ``_taumem-kept`` beside the checkpoints.
        copies: whether to copy the checkpoint to keep; False where none are deleted.

    Attributes:
        guard: the guard.
    """

    def __init__(self, guard: Guard, *, keep_in: Path | str | None = None, copies: bool = True) -> None:
        super().__init__()
        self.guard = guard
        self._copies = KeptCopies(guard, keep_in, copies=copies)
        self._step = 0
        self._n_told = 0  # measurements that loggers and callbacks were told
        self._saved_at: int | None = None  # the step of checkpoints that were begun and are not known yet

    @property
    def state_key(self) -> str:
        """Tells guards of one Trainer apart."""
        return f"{type(self).__qualname__}[{self.guard.record.header.name}]"

    @property
    def stopping_reason(self) -> Reason:
        """Why the guard says stop, as of Lightning's ``EarlyStopping``."""
        return self.guard.verdict.reason

    @property
    def stopping_reason_message(self) -> str | None:
        """The same in a sentence; None where nothing speaks for stopping."""
        return self.guard.verdict.message if self.guard.should_stop else None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Go on from a checkpoint, if there is one."""
        self._step = trainer.global_step
        if self._step and trainer.ckpt_path:
            self.guard.saved(self._step, trainer.ckpt_path)
        # The last look before is told again, at its own step: callbacks that watch its numbers have forgotten them.
        looks = [m.step for m in self.guard.record.measurements]
        self._n_told = looks.index(looks[-1]) if looks else 0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look if a look is due; stop if the guard says so."""
        self._find_saved(trainer)
        if trainer.global_step == self._step:  # gradients accumulate
            return
        self._step = trainer.global_step
        with trainer.precision_plugin.forward_context():
            if self.guard(pl_module, self._step):
                trainer.should_stop = True
        self._tell(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Take note of the last checkpoints."""
        self._find_saved(trainer)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        """Take note that a checkpoint is made; where it is, callbacks are not told."""
        self._saved_at = trainer.global_step

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, of plain types."""
        return self.guard.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Bring the guard to where it was."""
        self.guard.load_state_dict(state_dict)

    def _find_saved(self, trainer: Any) -> None:
        """Tell of checkpoints that were written since the last look around."""
        if self._saved_at is None:
            return
        for saver in trainer.checkpoint_callbacks:
            names = ("best_model_path", "last_model_path")
            found = {*getattr(saver, "best_k_models", ()), *(getattr(saver, name, "") for name in names)}
            self._copies.find(self._saved_at, found - {""})
        self._saved_at = None

    def _tell(self, trainer: Any, pl_module: Any) -> None:
        """Hand the numbers of a new look to loggers, at its step, and to callbacks, in every process."""
        measured = self.guard.record.measurements
        if len(measured) == self._n_told:
            return
        new, self._n_told = measured[self._n_told :], len(measured)
        numbers = numbers_of(new, self.guard.verdict, self.guard.stop_step)
        pl_module.log_dict(numbers, on_step=True, on_epoch=False, logger=False)
        for logger in trainer.loggers:  # the Trainer itself would only write at every 50th step
            logger.log_metrics(numbers, step=new[-1].step)
