"""The verb that scores saved checkpoints: scan."""

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Column

from taumem.cli.console import add_row, as_json, err, new_table, out, print_json, progress_bars, show_table
from taumem.cli.entry import Json, OutputFolder, Whole, WholeOrNone, app
from taumem.cli.tables import show_cautions

if TYPE_CHECKING:
    from taumem.monitor import Scan
    from taumem.record import Curve

__all__ = ["scan"]

Word = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
ONSET = 1
"""Exit code where an onset was found that must not be."""


@app.command
def scan(
    checkpoints: Path,
    /,
    *,
    probe: Annotated[Path, Parameter(name="--with")],
    output: OutputFolder = Path("scan"),
    rule: Literal["quality", "balanced", "no_copies", "privacy"] | None = None,
    pattern: Word = None,
    only: Word = None,
    steps_per: float | None = None,
    samples: WholeOrNone = None,
    for_audit: WholeOrNone = None,
    fail_on: Literal["onset"] | None = None,
    seed: Whole = 0,
    json: Json = False,
) -> None:
    """Score every saved checkpoint of a run, and say which one to keep.

    Each is asked about the same items under the same noise. Interrupted, the same command goes on; checkpoints that
    have come since are added. Exit codes: 0 done; 1 an onset was found (--fail-on onset); 2 the input cannot be used.

    Parameters
    ----------
    checkpoints
        The folder that holds them, under the names that trainers give them: see docs/checkpoints.md.
    probe
        A Python file with load(path), loss(model, items, generator), train, heldout and, if wanted,
        sample(model, n, generator) and base().
    output
        Folder for the record, scan.json and report.html; scan if not given. One for each run.
    rule
        Which policy decides; if not given, what a guard goes by: balanced, and no_copies where samples are drawn.
    pattern
        Of names of your own: a regular expression with a group of digits, such as 'net_(?P<step>[0-9]+)[.]pt' (or
        epoch, kimg, milestone instead of step).
    only
        Which series of names, where the folder holds several, such as 'ema_0.9999_*.pt'.
    steps_per
        Optimizer steps in an epoch, in a thousand images or between two saves, where the names count these.
    samples
        How many samples to draw of each checkpoint, 0 for none; 64 if not given and the file has sample.
    for_audit
        Draw so many samples of the checkpoint to keep, and write them beside the items for `taumem audit`.
    fail_on
        What must not be: onset, an onset by the rule that decides.
    seed
        Of the choice of items, of noise and of samples.
    json
        Print one JSON object on standard output.
    """
    from taumem.monitor import scan as scan_checkpoints
    from taumem.record import write_atomically
    from taumem.report import write_report

    # What the user's file prints must not come between the results.
    with redirect_stdout(sys.stderr), progress_bars() as advance:
        found = scan_checkpoints(
            checkpoints,
            probe,
            folder=output,
            rule=rule,
            pattern=pattern,
            only=only,
            steps_per=steps_per,
            n_samples=samples,
            seed=seed,
            progress=lambda done, total: advance("checkpoints", done, total),
        )
    given = {"--pattern": pattern, "--only": only, "--steps-per": steps_per, "--samples": samples, "--rule": rule}
    again = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    command = shlex.join(["taumem", "scan", str(checkpoints), "--with", str(probe), *again, "-o", str(output)])
    page = write_report(
        output / "report.html",
        found.study,
        title=found.record.header.name,
        sentence=found.headline,
        reproduce=command,
    )
    content = found.to_json() | {"report": str(page), "audit": None}
    write_atomically(output / "scan.json", as_json(content) + "\n")
    audit = None
    if for_audit:  # last: where no checkpoint is to be kept, or the file cannot sample, the rest is there
        with redirect_stdout(sys.stderr):
            audit = found.write_for_audit(for_audit)
        content |= {"audit": str(audit)}
        write_atomically(output / "scan.json", as_json(content) + "\n")
    if json:
        print_json(content)
    else:
        _show(found)
        if audit is not None:
            files = (f"--{name} {shlex.quote(str(audit / name))}.npy" for name in ("train", "generated", "heldout"))
            out.print(f"Audit it: taumem audit {escape(' '.join(files))}", soft_wrap=True)
        out.print(f"Report: {escape(str(page))}", soft_wrap=True)
    sys.exit(ONSET if fail_on and found.choice.verdict.stop else 0)


def _show(found: "Scan") -> None:
    from taumem.analysis.checkpoint_choice import what_they_tell

    show_cautions(found.notes)
    for name, why in found.passed_over.items():
        err.print(f"[yellow]passed over:[/] {escape(name)}: {escape(why)}", soft_wrap=True)
    _show_checkpoints(found)
    _show_clocks(found)
    out.print()
    out.print(f"[bold]{escape(found.headline)}[/]", soft_wrap=True)
    for sentence in (found.choice.beyond, what_they_tell(found.record)):
        if sentence:
            out.print(escape(sentence), soft_wrap=True)
    out.print()
    for choice in found.choices[1:]:
        keep = "-" if choice.keep is None else f"{choice.keep:,}"
        out.print(f"{choice.policy:<10} [bold]{keep:>8}[/]  {escape(choice.reason)}", soft_wrap=True)
    for why in found.choice.verdict.not_checked:
        out.print(f"[dim]Not checked: {escape(why)}[/]", soft_wrap=True)


def _show_checkpoints(found: "Scan") -> None:
    from taumem.analysis.checkpoint_choice import as_good_as_best

    curves = {
        "train loss": found.record.curve_or_none("train_loss"),
        "held-out loss": found.record.curve_or_none("heldout_loss"),
        "gap": found.record.curve_or_none("gap"),
        "membership AUC": found.record.curve_or_none("membership_auc"),
        "copies": found.record.curve_or_none("copy_fraction"),
    }
    there = {name: curve for name, curve in curves.items() if curve is not None}
    good = as_good_as_best(there["held-out loss"]) if "held-out loss" in there else ()
    table = new_table("checkpoint", Column(found.unit, justify="right"), *there, "")
    for step in found.record.steps:
        path = found.checkpoints.get(step)
        marks = [*(["keep"] if step == found.choice.keep else []), *(["lowest, or as good"] if step in good else [])]
        cells = (_cell(name, curve, step) for name, curve in there.items())
        name = "before training" if path is None else f"{Path(path).name}{'' if Path(path).exists() else ' (gone)'}"
        add_row(table, name, f"{step:,}", *cells, "; ".join(marks))
    show_table(table)


def _cell(name: str, curve: "Curve", step: int) -> str:
    from taumem.analysis.wording import percent

    at = [k for k, look in enumerate(curve.steps) if look == step]
    if not at:
        return "-"
    value, error = float(curve.values[at[0]]), float(curve.se[at[0]])
    if name == "copies":
        return f"{round(value * curve.counts[at[0]])} of {curve.counts[at[0]]}"
    if name == "gap":
        return f"{percent(value)} ± {percent(error)}" if error == error else percent(value)
    return f"{value:.2f}" if name == "membership AUC" else f"{value:.4g}"


def _show_clocks(found: "Scan") -> None:
    from taumem.analysis.wording import onset_span, state

    onsets = found.study.onsets
    if located := [onset for onset in onsets if onset.censored != "right"]:
        out.print()
        table = new_table("clock", f"{found.unit} [90 %]", "")
        for onset in located:
            add_row(table, onset.clock, onset_span(onset), state(onset))
        show_table(table)
    if later := [onset.clock for onset in onsets if onset.censored == "right"]:
        sentence = f"Not reached by {found.unit} {found.record.last_step:,}: {', '.join(later)}."
        out.print(f"[dim]{escape(sentence)}[/]", soft_wrap=True)
