"""The verbs about files: ls, seal, unseal."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Column

from taumem.cli.console import add_row, new_table, out, print_json, progress_bars, show_table
from taumem.cli.entry import Json, OutputFile, OutputFolder, WholeOrNone, app
from taumem.errors import TaumemError

__all__ = ["ls", "seal", "unseal"]


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
        print_json({"runs": rows, "unreadable": unreadable})
        return
    table = new_table(Column("run", overflow="fold"), "experiment", "P", "seed", "half", "step", "at most")
    for row in rows:
        shown = row | {
            "run": _below(Path(str(row["run"])), folder),
            "half": row["half"] or "",
            "steps": row["steps"] or "",
        }
        names = ("run", "experiment", "n_train", "seed", "half", "step", "steps")
        add_row(table, *(shown[name] for name in names))
    show_table(table)
    for reason in unreadable.values():
        out.print(f"[yellow]unreadable:[/] {escape(reason)}", soft_wrap=True)


@app.command
def seal(
    study: Path,
    /,
    *,
    output: OutputFile | None = None,
    digits: WholeOrNone = None,
    pictures: WholeOrNone = None,
    shades: WholeOrNone = None,
    short_errors: Annotated[bool, Parameter(negative="")] = False,
    replace: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Write a finished study into one compact file, which every verb reads like its folder.

    Nothing is lost unless you ask for a smaller file; the folder stays as it is.

    Parameters
    ----------
    study
        The study's folder, or a sealed file to make a smaller one of.
    output
        The file, with the suffix .sealed; STUDY.sealed if not given.
    digits
        Round the values of items to so many digits of the mean of their look (2 to 7), which stays exact.
    pictures
        Keep the first so many samples of each look; how alike twins are is recorded before.
    shades
        Round pictures to so many shades (2 to 256).
    short_errors
        Keep standard errors to 7 digits.
    replace
        Overwrite a file that exists.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import agreement_of_twins
    from taumem.record import read_runs
    from taumem.record import seal as seal_study

    with progress_bars() as advance:
        file = seal_study(
            study,
            output,
            digits=digits,
            pictures=pictures,
            shades=shades,
            short_errors=short_errors,
            extra=agreement_of_twins(read_runs(study)) if pictures is not None else None,
            replace=replace,
            progress=lambda done, total: advance("packed", done, total),
        )
    size = file.stat().st_size
    content = {"file": str(file), "bytes": size}
    print_json(content) if json else out.print(f"Wrote {escape(str(file))} ({size / 1e6:.2f} MB).", soft_wrap=True)


@app.command
def unseal(file: Path, /, *, output: OutputFolder | None = None, json: Json = False) -> None:
    """Write the runs of a sealed study into folders, where they can be added to.

    Parameters
    ----------
    file
        The sealed study.
    output
        A new or an empty folder; the file's name without its suffix if not given.
    json
        Print one JSON object on standard output.
    """
    from taumem.record import unseal as unseal_study

    with progress_bars() as advance:
        folder = unseal_study(file, output, progress=lambda done, total: advance("runs", done, total))
    print_json({"folder": str(folder)}) if json else out.print(f"Wrote {escape(str(folder))}.", soft_wrap=True)


def _below(run: Path, folder: Path) -> Path:
    """A run's path as seen from a folder; of a sealed run whose folder is gone, its whole path."""
    return run.relative_to(folder) if run.is_relative_to(folder) else run
