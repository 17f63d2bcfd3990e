"""Probes at a cadence, into a record: for any training loop.

::

    for step in train(learner, diffusion, split.train, batch_size=16, seed=0):
        if monitor.due(step.index):
            monitor.look(learner.averaged, step.index, step.examples)
"""

import time
import warnings
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from typing import Any

from taumem.diffusion import Denoiser
from taumem.errors import ConfigError, TaumemWarning
from taumem.monitor.cadence import LogCadence
from taumem.probes import CountsCopies, Probe, SampleProbe, Sampler
from taumem.probes.isolation import undisturbed
from taumem.probes.probe import GoesOnFromSamples, draw_samples
from taumem.record import CopyRule, Measurement, Reading, RunRecord
from taumem.shapes import Items

__all__ = ["Monitor"]


class Monitor:
    """Asks its probes when they are due, and writes down what they say.

    A monitored run is bit-identical to an unmonitored one: the model is in evaluation mode while it is asked, and in
    its former mode after; every draw comes from a generator that belongs to the monitor or to a probe.

    A look is due once a step of the cadence has been passed since the last look, so that a loop that asks every 50
    steps misses none. A loop that asks at every step looks at the steps of the cadence. Where training goes on from an
    earlier checkpoint, the looks after it are made again, at the same steps; the record keeps the first facts.

    How the probes measure, their ``settings`` and the rule of a copy, is noted in the record's header.

    Args:
        record: where measurements go.
        probes: asked at every look.
        cadence: when to look.
        sampler: draws samples for the sample probes, from the same noise at every look; None for no samples.
        sample_probes: asked about samples, which cost more than losses.
        sample_cadence: when to draw samples.
        costly_probes: asked about the model when samples are drawn, since they draw, too; one of the same sampler and
            seed goes on from the samples that are there.
        seed: of the noise that samples start from.
        first_stand: whether a look that is made again, after training went back, is not compared with what it said
            first: on GPUs training that goes on from a checkpoint need not be the same to the bit.

    Raises:
        RecordError: the record was opened for reading, or was measured with other settings before.
        ConfigError: two probes count copies by different rules, or what came is no probe.
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
        costly_probes: Sequence[Probe] = (),
        seed: int = 0,
        first_stand: bool = False,
    ) -> None:
        self.record = record
        self.first_stand = first_stand
        self.probes = tuple(probes)
        self.cadence = cadence or LogCadence()
        self.sampler = sampler
        self.sample_probes = tuple(sample_probes)
        self.costly_probes = tuple(costly_probes)
        self.sample_cadence = sample_cadence or LogCadence(per_doubling=1)
        self.seed = seed
        drawing: list[Probe | SampleProbe] = [*self.sample_probes, *self.costly_probes]
        _refuse_what_is_no_probe((*self.probes, *drawing))
        asked: list[Probe | SampleProbe] = [*self.probes, *(drawing if sampler else ())]
        record.note_probes(_settings(asked), _copy_rule(asked))
        self._looks = record.steps
        self._last_look: int | None = None
        self._examples_agree = True
        self._began = time.monotonic() - max((m.seconds for m in record.measurements), default=0.0)

    def due(self, step: int) -> bool:
        """Say whether anything is to be measured at this step."""
        return self.cadence.due(step, self._since(step)) or self._samples_are_due(step)

    def look(self, denoiser: Denoiser, step: int, examples: int, *, samples: bool | None = None) -> list[Measurement]:
        """Ask all probes, the sample probes only when they are due, and record what they say.

        Args:
            denoiser: the model as it stands; raw or averaged weights, as the record's header says.
            step: optimizer steps taken.
            examples: training examples seen: the sum of the batch sizes, each that of a whole optimizer step.
            samples: whether to draw samples; None follows their cadence. With False, those that were due are left out.

        Returns:
            What was measured.

        Raises:
            RecordError: a value that is not finite: training has diverged.
            ConfigError: two probes give the same quantity, or arrays of the same name; or a probe gives no Reading.
            DataError: samples that are not finite: the model or the sampler has diverged.

        Warns:
            TaumemWarning: the first time that ``examples`` contradicts the record's batch size.
        """
        self._compare_examples(step, examples)
        with undisturbed(denoiser):
            readings = [_reading(probe, denoiser) for probe in self.probes]
            is_wanted = self._samples_are_due(step) if samples is None else samples
            # Of a model that has diverged no samples are drawn: the record refuses its losses, and names the step.
            has_diverged = not all(e.is_finite for reading in readings for e in reading.estimates)
            if self.sampler is not None and is_wanted and not has_diverged:
                drawn = draw_samples(self.sampler, denoiser, self.seed)
                readings += [_reading(probe, drawn) for probe in self.sample_probes]
                readings += [self._costly(probe, denoiser, drawn) for probe in self.costly_probes]
        seconds = round(time.monotonic() - self._began, 3)
        measurements = [
            Measurement.of(estimate, step=step, examples=examples, seconds=seconds)
            for reading in readings
            for estimate in reading.estimates
        ]
        _refuse_one_name_twice(readings)
        if arrays := {name: array for reading in readings for name, array in reading.arrays.items()}:
            self.record.keep_arrays(step, arrays)
        is_made_again = self.first_stand and step in self._looks
        known = {m.key for m in self.record.measurements if m.step == step} if is_made_again else set()
        self.record.append(m for m in measurements if m.key not in known)
        self._last_look = step
        insort(self._looks, step)
        return measurements

    def _costly(self, probe: Probe, denoiser: Denoiser, drawn: Items) -> Reading:
        """Ask a probe that draws: one that would draw the samples which are there goes on from them."""
        if isinstance(probe, GoesOnFromSamples) and probe.sampler is self.sampler and probe.seed == self.seed:
            return probe.measure_from(denoiser, drawn)
        return _reading(probe, denoiser)

    def _compare_examples(self, step: int, examples: int) -> None:
        header = self.record.header
        # A batch may hold less, where the training set is smaller or at the end of a pass through it: half, on average.
        least = step * min(header.batch_size, header.data.n_train) / 2
        if header.batch_size and self._examples_agree and not least <= examples <= step * header.batch_size:
            self._examples_agree = False
            warnings.warn(
                f"{examples} examples at step {step}, where {step} steps of the record's batch size of "
                f"{header.batch_size} have seen {step * header.batch_size}. Give all examples since the start; the "
                "batch size is what one optimizer step sees: all of a step's batches, on all devices.",
                TaumemWarning,
                stacklevel=3,
            )

    def _samples_are_due(self, step: int) -> bool:
        # One last look serves both cadences: each look draws the samples that are due by then.
        return self.sampler is not None and self.sample_cadence.due(step, self._since(step))

    def _since(self, step: int) -> int:
        """The last look; where training goes on from an earlier checkpoint, the last one before this step."""
        if step == self._last_look:
            return step
        place = bisect_left(self._looks, step)
        return self._looks[place - 1] if place else 0


def _refuse_what_is_no_probe(probes: Sequence[object]) -> None:
    for probe in probes:
        if isinstance(probe, type) or not callable(getattr(probe, "measure", None)):
            what = f"the class {probe.__name__} itself" if isinstance(probe, type) else type(probe).__name__
            raise ConfigError(
                f"a probe is an object with measure(model) or measure(samples), which gives a Reading; got {what}."
            )


def _reading(probe: Probe | SampleProbe, asked: Any) -> Reading:
    reading: object = probe.measure(asked)
    if not isinstance(reading, Reading):
        raise ConfigError(
            f"{type(probe).__name__}.measure gives {type(reading).__name__}; expected "
            "Reading((Estimate(quantity=..., value=...), ...))."
        )
    return reading


def _settings(probes: Sequence[Probe | SampleProbe]) -> dict[str, dict[str, Any]]:
    """The settings of each probe by the name of its class, with a number from the second of a class on."""
    named: dict[str, dict[str, Any]] = {}
    seen: Counter[str] = Counter()
    for probe in probes:
        name = type(probe).__name__
        seen[name] += 1
        # A probe of another's making may have none.
        named[name if seen[name] == 1 else f"{name} {seen[name]}"] = getattr(probe, "settings", {})
    return named


def _copy_rule(probes: Sequence[Probe | SampleProbe]) -> CopyRule | None:
    rules = {probe.copy_rule for probe in probes if isinstance(probe, CountsCopies)}
    if len(rules) > 1:
        sentences = "; another: ".join(sorted(rule.sentence for rule in rules))
        raise ConfigError(f"the probes of one monitor count copies by one rule; one here: {sentences}.")
    return next(iter(rules), None)


def _refuse_one_name_twice(readings: Sequence[Reading]) -> None:
    names: list[str] = []
    for reading in readings:
        names += [e.quantity if e.t is None else f"{e.quantity} at t = {e.t:g}" for e in reading.estimates]
        names += [f"array {name}" for name in reading.arrays]
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise ConfigError(
            f"the probes of one monitor give '{name}' {times} times; a record holds each fact once a step. "
            "Ask one of two probes of a kind alone, or in a monitor with a record of its own."
        )
