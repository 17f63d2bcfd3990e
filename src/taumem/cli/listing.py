"""The verb that says where runs stand: ls."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Column

from taumem.cli.console import add_row, new_table, out, print_json, show_table
from taumem.cli.entry import Json, app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taumem.analysis.standing import Standing

__all__ = ["ls", "show_runs"]

SHOWN = ("tau_gen", "tau_val", "tau_gap[0.2]", "tau_copy[0.05]")
"""The clocks in the table; all are in the JSON."""


@app.command
def ls(*folders: Annotated[Path, Parameter(allow_leading_hyphen=False)], json: Json = False) -> None:
    """List the runs in folders: where each stands, and its clocks so far.

    It reads files alone, those of runs under way too, on whatever machine they are made.

    Parameters
    ----------
    folders
        Where to look, at any depth; here if none is given.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis.standing import standings

    places = folders or (Path(),)
    runs, unreadable = standings(*places)
    if json:
        print_json({"runs": [run.to_json() for run in runs], "unreadable": unreadable})
        return
    show_runs(runs, places[0] if len(places) == 1 else Path())
    for run in runs:
        if run.reason:
            out.print(f"[red]failed:[/] {escape(run.reason)}", soft_wrap=True)
    for reason in unreadable.values():
        out.print(f"[yellow]unreadable:[/] {escape(reason)}", soft_wrap=True)


def show_runs(runs: "Sequence[Standing]", folder: Path) -> None:
    """Print where runs stand, their clocks, and how many there are of each state."""
    from taumem.analysis.wording import plural

    clocks = [clock for clock in SHOWN if any(onset.clock == clock for run in runs for onset in run.onsets)]
    table = new_table(Column("run", overflow="fold"), "P", "seed", "half", "state", *clocks)
    for run in runs:
        steps = {onset.clock: onset for onset in run.onsets}
        marks = {"right": ">", "left": "<"}
        cells = [f"{marks.get(o.censored, '')}{o.step:,.0f}" if (o := steps.get(clock)) else "" for clock in clocks]
        place = run.path.relative_to(folder) if run.path.is_relative_to(folder) else run.path
        add_row(table, place, run.n_train, run.seed, run.half or "", run.words, *cells)
    show_table(table)
    counts = Counter(run.state for run in runs)
    told = ", ".join(f"{n} {state}" for state, n in counts.items())
    out.print(f"[dim]{plural(len(runs), 'run')}: {told}.[/]", soft_wrap=True)
