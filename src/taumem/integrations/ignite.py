"""The guard in an Ignite engine, such as MONAI's trainers.

::

    guarded = IgniteGuard(guard, model)
    guarded.attach(trainer)                    # of MONAI: SupervisedTrainer(..., train_handlers=[IgniteGuard(guard)])
    guarded.follow(trainer, Events.EPOCH_COMPLETED, checkpoint)    # in place of trainer.add_event_handler
    trainer.run(loader, max_epochs=1000)

Its state goes into checkpoints by its name: ``Checkpoint({"model": model, "guard": guarded, ...}, ...)``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taumem.errors import ConfigError
from taumem.integrations.kept_copies import KeptCopies
from taumem.monitor import Guard

__all__ = ["IgniteGuard"]


class IgniteGuard:
    """Asks a guard after each update; terminates the engine where the guard says so.

    Args:
        guard: made beforehand; ``batch_size`` is that of all processes and accumulated batches together.
        model: that is trained, handed on to the loss; None takes the engine's ``network``, as MONAI's trainers have it.
        accumulation: iterations of the engine for each update, as ``gradient_accumulation_steps`` of Ignite's
            trainers; None takes the engine's ``accumulation_steps``, as MONAI's have it, or 1.
        keep_in: folder of the copy of the checkpoint to keep; None for ``_taumem-kept`` beside the checkpoints.

    Attributes:
        guard: the guard.

    Raises:
        ConfigError: no number of iterations for an update.
    """

    def __init__(
        self, guard: Guard, model: Any = None, *, accumulation: int | None = None, keep_in: Path | str | None = None
    ) -> None:
        if accumulation is not None and accumulation < 1:
            raise ConfigError(f"an update takes at least 1 iteration; got accumulation = {accumulation}.")
        self.guard = guard
        self._model = model
        self._accumulation = accumulation
        self._copies = KeptCopies(guard, keep_in)

    def attach(self, engine: Any) -> None:
        """Be asked after each iteration of a trainer.

        Args:
            engine: of Ignite or MONAI, the one that trains.
        """
        from ignite.engine import Events

        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def follow(self, engine: Any, event: Any, checkpoint: Any) -> None:
        """Let a checkpoint handler save at an event, and hear of what it saved.

        Args:
            engine: that trains.
            event: at which it saves, such as ``Events.ITERATION_COMPLETED(every=100)``.
            checkpoint: Ignite's ``Checkpoint``, ``ModelCheckpoint``, or another handler with ``last_checkpoint``.
        """
        engine.add_event_handler(event, checkpoint)
        engine.add_event_handler(event, self._saved, checkpoint)

    def __call__(self, engine: Any) -> None:
        """Look if a look is due; end the training if the guard says so.

        Raises:
            ConfigError: no model was given, and the engine has none.
        """
        step, is_whole = self._updates(engine)
        if not is_whole:
            return
        model = getattr(engine, "network", None) if self._model is None else self._model
        if model is None:
            raise ConfigError("give the model: IgniteGuard(guard, model); this engine has no 'network', as MONAI's do.")
        if self.guard(model, step):
            engine.terminate()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, of plain types."""
        return self.guard.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Bring the guard to where it was."""
        self.guard.load_state_dict(state_dict)

    def _updates(self, engine: Any) -> tuple[int, bool]:
        """Updates so far, and whether gradients have not begun to accumulate for the next one."""
        iteration, each = engine.state.iteration, self._accumulation or getattr(engine, "accumulation_steps", 1)
        # MONAI updates at the end of an epoch too, with what has accumulated by then.
        length = engine.state.epoch_length if hasattr(engine, "accumulation_steps") else None
        epochs, within = divmod(iteration, length) if length else (0, iteration)
        before = epochs * -(-length // each) if length else 0
        return before + within // each, within % each == 0

    def _saved(self, engine: Any, checkpoint: Any) -> None:
        path = checkpoint.last_checkpoint
        if path is not None:
            self._copies.find(self._updates(engine)[0], [path])
