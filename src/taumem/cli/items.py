"""The verb that asks which training items go first: items."""

from typing import TYPE_CHECKING

from rich.markup import escape

from taumem.cli.console import add_row, as_json, err, new_table, out, print_json, show_table
from taumem.cli.entry import CONFIDENCE, Confidence, Json, OutputFile, Runs, Whole, app
from taumem.errors import ConfigError, TaumemError

if TYPE_CHECKING:
    from taumem.analysis import Interval, ItemOnsets, ItemOrder
    from taumem.record import RunRecord

__all__ = ["items"]


@app.command
def items(
    runs: Runs,
    /,
    *,
    first: Whole = 5,
    lower: float = 1 / 3,
    confidence: Confidence = CONFIDENCE,
    output: OutputFile | None = None,
    json: Json = False,
) -> None:
    """Find which training items were memorized first, and what these have in common.

    Each item has an onset: its loss is lower for good than under the twin, which never saw it (without a twin: than
    it was midway through the learning). See docs/items.md.

    Parameters
    ----------
    runs
        Folders of runs, sealed studies, or folders that hold them.
    first
        How many items to list of each run: those most at risk.
    lower
        Share by which the loss must be lower, between 0 and 1.
    confidence
        Probability of every interval.
    output
        A .json file to write the onsets of all items to.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import find_item_onsets
    from taumem.record import read_runs, write_atomically

    if output is not None and output.suffix.lower() != ".json":
        raise ConfigError(f"-o {output}: a .json file is written here; call it {output.with_suffix('.json')}.")
    found = find_item_onsets(_with_isolation(read_runs(*runs)), lower=lower, confidence=confidence)
    if not found:
        raise ConfigError(
            "none of these runs has onsets of single items: they need the losses of single training items and of 38 or "
            "more held-out items (monitor.n_heldout_items), at 8 or more looks."
        )
    orders = _orders(found, confidence)
    told = {name: order.to_json() for name, order in orders.items()}
    content = {"orders": told, "runs": [run.to_json() for run in found]}
    if output is not None:
        write_atomically(output, as_json(content) + "\n")
    if json:
        print_json(content)
    else:
        _show_first(found, first)
        _show_orders(orders)


def _orders(found: "list[ItemOnsets]", confidence: float) -> "dict[str, ItemOrder]":
    """What the onsets of the items go with, by size, and over all sizes; of what can be told."""
    from taumem.analysis import order_of_items

    sizes = sorted({run.run.n_train for run in found})
    parts = {f"P = {size:,}": [run for run in found if run.run.n_train == size] for size in sizes}
    parts |= {"all": found} if len(sizes) != 1 else {}
    orders = {}
    for name, runs in parts.items():
        try:
            orders[name] = order_of_items(runs, confidence=confidence)
        except ConfigError:  # too few items whose onsets differ
            continue
    return orders


def _show_orders(orders: "dict[str, ItemOrder]") -> None:
    if not orders:
        out.print("The onsets of the items do not differ, so that nothing can be said of their order.")
        return
    whole = list(orders.values())[-1]
    table = new_table("", "items", "memorized", *whole.correlations, "unseen, held-out items", "false onsets")
    for name, order in orders.items():
        found = (_span(each) for each in order.correlations.values())
        placebo = _span(order.placebo) if order.placebo else "-"
        counts = f"{order.n_false} of {order.n_unseen}"
        add_row(table, name, order.n_items, order.n_located, *found, placebo, counts)
    show_table(table)
    out.print(
        "[dim]Rank correlations of the onset: below 0, items that have much of it go first; of held-out items, which "
        "nobody trained on, it should hold 0.[/]",
        soft_wrap=True,
    )
    for sentence in whole.sentences:
        out.print(escape(sentence), soft_wrap=True)


def _with_isolation(records: "list[RunRecord]") -> "list[RunRecord]":
    """The runs with the isolation of their items, made again from their data where the record has none."""
    if all(record.curve_or_none("isolation") is not None for record in records):
        return records
    from taumem.lab.items import isolation_of  # not before: it loads torch

    told = []
    for record in records:
        try:
            told.append(isolation_of(record))
        except TaumemError as error:
            err.print(f"[yellow]note:[/] no isolation of items: {escape(str(error))}", soft_wrap=True)
            return records
    return told


def _show_first(found: "list[ItemOnsets]", first: int) -> None:
    table = new_table("P", "seed", "half", "memorized", "which first (place in the training set: step)")
    for run in found:
        onsets = (f"{place}: {_in_words(run, int(place))}" for place in run.order[:first])
        add_row(
            table,
            run.run.n_train,
            run.run.seed,
            run.run.half or "",
            f"{run.n_located} of {len(run)}",
            ", ".join(onsets),
        )
    show_table(table)


def _in_words(run: "ItemOnsets", place: int) -> str:
    onset = run.placed[place]
    mark = {"left": "<", "right": ">"}.get(onset.censored, "")
    return f"{mark}{onset.step:,.0f}"


def _span(interval: "Interval") -> str:
    return f"{interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
