"""The command line: each verb reads files and writes files. Parsing and printing, nothing else.

Exit codes: 0 done; 2 the input cannot be used (one line says why, and what to do); 130 interrupted (the same command
goes on from there).
"""

import json
import math
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

import taumem
from taumem.errors import ConfigError, TaumemError, TaumemWarning

if TYPE_CHECKING:
    from taumem.analysis import Interval, Onset, PhaseDiagram
    from taumem.lab.demo import DemoResult
    from taumem.record import RunRecord

__all__ = ["app", "main"]

_OF_FIVE_LOOKS = ("tau_gen", "tau_val")
_FIVE_LOOKS = (
    "needs the held-out loss, item by item, at 5 looks or more: train longer, or look more often (per_doubling)"
)

app = App(
    name="taumem",
    help="When does a diffusion model start to memorize? Measure it, forecast it, stop in time.",
    version=taumem.__version__,
    suppress_keyboard_interrupt=False,
)
out = Console()
err = Console(stderr=True)

Json = Annotated[bool, Parameter(name="--json", negative="")]
Folder = Annotated[Path, Parameter(name=["--output", "-o"])]
Runs = Annotated[list[Path], Parameter(allow_leading_hyphen=False)]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and exit."""
    warnings.showwarning = _show_warning
    try:
        app(arguments)
    except TaumemError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}; check the path and its permissions.", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("\nInterrupted. What was done is kept: the same command goes on from there.")
        sys.exit(130)


@app.command
def demo(
    *,
    output: Folder | None = None,
    seed: int = 0,
    quick: Annotated[bool, Parameter(negative="")] = False,
    workers: int | None = None,
    json: Json = False,
) -> None:
    """Forecast when an image model starts to memorize, then train it and see.

    Built-in images, no network; about three minutes on two cores. Interrupted, the same command goes on.

    Parameters
    ----------
    output
        Folder for the runs, the report and demo.json; taumem-demo (or taumem-demo-quick) if not given. Another seed
        needs another folder.
    seed
        Of the data's shuffle, the weights, and everything else.
    quick
        Half the sizes, in about a minute.
    workers
        Processes at once; as many as processors if not given.
    json
        Print one JSON object on standard output.
    """
    from taumem.lab.demo import demo as run_demo
    from taumem.record import write_atomically

    output = output or Path("taumem-demo-quick" if quick else "taumem-demo")
    with _progress() as advance:
        result = run_demo(output, seed=seed, quick=quick, workers=workers, progress=advance)
    text = result.model_dump_json(indent=2)
    write_atomically(output / "demo.json", text + "\n")
    print(text) if json else _show_demo(result)


@app.command(name=["run", "sweep"])
def run(
    experiment: str,
    /,
    *,
    set: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    output: Folder | None = None,
    seed: Annotated[list[int] | None, Parameter(negative="", consume_multiple=True)] = None,
    device: str = "cpu",
    workers: int | None = None,
    json: Json = False,
) -> None:
    """Make all runs of an experiment, fit its laws and write its report (under both names).

    Interrupted, the same command goes on. A study of a grammar ends with the phase diagram, the levels that were
    learned and the price of stopping early.

    Parameters
    ----------
    experiment
        A .toml or .json file, or a preset: demo, demo-quick, images, own-images, mixture, grammar, grammar-phase,
        text; grammar-paper, text8-paper, favero-cifar10. Keys and values are those of the file;
        docs/experiments.md lists them.
    set
        Keys to change, such as training.batch_size=32.
    output
        Folder for the runs and the report; the experiment's name if not given.
    seed
        Seeds to use instead of the experiment's.
    device
        Where to train: cpu, cuda, cuda:1.
    workers
        Processes at once; as many as processors on the CPU, 1 elsewhere, if not given.
    json
        Print one JSON object on standard output.
    """
    from taumem.lab import load_experiment, sweep
    from taumem.record import read_runs
    from taumem.report import write_report

    began = time.monotonic()
    changes = [*(set or []), *([f"seeds={seed}"] if seed else [])]
    chosen = load_experiment(experiment, changes)
    folder = output or Path(chosen.name)
    with _progress() as advance:
        sweep(
            chosen,
            folder,
            device=device,
            workers=workers,
            progress=lambda done, total: advance("runs", done, total),
        )
    options = [part for change in changes for part in ("--set", change)]
    command = shlex.join(["taumem", "run", experiment, *options, "-o", str(folder), "--device", device])
    records = read_runs(folder)  # with those of other sizes and seeds that were made here before
    report = write_report(folder / "report.html", records, title=chosen.name, reproduce=command)
    _show_study([folder], json=json, report=str(report), began=began)


@app.command
def fit(
    runs: Runs,
    /,
    *,
    free: bool = True,
    floor: bool = False,
    confidence: float = 0.9,
    output: Folder | None = None,
    json: Json = False,
) -> None:
    """Find the clocks of runs and fit the law tau = c P^a to each.

    Parameters
    ----------
    runs
        Folders of runs, or folders that hold them.
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
    _show_study(runs, json=json, exponent=None if free else 1.0, floor=floor, confidence=confidence, output=output)


@app.command
def forecast(
    runs: Runs,
    /,
    *,
    n_train: int,
    clock: str = "tau_val",
    confidence: float = 0.9,
    json: Json = False,
) -> None:
    """Forecast how long a run on more data may train, from the clocks of smaller runs.

    The exponent of the law is taken to be 1, give or take 0.1 (see docs/law.md).

    Parameters
    ----------
    runs
        Folders of pilot runs, or folders that hold them.
    n_train
        Number of training examples P of the run to forecast.
    clock
        Which clock; see `taumem fit`.
    confidence
        Probability of the interval.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import NEAR_ONE, find_onsets, fit_law
    from taumem.errors import nearest_name
    from taumem.record import read_runs
    from taumem.report import wording

    onsets = find_onsets(read_runs(*runs), confidence=confidence)
    clocks = list(dict.fromkeys(o.clock for o in onsets))
    if clock in _OF_FIVE_LOOKS and clock not in clocks:
        raise ConfigError(f"these runs have no {clock}, which {_FIVE_LOOKS}.")
    if clock not in clocks:
        raise ConfigError(f"these runs have no clock '{clock}'; {nearest_name(clock, clocks)}")
    if clock.startswith("tau_level"):
        raise ConfigError(f"{clock} does not grow in proportion to P: `taumem fit` has its own law, and no forecast.")
    law = fit_law([o for o in onsets if o.clock == clock], exponent=NEAR_ONE, confidence=confidence)
    prediction = law.predict(n_train)
    if json:
        examples = prediction.examples
        _print_json(
            {
                "clock": clock,
                "n_train": n_train,
                "steps": prediction.to_json(),
                "examples": None if examples is None else examples.to_json(),
                "law": law.to_json(),
            }
        )
        return
    examples = prediction.examples
    seen = f" ({examples.value:,.0f} examples at batch size {law.batch_size})" if examples else ""
    if law.is_refuted:
        err.print(
            f"[yellow]these onsets speak against the law:[/] an exponent as far from 1 as theirs has p = "
            f"{law.linearity:.2g}; see `taumem fit`.",
            soft_wrap=True,
        )
    if law.bend is not None and law.is_bent:
        beyond = n_train > max(law.sizes)
        off = "off" if not beyond else "too early" if law.bend.value > 0 else "too late"
        err.print(
            f"[yellow]these onsets bend:[/] their exponent changes by {wording.change(law.bend)} from each size to its "
            f"double, which the forecast leaves out: it may well be {off}.",
            soft_wrap=True,
        )
    out.print(
        f"P = {n_train:,}: {clock} forecast at [bold]{prediction.value:,.0f}[/] steps "
        f"\\[{prediction.low:,.0f}, {prediction.high:,.0f}] at {confidence:.0%}{seen}, "
        f"from {law.n_onsets} onsets at P = {', '.join(map(str, law.sizes))}."
    )


@app.command
def report(
    runs: Runs, /, *, output: Folder = Path("report.html"), title: str | None = None, json: Json = False
) -> None:
    """Write one self-contained page about some runs.

    Parameters
    ----------
    runs
        Folders of runs, or folders that hold them.
    output
        The page.
    title
        Its title.
    json
        Print one JSON object on standard output.
    """
    from taumem.record import read_runs
    from taumem.report import write_report

    reproduce = shlex.join(["taumem", "report", *map(str, runs), "-o", str(output)])
    path = write_report(output, read_runs(*runs), title=title, reproduce=reproduce)
    _print_json({"report": str(path)}) if json else out.print(f"Wrote {escape(str(path))}.")


@app.command
def ls(folder: Path = Path(), /, *, json: Json = False) -> None:
    """List the runs in a folder, and how far each has come.

    Parameters
    ----------
    folder
        Where to look, at any depth.
    json
        Print one JSON object on standard output.
    """
    from taumem.record import RunRecord, find_runs

    rows, unreadable = [], {}
    for place in find_runs(folder):
        try:
            record = RunRecord.read(place)
        except TaumemError as error:  # one bad record must not hide the others
            unreadable[str(place)] = str(error)
            continue
        header = record.header
        rows.append(
            {
                "run": str(place),
                "experiment": header.name,
                "n_train": header.data.n_train,
                "seed": header.seed,
                "half": header.half,
                "step": record.last_step,
                "steps": header.steps,
                "quantities": record.quantities,
            }
        )
    if json:
        _print_json({"runs": rows, "unreadable": unreadable})
        return
    table = _table(Column("run", overflow="fold"), "experiment", "P", "seed", "half", "step", "at most")
    for row in rows:
        shown = row | {"run": Path(str(row["run"])).relative_to(folder), "half": row["half"] or ""}
        names = ("run", "experiment", "n_train", "seed", "half", "step", "steps")
        _add_row(table, *(shown[name] for name in names))
    _show_table(table)
    for reason in unreadable.values():
        out.print(f"[yellow]unreadable:[/] {escape(reason)}", soft_wrap=True)


def _show_study(
    places: list[Path],
    *,
    json: bool,
    exponent: float | None = None,
    floor: bool = False,
    confidence: float = 0.9,
    report: str | None = None,
    began: float | None = None,
    output: Path | None = None,
) -> None:
    from taumem.analysis import find_onsets, fit_each_clock
    from taumem.record import read_runs, write_atomically
    from taumem.report import wording

    records = read_runs(*places)
    onsets = find_onsets(records, confidence=confidence)
    names = sorted({record.header.name for record in records})
    if len(names) > 1:
        err.print(f"[yellow]several experiments in one fit:[/] {escape(', '.join(names))}", soft_wrap=True)
    phase = _phase_diagram(records, onsets, floor=floor, confidence=confidence)
    # A level that was copied was not learned: the laws of levels are the diagram's, which tells the two apart.
    of_levels = {boundary.clock: boundary for boundary in phase.boundaries} if phase else {}
    others = [onset for onset in onsets if onset.clock not in of_levels]
    laws, reasons = fit_each_clock(others, exponent=exponent, floor=floor, confidence=confidence)
    if exponent is None:
        laws |= {clock: boundary.free for clock, boundary in of_levels.items() if boundary.free}
        reasons |= {clock: boundary.reason for clock, boundary in of_levels.items() if boundary.reason}
    else:
        reasons |= {clock: f"{clock}: levels do not grow in proportion to P" for clock in of_levels}
    content: dict[str, Any] = {
        "confidence": confidence,
        "exponents": {clock: law.to_json()["exponent"] for clock, law in laws.items()},
        "laws": {clock: law.to_json() for clock, law in laws.items()},
        "not_fitted": reasons,
        "onsets": [onset.to_json() for onset in onsets],
        "report": report,
    }
    if phase is not None:
        content |= phase.to_json()
    if began is not None:
        content["seconds"] = round(time.monotonic() - began, 1)
    if output is not None:
        write_atomically(output, _json(content) + "\n")
    if json:
        _print_json(content)
        return
    sizes = sorted({onset.n_train for onset in onsets})
    whole = [Column(name, no_wrap=True) for name in ("clock", "exponent" if exponent is None else "steps an example")]
    table = _table(whole[0], *(f"P={n}" for n in sizes), whole[1], "p(a=1)")
    copied = (
        {(at.clock, size.n_train) for size in phase.levels for at in size.levels if at.n_learned < at.n_runs}
        if phase
        else set()
    )
    for clock in dict.fromkeys(onset.clock for onset in onsets):
        law = laws.get(clock)
        cells = [_onsets_in_words([o for o in onsets if o.clock == clock and o.n_train == n]) for n in sizes]
        _add_row(
            table,
            clock,
            *(f"({cell})" if (clock, n) in copied else cell for cell, n in zip(cells, sizes, strict=True)),
            _interval_in_words(law.exponent if exponent is None else law.prefactor) if law else "-",
            "" if law is None or law.linearity is None else f"{law.linearity:.2g}",
        )
    _show_table(table)
    out.print(
        "[dim]tau in optimizer steps, geometric mean over runs; > where some or all runs had not reached it, "
        "< where some had reached it by the first look.[/]"
    )
    if copied:
        out.print(
            "[dim]( ) where some or all runs had not learned the level when copies were seen, or the run ended; a "
            "level's law leaves out those that copied first.[/]"
        )
    tested = {clock: law.bend for clock, law in laws.items() if law.bend}
    bends = [f"{clock} {wording.change(bend)}" for clock, bend in tested.items() if laws[clock].is_bent]
    if bends:
        out.print(
            f"[dim]bent (of {len(tested)} clocks tested, each at 5 %), by a change of the exponent from each size to "
            f"its double: {escape('; '.join(bends))}[/]",
            soft_wrap=True,
        )
    for clock in _OF_FIVE_LOOKS:
        if not any(onset.clock == clock for onset in onsets):
            out.print(f"[dim]no {clock}, which {_FIVE_LOOKS}.[/]", soft_wrap=True)
    alike: dict[str, list[str]] = {}
    for clock, reason in reasons.items():
        alike.setdefault(reason.removeprefix(f"{clock}: "), []).append(clock)
    for reason, clocks in alike.items():
        out.print(f"[dim]no law for {escape(', '.join(clocks))}: {escape(reason)}[/]", soft_wrap=True)
    if phase is not None:
        _show_phase(phase)
    if report:
        out.print(f"Report: {escape(report)}   ({content['seconds']:.0f} s)", soft_wrap=True)


def _phase_diagram(
    records: "list[RunRecord]", onsets: "list[Onset]", *, floor: bool, confidence: float
) -> "PhaseDiagram | None":
    from taumem.analysis import PhaseDiagram, has_levels

    if not has_levels(records):
        return None
    try:
        return PhaseDiagram.of(records, onsets, floor=floor, confidence=confidence)
    except ConfigError as error:  # runs of several grammars, or without samples, still have clocks
        err.print(f"[yellow]no phase diagram:[/] {escape(str(error))}", soft_wrap=True)
        return None


def _show_phase(phase: "PhaseDiagram") -> None:
    """What was learned before copies were seen, and what stopping there costs."""
    table = _table("P", "P/P*", "stop at", "levels reached", "novel and valid", "loss above the exact floor")
    for price in phase.price:
        intervals = (price.novel_valid, price.loss_above_exact)
        values = (_interval_in_words(interval) if interval else "-" for interval in intervals)
        mark = "" if price.reached else ">"
        _add_row(table, price.n_train, f"{price.ratio:.2g}", f"{mark}{price.step:,.0f}", price.grammar_level, *values)
    _show_table(table)
    out.print(
        f"[dim]The last look before copies are seen ({escape(phase.clock)}); > where some or all runs ended before; "
        "intervals 95 %. "
        f"P* = {phase.sample_complexities[-1]:,} strings teach all {phase.depth} levels.[/]"
    )


def _onsets_in_words(onsets: "list[Onset]") -> str:
    if not onsets:
        return ""
    mean = math.exp(sum(math.log(onset.step) for onset in onsets) / len(onsets))
    mark = (
        ">" if any(o.censored == "right" for o in onsets) else "<" if any(o.censored == "left" for o in onsets) else ""
    )
    return f"{mark}{mean:,.0f}"


def _interval_in_words(interval: "Interval") -> str:
    if not math.isfinite(interval.high - interval.low):
        return f"{interval.value:.3g}"
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def _table(*columns: Column | str) -> Table:
    return Table(*columns, box=None, padding=(0, 1, 0, 0))


def _show_table(table: Table) -> None:
    """Print a table whole: numbers that a narrow terminal cuts off are lost."""
    needed = out.measure(table, options=out.options.update(width=1000)).maximum
    Console(width=max(out.width, needed)).print(table)


def _add_row(table: Table, *cells: object) -> None:
    table.add_row(*(Text(str(cell)) for cell in cells))  # Text, so that brackets stand for themselves


def _show_demo(result: "DemoResult") -> None:
    table = _table("", "forecast", "measured")
    forecast, measured = result.forecast, result.measured
    high = f"{measured.high:,.0f}" if math.isfinite(measured.high) else ""
    _add_row(
        table,
        f"{result.clock} at P = {result.n_train}",
        f"{forecast.value:,.0f} [{forecast.low:,.0f}, {forecast.high:,.0f}]",
        f"{measured.value:,.0f} [{measured.low:,.0f}, {high}]",
    )
    _show_table(table)
    copies = _table("", "step", "copies", "95 % interval", "chance")
    for name, count in (("stopped there", result.copies_at_stop), ("much later", result.copies_late)):
        _add_row(
            copies,
            name,
            f"{count.step:,}",
            f"{count.count} of {count.n}",
            f"{count.low:.1%} to {count.high:.1%}",
            f"{count.chance:.1%}",
        )
    _show_table(copies)
    out.print(f"[bold]{escape(result.sentence)}[/]", soft_wrap=True)
    out.print(f"Report: {escape(result.report)}   ({result.seconds:.0f} s)", soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage, on standard error, so that standard output stays clean."""
    columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bars = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err)
    tasks: dict[str, Any] = {}
    told: dict[str, int] = {}

    def advance(stage: str, done: int, total: int) -> None:
        if not err.is_terminal:  # a log has no bar that moves: a line for each tenth
            tenths = 10 * done // total
            if tenths > told.get(stage, -1):
                told[stage] = tenths
                err.print(f"{stage}: {10 * tenths} %")
            return
        if stage not in tasks:
            bars.start()  # not before there is something to show: an input that is refused gets one line alone
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done, total=total)

    try:
        yield advance
    finally:
        if tasks:
            bars.stop()


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, allow_nan=False)


def _print_json(content: Any) -> None:
    print(_json(content))


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    if issubclass(category, TaumemWarning):
        err.print(f"[yellow]note:[/] {escape(str(message))}", soft_wrap=True)
