"""The verbs that read records: fit, forecast, report."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.markup import escape

from taumem.cli.console import as_json, out, print_json
from taumem.cli.entry import (
    CONFIDENCE,
    Confidence,
    FormerLevel,
    Json,
    OutputFile,
    Runs,
    Whole,
    Wholes,
    app,
    one_confidence,
)
from taumem.cli.tables import show_cautions, show_forecast, show_order, show_study
from taumem.errors import ConfigError

if TYPE_CHECKING:
    from taumem.analysis.design import BatchSize
    from taumem.record import RunHeader

__all__ = ["fit", "forecast", "report"]

Excluded = Annotated[Wholes, Parameter(name="--exclude")]


@app.command
def fit(
    runs: Runs,
    /,
    *,
    free: bool = True,
    floor: bool = False,
    unit: Literal["steps", "effective-time"] = "steps",
    exclude: Excluded = None,
    covariate: Annotated[list[str] | None, Parameter(negative="")] = None,
    tau_mem: str = "",
    all_data: Annotated[list[Path] | None, Parameter(negative="")] = None,
    order: Annotated[bool, Parameter(negative="")] = False,
    confidence: Confidence = CONFIDENCE,
    level: FormerLevel = None,
    output: OutputFile | None = None,
    json: Json = False,
) -> None:
    """Find the clocks of runs and fit the law tau = c P^a to each; of runs of several batch sizes, tau = c P^a B^-k.

    Parameters
    ----------
    runs
        Folders of runs, sealed studies, or folders that hold them.
    free
        Whether the exponent is free; --no-free fixes it to 1.
    floor
        Also fit tau_0, the onset that small sizes cannot undercut: tau = tau_0 + c P^a.
    unit
        Of onsets and laws: optimizer steps, or the effective time that they make up (see docs/unit.md).
    exclude
        A size P to keep out of the fits, such as one that is no larger than the batch size; once for each.
    covariate
        A setting that the runs differ in and tau depends on too, such as training.learning_rate of the studies of a
        sweep: tau = c P^a z^b; once for each. Of runs of one size the first one is the axis of the phase diagram, and
        `parameters` is how many weights they train.
    tau_mem
        Which clock is tau_mem, for the phase diagram and the price of stopping; unless said, tau_copy[0.05] where two
        runs or more have located it, else tau_val, or tau_val_mean where that was not read; tau_copy[0.05] where no
        held-out loss was, and of a grammar's phase diagram.
    all_data
        Runs of the same network on all data, which the price of stopping is held against; once for each. Of several
        sizes the largest counts. Unless said, the runs on the most data.
    order
        Also print in which order the clocks go off, as multiples of tau_val in the same runs.
    confidence
        Probability of every interval.
    output
        A .json file to write onsets and laws to.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.record import read_runs, write_atomically

    if output is not None:
        _check_suffix(output, ".json")
    study = Study.of(
        read_runs(*runs),
        excluded=set(exclude or ()),
        floor=floor,
        confidence=one_confidence(confidence, level),
        unit="steps" if unit == "steps" else "effective_time",
        covariates=covariate or (),
        tau_mem=tau_mem,
        all_data=read_runs(*(all_data or ())),
    )
    exponent = None if free else 1.0
    content = study.to_json(exponent) | {"report": None}
    if output is not None:
        write_atomically(output, as_json(content) + "\n")
    if json:
        show_cautions(study.cautions)
        print_json(content)
    else:
        show_study(study, exponent)
        if order:
            show_order(study.order)


@app.command
def forecast(
    runs: Runs,
    /,
    *,
    n_train: Whole,
    clock: str = "tau_val",
    batch_size: str | None = None,
    target: str | None = None,
    exclude: Excluded = None,
    confidence: Confidence = CONFIDENCE,
    level: FormerLevel = None,
    json: Json = False,
) -> None:
    """Forecast how long a run on more data may train, from the clocks of smaller runs.

    The law is tau = tau_0 + c P^a B^-k, where B is the batch size. What is assumed of it before the pilots are seen,
    finished studies taught: see docs/forecasts.md.

    Parameters
    ----------
    runs
        Folders of pilot runs, sealed studies, or folders that hold them.
    n_train
        Number of training examples P of the run to forecast.
    clock
        Which clock; see `taumem fit`.
    batch_size
        Training examples per step of the run, or P for the whole training set; unless said, what the target says, or
        else the pilots' own.
    target
        What the run will be: an experiment (a .toml or .json file, or a preset) or a run that has begun. What differs
        from the pilots is named, with what is known of its effect.
    exclude
        A size P to keep out of the fit, such as one that is no larger than the batch size; once for each.
    confidence
        Probability of the interval.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.record import read_runs

    study = Study.of(read_runs(*runs), excluded=set(exclude or ()), confidence=one_confidence(confidence, level))
    forecast = study.forecast(n_train, clock, batch_size=_batch_size(batch_size), target=_target(target))
    next_pilot = study.next_pilot(n_train, clock, batch_size=forecast.predicted.batch_size)
    if json:
        print_json(forecast.to_json() | {"next_pilot": next_pilot.to_json()})
    else:
        show_forecast(forecast, next_pilot, study.cautions)


@app.command
def report(
    runs: Runs,
    /,
    *,
    output: OutputFile = Path("report.html"),
    title: str | None = None,
    exclude: Excluded = None,
    covariate: Annotated[list[str] | None, Parameter(negative="")] = None,
    tau_mem: str = "",
    all_data: Annotated[list[Path] | None, Parameter(negative="")] = None,
    json: Json = False,
) -> None:
    """Write one self-contained page about some runs.

    Parameters
    ----------
    runs
        Folders of runs, sealed studies, or folders that hold them.
    output
        The page.
    title
        Its title.
    exclude
        A size P to keep out of the fits; once for each.
    covariate
        Of runs of one size, the setting over which the phase diagram is drawn, such as model.width or parameters.
    tau_mem
        Which clock is tau_mem; see `taumem fit`.
    all_data
        Runs on all data, which the price of stopping is held against; see `taumem fit`.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.record import read_runs
    from taumem.report import write_report

    _check_suffix(output, ".html")
    asked: dict[str, Sequence[object] | None] = {"--exclude": exclude, "--covariate": covariate}
    asked |= {"--tau-mem": [tau_mem] if tau_mem else None, "--all-data": all_data}
    options = [part for name, values in asked.items() for value in values or () for part in (name, str(value))]
    reproduce = shlex.join(["taumem", "report", *map(str, runs), *options, "-o", str(output)])
    study = Study.of(
        read_runs(*runs),
        excluded=set(exclude or ()),
        covariates=covariate or (),
        tau_mem=tau_mem,
        all_data=read_runs(*(all_data or ())),
    )
    path = write_report(output, study, title=title, reproduce=reproduce)
    show_cautions(study.cautions)
    print_json({"report": str(path)}) if json else out.print(f"Wrote {escape(str(path))}.", soft_wrap=True)


def _check_suffix(file: Path, suffix: str) -> None:
    """Refuse a name that says another kind of file than is written; what is there and no file is refused elsewhere."""
    is_device = Path("/dev") in file.absolute().parents
    if file.suffix.lower() != suffix and not is_device and (file.is_file() or not file.exists()):
        raise ConfigError(f"-o {file}: a {suffix} file is written here; call it {file.with_suffix(suffix)}.")


def _batch_size(given: str | None) -> "BatchSize":
    """A whole number, or P."""
    from taumem.analysis.design import WHOLE

    if given is None or given == WHOLE:
        return given
    if not given.isdecimal() or int(given) < 1:
        raise ConfigError(f"--batch-size: expected a whole number of at least 1, or P; got {given}.")
    return int(given)


def _target(source: str | None) -> "RunHeader | dict[str, Any] | None":
    """The header of a run, or the settings of an experiment."""
    from taumem.record import read_runs

    if source is None:
        return None
    path = Path(source)
    if path.is_dir() or path.suffix == ".sealed":
        headers = [record.header for record in read_runs(path)]
        if len(names := sorted({header.name for header in headers})) > 1:
            raise ConfigError(f"--target {source}: holds runs of {', '.join(names)}; expected those of one experiment.")
        return headers[-1]
    if path.suffix == ".toml" and not path.exists():
        raise ConfigError(
            f"--target {source}: no such file; expected an experiment (.toml), a preset, or a run's folder."
        )
    from taumem.lab import load_experiment  # not before: it loads torch

    return load_experiment(source).model_dump(mode="json")
