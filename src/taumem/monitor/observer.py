"""What a guard asks of a model, and the records that hold the answers: one for each kind of weights."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from taumem.errors import TaumemWarning
from taumem.monitor.watch import Watch
from taumem.monitor.weights import averaged, state_of
from taumem.probes.isolation import device_of, undisturbed
from taumem.probes.item_losses import ItemLosses
from taumem.probes.probe import Probe, SampleProbe, Sampler
from taumem.processes import together
from taumem.record import Measurement, RunHeader, RunRecord

__all__ = ["Observer"]


class Observer:
    """Asks a model with each kind of its weights, leaves it as it was, and writes down the answers.

    Args:
        header: what the run is, but for the kind of weights.
        kinds: of weights, "raw" or "ema"; the first one speaks for the run.
        folder: of the records; None for temporary ones.
        losses: asked at every look, by all processes together.
        others: likewise.
        alone: asked at every look by the first process.
        sampler: draws samples.
        sample_probes: asked about them.
        ema: the averaged weights, if they are watched.
        restores: objects that a loss writes into.

    Raises:
        RecordError: the folder holds another run, or cannot be written to.
    """

    def __init__(
        self,
        header: RunHeader,
        kinds: Sequence[str],
        folder: Path | None,
        *,
        losses: ItemLosses,
        others: Sequence[Probe],
        alone: Sequence[Probe],
        sampler: Sampler | None,
        sample_probes: Sequence[SampleProbe],
        ema: Any,
        restores: Sequence[object],
    ) -> None:
        self.losses = losses
        self._ema, self._restores = ema, tuple(restores)
        self._watches = {
            kind: Watch(
                header.model_copy(update={"weights": kind}),
                folder / kind if folder and len(kinds) > 1 else folder,
                shared=(losses, *others),
                alone=alone,
                sampler=sampler,
                sample_probes=sample_probes,
                seed=header.seed,
            )
            for kind in kinds
        }

    @property
    def record(self) -> RunRecord:
        """That of the weights that speak for the run."""
        return next(iter(self._watches.values())).record

    def meet(self) -> bool:
        """Let all processes know what is recorded: an observer may be made before there are several.

        Returns:
            Whether this process learned of something.
        """
        learned = [watch.meet() for watch in self._watches.values()]
        return any(learned)

    def begin(self, model: Any) -> None:
        """Try the loss, once.

        Raises:
            ConfigError: it cannot be used, and what to change.

        Warns:
            TaumemWarning: the model has no parameters, or what is worth knowing of the loss.
        """
        if self.losses.is_tried:
            return
        if device_of(model) is None:
            warnings.warn(
                f"the model ({type(model).__name__}) has no parameters: its mode and its device are not known. Hand "
                "over the network itself, or a tuple or dict of networks.",
                TaumemWarning,
                stacklevel=6,
            )
        with together("could not try the loss"), undisturbed(model, restores=self._restores):
            self.losses.try_loss(model)
        for note in self.losses.notes:
            warnings.warn(note, TaumemWarning, stacklevel=6)

    def look(self, model: Any, step: int, examples: int, *, samples: bool) -> list[Measurement]:
        """Ask everything, of all kinds of weights.

        Args:
            model: that is trained.
            step: optimizer steps taken.
            examples: training examples seen; 0 where that is not known.
            samples: whether to draw samples.

        Returns:
            What was measured of the weights that speak for the run.
        """
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()  # what training still has to do there is not the look's
        told = []
        for kind, watch in self._watches.items():
            with self._weights(kind, model) as asked:
                told.append(watch.look(asked, step, examples, samples=samples))
        return told[0]

    def weights(self, model: Any) -> Any:
        """The weights that speak for the run, on the CPU."""
        with self._weights(next(iter(self._watches)), model) as asked:
            return state_of(asked)

    def close(self) -> None:
        """Let others write to the records."""
        for watch in self._watches.values():
            watch.record.close()

    @contextmanager
    def _weights(self, kind: str, model: Any) -> Iterator[Any]:
        """The model with the weights that are watched, left as it was."""
        weights = averaged(model, self._ema) if kind == "ema" else nullcontext(model)
        with weights as asked, undisturbed(asked, restores=self._restores):
            yield asked
