"""Probes at a cadence, into a record: for any training loop.

::

    for step in train(learner, diffusion, split.train, batch_size=16, seed=0):
        if monitor.due(step.index):
            monitor.check(learner.averaged, step.index, step.examples)
"""

import time
from collections import Counter
from collections.abc import Sequence

import torch

from taumem.diffusion import Denoiser
from taumem.errors import ConfigError
from taumem.monitor.cadence import LogCadence
from taumem.probes import Probe, SampleProbe, Sampler
from taumem.probes.probe import undisturbed
from taumem.randomness import generator_for
from taumem.record import Measurement, Reading, RunRecord

__all__ = ["Monitor"]


class Monitor:
    """Asks its probes when they are due, and writes down what they say.

    A monitored run is bit-identical to an unmonitored one: the model is in evaluation mode while it is asked, and in
    its former mode after; every draw comes from a generator that belongs to the monitor.

    Args:
        record: where measurements go.
        probes: asked at every look.
        cadence: when to look.
        sampler: draws samples for the sample probes, from the same noise at every look; None for no samples.
        sample_probes: asked about samples, which cost more than losses.
        sample_cadence: when to draw samples.
        seed: of the monitor's draws.
    """

    def __init__(
        self,
        record: RunRecord,
        probes: Sequence[Probe],
        *,
        cadence: LogCadence | None = None,
        sampler: Sampler | None = None,
        sample_probes: Sequence[SampleProbe] = (),
        sample_cadence: LogCadence | None = None,
        seed: int = 0,
    ) -> None:
        self.record = record
        self.probes = tuple(probes)
        self.cadence = cadence or LogCadence()
        self.sampler = sampler
        self.sample_probes = tuple(sample_probes)
        self.sample_cadence = sample_cadence or LogCadence(per_doubling=1)
        self.seed = seed
        self._began = time.monotonic() - max((m.seconds for m in record.measurements), default=0.0)

    def due(self, step: int) -> bool:
        """Say whether anything is to be measured at this step."""
        return self.cadence.due(step) or (self.sampler is not None and self.sample_cadence.due(step))

    def check(self, denoiser: Denoiser, step: int, examples: int, *, samples: bool | None = None) -> list[Measurement]:
        """Ask all probes, the sample probes only when they are due, and record what they say.

        Args:
            denoiser: the model as it stands; raw or averaged weights, as the record's header says.
            step: optimizer steps taken.
            examples: training examples seen.
            samples: whether to draw samples; None follows their cadence.

        Returns:
            What was measured.

        Raises:
            RecordError: a value that is not finite: training has diverged.
            ConfigError: two probes give the same quantity, or arrays of the same name.
        """
        with undisturbed(denoiser):
            readings = [
                probe.measure(denoiser, generator_for(self.seed, type(probe).__name__, step)) for probe in self.probes
            ]
            if self.sampler is not None and (self.sample_cadence.due(step) if samples is None else samples):
                drawn = self.sampler(denoiser, self._sampling_generator())
                readings += [
                    question.measure(drawn, denoiser, self._sampling_generator()) for question in self.sample_probes
                ]
        seconds = round(time.monotonic() - self._began, 3)
        measurements = [
            Measurement.of(estimate, step=step, examples=examples, seconds=seconds)
            for reading in readings
            for estimate in reading.estimates
        ]
        _refuse_one_name_twice(readings)
        if arrays := {name: array for reading in readings for name, array in reading.arrays.items()}:
            self.record.keep_arrays(step, arrays)
        self.record.append(measurements)
        return measurements

    def _sampling_generator(self) -> torch.Generator:
        # The same at every step: samples then show how one and the same noise is denoised as training goes on.
        return generator_for(self.seed, "samples")


def _refuse_one_name_twice(readings: Sequence[Reading]) -> None:
    names: list[str] = []
    for reading in readings:
        names += [e.quantity if e.t is None else f"{e.quantity} at t = {e.t:g}" for e in reading.estimates]
        names += [f"array {name}" for name in reading.arrays]
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise ConfigError(
            f"the probes of one monitor give '{name}' {times} times; a record holds each fact once a step."
        )
