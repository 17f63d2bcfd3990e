"""The main job on built-in images: pilots, law, forecast, and the proof.

Pilot models are trained at three small sizes, each until its clock has struck; a law is fitted to their clocks, and
forecasts the clock of a size that none of them had. Then one model of that size is trained until its clock has struck
too, and the forecast meets the measurement. Copies are counted where the forecast says to stop, and at the end of the
smallest pilots, which are trained on past their clock: copies come soonest there.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, PlainSerializer

from taumem.analysis import Interval, Study
from taumem.errors import RecordError
from taumem.lab.experiment import Experiment
from taumem.lab.loading import load_experiment, read_experiment
from taumem.lab.plan import RunPlan, plans_of
from taumem.lab.studies import make_study
from taumem.probes import Copies, share
from taumem.randomness import generator_for
from taumem.record import Estimate
from taumem.report import write_report
from taumem.training import load_checkpoint

__all__ = ["CLOCK", "CopyCount", "DemoResult", "demo", "forecast_and_prove"]

CLOCK = "tau_val"
"""The clock that is forecast: the minimum of the held-out loss, three times less noisy than a small gap's threshold."""

CONFIDENCE, N_SAMPLES = 0.9, 512
AT_MOST = 3
"""How many times longer than forecast the target may train: it ends once its clock is located, at about 1.8 times."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, work done, work in all)."""


def _interval(content: Any) -> Any:
    """Make an interval of its JSON, where None stands for an end that nothing bounds."""
    if isinstance(content, dict):
        unbounded = {"low": -math.inf, "high": math.inf}
        return Interval(**content | {end: far for end, far in unbounded.items() if content.get(end) is None})
    return content


IntervalInJson = Annotated[Interval, BeforeValidator(_interval), PlainSerializer(Interval.to_json)]


class CopyCount(BaseModel):
    """Copies among samples, with an exact 95 % interval of their share, beside the share that chance gives."""

    n_train: int
    """Training examples P of the models."""
    step: int
    times: float | None
    """The step, the fewest that a model took, over the clock at this P; None where it was not located."""
    count: int
    n: int
    low: float
    high: float
    chance: float
    """Share of held-out images that the same rule takes for copies."""


class DemoResult(BaseModel):
    """What the demo found."""

    sentence: str
    seed: int
    pilots: list[int]
    n_train: int
    batch_size: int
    clock: str
    """What is forecast and measured, in optimizer steps."""
    confidence: float
    forecast: IntervalInJson
    measured: IntervalInJson
    """Its upper end is unbounded where the clock had not struck when the run ended."""
    relative_error: float | None
    """Forecast over measurement, less 1; None where the run ended before the clock struck."""
    covered: bool | None
    """Whether the measurement lies in the forecast's interval; None likewise."""
    exponents: dict[str, IntervalInJson]
    """Of tau in P by the clock, left free, over all runs of the demo."""
    steps: int
    """Optimizer steps that all models took together."""
    copies_at_stop: CopyCount
    """Of the model that was forecast, at the step of the forecast."""
    copies_late: CopyCount
    """Of the smallest pilots, at their end."""
    report: str
    seconds: float
    cautions: tuple[str, ...] = ()
    """What a reader must know before believing it."""


def demo(
    folder: Path,
    *,
    seed: int = 0,
    quick: bool = False,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> DemoResult:
    """Run the demo in a folder, or what is left of it: the target is twice the largest pilot.

    Args:
        folder: for the runs and the report.
        seed: of the data's shuffle, the weights, and everything else.
        quick: half the sizes, in half the time.
        workers: processes at once; None takes one per processor.
        progress: called as the work advances.

    Raises:
        RecordError: the folder holds another experiment, or the weights of a pilot are gone.
        ConfigError: too few pilots reached their clock for a forecast.
    """
    pilots = load_experiment("demo-quick" if quick else "demo", [f"seeds=[{seed}]"])
    return forecast_and_prove(
        pilots,
        folder,
        n_train=2 * max(pilots.sizes),
        workers=workers,
        progress=progress,
        reproduce=f"taumem demo --seed {seed}{' --quick' if quick else ''}",
    )


def forecast_and_prove(
    pilots: Experiment,
    folder: Path,
    *,
    n_train: int,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
    reproduce: str | None = None,
) -> DemoResult:
    """Forecast a size from pilots, then train one model of that size and hold the forecast against it.

    Args:
        pilots: the pilot runs; one seed.
        folder: for the runs and the report.
        n_train: the size to forecast.
        workers: processes at once; None takes one per processor.
        progress: called as the work advances.
        reproduce: the command that does this again, for the report.

    Raises:
        RecordError: the folder holds another experiment, or the weights of a pilot are gone.
        ConfigError: too few pilots reached their clock for a forecast.
    """
    began = time.monotonic()
    _refuse_other_pilots(folder / "pilots" / "experiment.json", pilots)

    def advance(stage: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(stage, done, total)

    pilot_runs = make_study(pilots, folder / "pilots", workers=workers, progress=advance("pilots"))
    forecast = Study.of(pilot_runs, confidence=CONFIDENCE).forecast(n_train, CLOCK)

    predicted, stop = forecast.predicted, round(forecast.predicted.value)
    target = _target(pilots, n_train, stop)
    (target_run,) = make_study(target, folder / "target", keep=(stop,), workers=workers, progress=advance("target"))
    runs = [*pilot_runs, target_run]
    study = Study.of(runs, confidence=CONFIDENCE)
    measured = _measured(study, n_train)
    proof = replace(forecast, measured=measured)

    progress("copies", 0, 2)
    at_stop = _count_copies(plans_of(target), folder / "target", stop, measured)
    progress("copies", 1, 2)
    smallest = pilots.model_copy(update={"n_train": (min(pilots.sizes),)})
    at_end = _count_copies(plans_of(smallest), folder / "pilots", None, _measured(study, *smallest.sizes))
    progress("copies", 2, 2)

    sentence = _sentence(predicted, measured, at_stop, at_end)
    proven = study.excluding({n_train}, proof)
    report = write_report(
        folder / "report.html",
        proven,
        title=f"P = {n_train} forecast from P = {', '.join(map(str, pilots.sizes))}",
        sentence=sentence,
        reproduce=reproduce,
    )
    return DemoResult(
        sentence=sentence,
        seed=pilots.seeds[0],
        pilots=list(pilots.sizes),
        n_train=n_train,
        batch_size=pilots.batch_size(n_train),
        clock=CLOCK,
        confidence=CONFIDENCE,
        forecast=predicted,
        measured=measured,
        relative_error=proof.relative_error,
        covered=None if proof.relative_error is None else measured.value in predicted,
        exponents={clock: law.exponent for clock, law in study.laws.items()},
        steps=sum(run.last_step for run in runs),
        copies_at_stop=at_stop,
        copies_late=at_end,
        report=str(report),
        cautions=proven.cautions,
        seconds=round(time.monotonic() - began, 1),
    )


def _refuse_other_pilots(file: Path, pilots: Experiment) -> None:
    """A forecast rests on its own pilots alone: a folder of other seeds or sizes must not lend it theirs."""
    if file.exists() and read_experiment(file) != pilots:
        raise RecordError(
            f"{file.parent.parent}: holds other pilots (another seed, other sizes, or --quick). "
            "Choose another output folder, or remove this one."
        )


def _target(pilots: Experiment, n_train: int, stop: int) -> Experiment:
    """One model, trained up to the forecast at least, and on until its clock is located."""
    length = {"min_steps": stop, "steps_per_example": AT_MOST * stop / n_train, "stop_at_clock": CLOCK}
    training = pilots.training.model_copy(update=length)
    return pilots.model_copy(update={"n_train": (n_train,), "twins": False, "training": training})


def _measured(study: Study, n_train: int) -> Interval:
    """The geometric mean of the onsets at a size; where one of them is a bound, that bound."""
    onsets = [onset for onset in study.onsets if onset.clock == CLOCK and onset.n_train == n_train]
    confidence, batch_size = onsets[0].confidence, onsets[0].batch_size
    if bound := next((onset for onset in onsets if onset.censored != "no"), None):
        return Interval(bound.step, bound.low, bound.high, confidence, batch_size)
    step = math.exp(sum(math.log(onset.step) for onset in onsets) / len(onsets))
    # The errors are independent: half-widths in log add as squares.
    below = math.hypot(*(math.log(onset.step / onset.low) for onset in onsets)) / len(onsets)
    above = math.hypot(*(math.log(onset.high / onset.step) for onset in onsets)) / len(onsets)
    return Interval(step, step * math.exp(-below), step * math.exp(above), confidence, batch_size)


def _count_copies(plans: Sequence[RunPlan], folder: Path, step: int | None, clock: Interval) -> CopyCount:
    """Count copies among samples of the models of one size, each against its own training set.

    Args:
        plans: of the models.
        folder: of their study.
        step: as they stood when; None for their end.
        clock: as it was measured at this size.

    Raises:
        RecordError: the weights of a model are gone.
    """
    found: list[Estimate] = []
    chance: list[Estimate] = []
    steps: list[int] = []
    n_each = N_SAMPLES // len(plans)
    for plan in plans:
        prepared = plan.prepare()
        learner = prepared.learner()
        there = plan.checkpoints(folder) if step is None else [plan.checkpoint(folder, step)]
        if not there:
            raise RecordError(
                f"{folder / plan.name}: its weights are gone, and copies are counted among what they draw. Remove "
                f"{folder / plan.name}, and the same command makes this run again."
            )
        load_checkpoint(learner, there[-1])
        probe = Copies(prepared.split.train, prepared.split.heldout)
        denoiser = learner.averaged.eval()
        samples = prepared.sampler(n_each)(denoiser, generator_for(plan.seed, "demo samples", plan.half or ""))
        copies, by_chance = probe.measure(samples).estimates[:2]
        found.append(copies)
        chance.append(by_chance)
        steps.append(learner.step)
    count = sum(round(e.value * e.count) for e in found)
    together = share("copy_fraction", count, n_each * len(plans))
    return CopyCount(
        n_train=plan.n_train,
        step=min(steps),
        times=min(steps) / clock.value if clock.low > 0 and math.isfinite(clock.high) else None,
        count=count,
        n=together.count,
        low=together.low or 0.0,
        high=together.high or 1.0,
        chance=sum(e.value for e in chance) / len(chance),
    )


def _sentence(forecast: Interval, measured: Interval, at_stop: CopyCount, late: CopyCount) -> str:
    if not math.isfinite(measured.high):
        found = f"not reached by step {measured.low:,.0f}"
    elif measured.low <= 0:
        found = f"reached before the first look, at {measured.high:,.0f}"
    else:
        found = f"measured {measured.value:,.0f}"
    long = f"{late.step:,} steps" if late.times is None else f"{late.times:.1f} times their {CLOCK}"
    return (
        f"Forecast {forecast.value:,.0f} steps [{forecast.low:,.0f}, {forecast.high:,.0f}]; {found}. "
        f"Stopping there: {at_stop.count} of {at_stop.n} samples are copies; "
        f"the models of P = {late.n_train}, trained {long}: {late.count / late.n:.0%}."
    )
