"""The verbs that read records: fit, forecast, report."""

import shlex
from pathlib import Path

from rich.markup import escape

from taumem.cli.console import as_json, out, print_json
from taumem.cli.entry import CONFIDENCE, Confidence, FormerLevel, Json, OutputFile, Runs, app, one_confidence
from taumem.cli.tables import show_forecast, show_study

__all__ = ["fit", "forecast", "report"]


@app.command
def fit(
    runs: Runs,
    /,
    *,
    free: bool = True,
    floor: bool = False,
    confidence: Confidence = CONFIDENCE,
    level: FormerLevel = None,
    output: OutputFile | None = None,
    json: Json = False,
) -> None:
    """Find the clocks of runs and fit the law tau = c P^a to each.

    Parameters
    ----------
    runs
        Folders of runs, sealed studies, or folders that hold them.
    free
        Whether the exponent is free; --no-free fixes it to 1.
    floor
        Also fit tau_0, the onset that small sizes cannot undercut: tau = tau_0 + c P^a.
    confidence
        Probability of every interval.
    output
        A .json file to write onsets and laws to.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.record import read_runs, write_atomically

    study = Study.of(read_runs(*runs), floor=floor, confidence=one_confidence(confidence, level))
    exponent = None if free else 1.0
    content = study.to_json(exponent) | {"report": None}
    if output is not None:
        write_atomically(output, as_json(content) + "\n")
    print_json(content) if json else show_study(study, exponent)


@app.command
def forecast(
    runs: Runs,
    /,
    *,
    n_train: float,
    clock: str = "tau_val",
    confidence: Confidence = CONFIDENCE,
    level: FormerLevel = None,
    json: Json = False,
) -> None:
    """Forecast how long a run on more data may train, from the clocks of smaller runs.

    The law is tau = tau_0 + c P^a with a near 1.2, give or take 0.2 (see docs/law.md).

    Parameters
    ----------
    runs
        Folders of pilot runs, sealed studies, or folders that hold them.
    n_train
        Number of training examples P of the run to forecast.
    clock
        Which clock; see `taumem fit`.
    confidence
        Probability of the interval.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.analysis.law import whole_size
    from taumem.record import read_runs

    size = whole_size(n_train)  # which a parser of whole numbers would round
    study = Study.of(read_runs(*runs), confidence=one_confidence(confidence, level))
    forecast = study.forecast(size, clock)
    print_json(forecast.to_json()) if json else show_forecast(forecast)


@app.command
def report(
    runs: Runs, /, *, output: OutputFile = Path("report.html"), title: str | None = None, json: Json = False
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
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.record import read_runs
    from taumem.report import write_report

    reproduce = shlex.join(["taumem", "report", *map(str, runs), "-o", str(output)])
    path = write_report(output, Study.of(read_runs(*runs)), title=title, reproduce=reproduce)
    print_json({"report": str(path)}) if json else out.print(f"Wrote {escape(str(path))}.")
