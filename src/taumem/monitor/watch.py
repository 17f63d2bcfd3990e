"""One model under watch: its record, its monitor, and the processes that answer together."""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taumem.errors import ConfigError, RecordError
from taumem.monitor.monitor import Monitor
from taumem.probes.probe import Probe, SampleProbe, Sampler
from taumem.processes import is_first, n_processes, told_by_first
from taumem.record import Measurement, RunHeader, RunRecord

__all__ = ["Watch"]


class Watch:
    """Asks probes of one kind of weights, and writes down what they say.

    Of several processes all answer the probes that are shared; the first one answers the others, draws samples and
    writes; all hold the same measurements then, and judge alike.

    Args:
        header: what the run is.
        folder: of the record; None for a temporary one.
        shared: probes that all processes answer together.
        alone: probes that the first process answers.
        sampler: draws samples.
        sample_probes: asked about them.
        seed: of the samples.

    Raises:
        RecordError: the folder holds another run, or cannot be written to.
    """

    def __init__(
        self,
        header: RunHeader,
        folder: Path | None,
        *,
        shared: Sequence[Probe],
        alone: Sequence[Probe],
        sampler: Sampler | None,
        sample_probes: Sequence[SampleProbe],
        seed: int,
    ) -> None:
        if folder is None or not is_first():
            folder = Path(tempfile.mkdtemp(prefix="taumem-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.record = RunRecord.open(folder, header)
        self._has_met = False
        self.shared = tuple(shared)
        self.monitor = Monitor(
            self.record,
            (*shared, *alone),
            sampler=sampler,
            sample_probes=sample_probes,
            seed=seed,
            first_stand=True,
        )

    def meet(self) -> bool:
        """Let every process hold what the first one has recorded already: once, when all are there.

        Returns:
            Whether this process learned of something.
        """
        if self._has_met:
            return False
        self._has_met = True
        before = len(self.record.measurements)
        self.record.append(told_by_first(self.record.measurements if is_first() else None))
        return len(self.record.measurements) > before

    def look(self, model: Any, step: int, examples: int, *, samples: bool) -> list[Measurement]:
        """Ask all probes, of samples only where they are wanted, and record what they say.

        Raises:
            TaumemError: as :meth:`Monitor.look`; in the other processes a ConfigError that says what happened.
        """
        if n_processes() == 1:
            return self.monitor.look(model, step, examples, samples=samples)
        measured: list[Measurement] | None = None
        error: Exception | None = None
        try:
            if is_first():
                measured = self.monitor.look(model, step, examples, samples=samples)
            else:
                for probe in self.shared:
                    probe.measure(model)
        except Exception as raised:
            error = raised
        told = told_by_first((measured, error if error is None else (isinstance(error, RecordError), f"{error}")))
        if error is not None:
            raise error
        found, problem = told
        if problem is not None:  # of the same kind in all processes, so that they go on alike
            kind = RecordError if problem[0] else ConfigError
            raise kind(f"the first process could not look: {problem[1]}")
        if not is_first():
            self.record.append(found)
        return list(found)
