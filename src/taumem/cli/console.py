"""Where verbs print: results on standard output, notes and progress on standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

__all__ = ["UNREAD", "add_row", "as_json", "err", "new_table", "out", "print_json", "progress_bars", "show_table"]

UNREAD = 141
"""Exit code of a program whose output nobody reads any more."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """End: who read the output (head, say) has seen enough."""
        sys.exit(UNREAD)


out = _Console()
err = _Console(stderr=True)


def as_json(content: Any) -> str:
    """Write JSON as all verbs do."""
    return json.dumps(content, indent=2, allow_nan=False)


def print_json(content: Any) -> None:
    """Print one JSON object, and nothing else, on standard output."""
    print(as_json(content))


def new_table(*columns: Column | str) -> Table:
    """Begin a table without lines."""
    return Table(*columns, box=None, padding=(0, 1, 0, 0))


def add_row(table: Table, *cells: object) -> None:
    """Add a row of anything; brackets stand for themselves."""
    table.add_row(*(Text(str(cell)) for cell in cells))


def show_table(table: Table) -> None:
    """Print a table whole: numbers that a narrow terminal cuts off are lost."""
    needed = out.measure(table, options=out.options.update(width=1000)).maximum
    _Console(width=max(out.width, needed)).print(table)


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage, on standard error, so that standard output stays clean.

    Yields:
        What to call with (stage, work done, work in all) as the work advances.
    """
    columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bars = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err)
    tasks: dict[str, Any] = {}
    logged: dict[str, int] = {}

    def advance(stage: str, done: int, total: int) -> None:
        if not err.is_terminal:  # a log has no bar that moves: a line for each tenth
            tenths = 10 * done // total
            if tenths > logged.get(stage, -1):
                logged[stage] = tenths
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
