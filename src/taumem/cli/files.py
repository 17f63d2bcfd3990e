"""The verbs about files: ls."""

from pathlib import Path

from rich.markup import escape
from rich.table import Column

from taumem.cli.app import Json, app
from taumem.cli.console import add_row, new_table, out, print_json, show_table
from taumem.errors import TaumemError

__all__ = ["ls"]


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
        shown = row | {"run": Path(str(row["run"])).relative_to(folder), "half": row["half"] or ""}
        names = ("run", "experiment", "n_train", "seed", "half", "step", "steps")
        add_row(table, *(shown[name] for name in names))
    show_table(table)
    for reason in unreadable.values():
        out.print(f"[yellow]unreadable:[/] {escape(reason)}", soft_wrap=True)
