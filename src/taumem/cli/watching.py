"""The verb that reads the logs of other trainers: watch."""

import json as json_text
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Column

from taumem.cli.console import add_row, err, new_table, out, print_json, show_table
from taumem.cli.entry import CONFIDENCE, Confidence, Flag, Json, OutputFolder, WholeOrNone, Wholes, app
from taumem.cli.tables import show_forecast, show_study
from taumem.errors import ConfigError, DataError, shortened

if TYPE_CHECKING:
    from taumem.analysis.watched import Watched

__all__ = ["watch"]

Logs = Annotated[list[Path], Parameter(allow_leading_hyphen=False)]
TURNED, UNDECIDABLE = 1, 3
"""Exit codes of a gate."""
SECONDS = 30.0
"""Between two readings."""


@app.command
def watch(
    logs: Logs,
    /,
    *,
    heldout: str | None = None,
    train: str | None = None,
    step: str | None = None,
    n_train: Wholes = None,
    forecast: WholeOrNone = None,
    confidence: Confidence = CONFIDENCE,
    output: OutputFolder | None = None,
    fail_on: Literal["onset"] | None = None,
    follow: Flag = False,
    every: float | None = None,
    json: Json = False,
) -> None:
    """Read curves that a trainer has logged: has the held-out loss turned, at which step, and which step to keep?

    Event files of TensorBoard, trainer_state.json, CSV, JSON lines and what W&B exports are read. Exit codes: 0 done; 1
    with --fail-on, the loss has turned; 2 the input cannot be used; 3 with --fail-on, no log could have told, or one
    could not be read.

    Parameters
    ----------
    logs
        Files, or folders that hold some; each run in them is judged by itself.
    heldout
        The name of the held-out loss; by the table of names in docs/logs.md if not given.
    train
        The name of a loss on training items that stay the same.
    step
        The column that says when; by the same table if not given.
    n_train
        The number of training examples P: one for all logs, or one for each; read from names such as P64 if not given.
    forecast
        Forecast a run on so many training examples from these, which are of known sizes.
    confidence
        Probability of every interval.
    output
        A folder to write a record of each log to, for `taumem fit` and `taumem report`; needs sizes.
    fail_on
        'onset': exit code 1 if a held-out loss has turned, 3 if no log could have told or one could not be read.
    follow
        Read again and again while a training runs, and say when the verdict changes; Ctrl-C ends it. With --fail-on it
        ends once a loss has turned.
    every
        Seconds between two readings, with --follow; 30 if not given.
    json
        Print one JSON object on standard output; with --follow, one on a line whenever the verdict changes.
    """
    from taumem.analysis.watched import CLOCK, check_sized, left_out, sized, study_of, summary
    from taumem.logs import Asked

    asked = Asked(heldout, train, step)
    if follow:
        if forecast is not None or output is not None:
            raise ConfigError("--follow says when a verdict changes; give --forecast and -o once the runs are over.")
        seconds = SECONDS if every is None else every
        sys.exit(_follow(logs, asked, n_train or [], confidence, fail_on, seconds, json))
    if every is not None:
        raise ConfigError(
            "--every says how often to read again, which --follow asks for; add it, or leave --every out."
        )
    watched = _read(logs, asked, n_train or [], confidence)
    for wanted, option in (("--forecast", forecast), ("-o", output)):
        if option is not None:
            check_sized(watched, wanted)
    content, study = summary(watched), study_of(watched, confidence=confidence)
    if forecast is not None:
        try:
            predicted, pilot = study.forecast(forecast, CLOCK), study.next_pilot(forecast, CLOCK)
        except ConfigError as error:  # there may be too few because others count epochs
            raise ConfigError(f"{error} {left_out(watched)}".rstrip()) from None
        content["forecast"] = predicted.to_json() | {"next_pilot": pilot.to_json()}
    if output is not None:
        content["records"] = _write(watched, output)
    if json:
        print_json(content)
    else:
        _show(watched)
        if forecast is not None:
            show_forecast(predicted, pilot, study.cautions)
        elif len({n_train for _, n_train, _ in sized(watched)}) > 1:
            show_study(study)
        for folder in content.get("records", ()):
            out.print(f"Wrote {escape(folder)}.", soft_wrap=True)
    sys.exit(_code(watched, fail_on))


def _read(
    logs: Sequence[Path], asked: Any, n_train: Sequence[int], confidence: float, *, at_every_look: bool = False
) -> "list[Watched]":
    from taumem.analysis.interval import check_confidence
    from taumem.analysis.watched import Watched, sizes_of
    from taumem.logs import read_logs

    check_confidence(confidence)
    found = read_logs(*logs, asked=asked)
    asked.check(found)
    sizes = sizes_of(found, n_train)
    return [
        replace(Watched.of(log, size, confidence=confidence, at_every_look=at_every_look), said_by=said_by)
        for log, (size, said_by) in zip(found, sizes, strict=True)
    ]


def _write(watched: "Sequence[Watched]", folder: Path) -> list[str]:
    """A record of each log that has a held-out loss over steps."""
    from taumem.analysis.watched import sized
    from taumem.record import RunRecord

    written: list[str] = []
    for log, n_train, seed in sized(watched):
        path = folder / f"P{n_train:06d}-seed{seed}"
        with RunRecord.open(path, log.header(n_train, seed)) as record:
            record.append(log.measurements())
        written.append(str(path))
    return written


def _code(watched: "Sequence[Watched]", fail_on: str | None) -> int:
    if fail_on is None:
        return 0
    if any(each.turned for each in watched):
        return TURNED
    unread = any(each.log.unread for each in watched)
    return 0 if not unread and any(each.could_tell for each in watched) else UNDECIDABLE


def _show(watched: "Sequence[Watched]") -> None:
    """Print what is said of each log."""
    from taumem.analysis.stopping.means import FIDELITY
    from taumem.analysis.watched import left_out

    if len(watched) > 1:
        _show_table(watched)
    for each in watched:
        if len(watched) == 1 or each.log.notes or not each.turned:
            _show_log(each)
    if any(each.turned for each in watched):
        out.print(f"[dim]{FIDELITY}[/]", soft_wrap=True)
    if names := dict.fromkeys(each.said_by for each in watched if each.said_by):
        told = f"P, the number of training examples, was read from names: {', '.join(names)}; --n-train says otherwise."
        out.print(f"[dim]{escape(told)}[/]", soft_wrap=True)
    if any(each.n_train is not None for each in watched) and (without := left_out(watched)):
        out.print(f"[yellow]note:[/] {escape(without)}", soft_wrap=True)


def _show_log(each: "Watched") -> None:
    log, keep = each.log, ""
    out.print(f"[dim]{escape(_what(each))}[/]", soft_wrap=True)
    if each.verdict is not None and each.verdict.keep is not None:
        keep = f" {'Keep' if each.turned else 'Lowest so far:'} {log.unit} {each.verdict.keep:,}."
    out.print(f"[{'bold' if each.turned else 'default'}]{escape(f'{each.reason}{keep}')}[/]", soft_wrap=True)
    for note in log.notes:
        out.print(f"[dim]{escape(note)}[/]", soft_wrap=True)


def _what(each: "Watched") -> str:
    """What was read, on one line."""
    from taumem.analysis.wording import plural

    log = each.log
    if log.heldout is None:
        return f"{log.name}: {log.format}."
    looks = f"{plural(len(log.heldout), 'look')} from {log.unit} {log.heldout.steps[0]:,}"
    return f"{log.name}: {log.format}, {shortened(log.heldout_tag)}, {looks} to {log.heldout.steps[-1]:,}."


def _show_table(watched: "Sequence[Watched]") -> None:
    right = {"justify": "right"}
    table = new_table("log", Column("P", **right), Column("looks", **right), "held-out loss lowest at", "keep")  # type: ignore[arg-type]
    for each in watched:
        size = "" if each.n_train is None else f"{each.n_train:,}"
        looks = 0 if each.log.heldout is None else len(each.log.heldout)
        facts = each.facts
        lowest, keep = "no held-out loss" if each.log.lacks_heldout else "no verdict", ""
        if each.log.unread:
            lowest = "not read"
        elif each.verdict is not None:
            lowest = "not turned"
        if facts is not None:
            unit = "epoch " if each.log.axis == "epochs" else ""
            lowest = f"{unit}{facts['step']:,} [{facts['low']:,}, {facts['high']:,}]"
            keep = f"{unit}{facts['keep']:,}"
        add_row(table, each.log.name, size, looks, lowest, keep)
    show_table(table)


def _follow(
    logs: Sequence[Path],
    asked: Any,
    n_train: Sequence[int],
    confidence: float,
    fail_on: str | None,
    every: float,
    json: bool,
) -> int:
    """Read the logs whenever they have changed, and say when a verdict has."""
    from taumem.analysis.watched import summary

    if not 0 < every < float("inf"):
        raise ConfigError(f"--every: expected seconds, above 0; got {every:g}.")
    said: Any = None
    waiting = ""
    watched: list[Watched] = []
    try:
        for _ in _changes(logs, every):
            try:
                watched = _read(logs, asked, n_train, confidence, at_every_look=True)
            except (DataError, FileNotFoundError) as error:
                if waiting != str(error):
                    waiting = str(error)
                    err.print(f"[dim]waiting: {escape(waiting)}[/]", soft_wrap=True)
                continue
            state = [each.verdict is None if each.facts is None else each.facts["keep"] for each in watched]
            if state != said:
                said = state
                print(json_text.dumps(summary(watched), allow_nan=False)) if json else _show(watched)
                sys.stdout.flush()
            if fail_on is not None and any(each.turned for each in watched):
                return TURNED
    except KeyboardInterrupt:
        err.print("\nEnded.")
    return _code(watched, fail_on) if watched else 0


def _changes(logs: Sequence[Path], every: float) -> Iterator[None]:
    """Comes back at once, and then whenever a file has changed."""
    from taumem.logs import files_of

    before: object = None
    while True:
        try:
            files = [file for path in logs if path.exists() for file in files_of(path)]
            now = [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        except FileNotFoundError:  # removed while it was looked for, as checkpoints that rotate are
            time.sleep(every)
            continue
        if now != before:
            before = now
            yield
        time.sleep(every)
