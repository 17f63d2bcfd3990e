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

MOST_NAMED = 3
"""Runs that are named with a reason."""
PLACEBO = "unseen, held-out items"


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
    from taumem.analysis import find_item_onsets, why_no_item_onsets
    from taumem.record import read_runs, write_atomically

    if output is not None and output.suffix.lower() != ".json":
        raise ConfigError(f"-o {output}: a .json file is written here; call it {output.with_suffix('.json')}.")
    records = read_runs(*runs)
    reasons = why_no_item_onsets(records, lower=lower, confidence=confidence)
    if sum(map(len, reasons.values())) == len(records):
        raise ConfigError(f"none of these runs has onsets of single items: {_told(reasons)}")
    if reasons:
        err.print(
            f"[yellow]note:[/] some runs have no onsets of single items: {escape(_told(reasons))}", soft_wrap=True
        )
    found = find_item_onsets(_with_isolation(records), lower=lower, confidence=confidence)
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


def _told(reasons: "dict[str, list[RunRecord]]") -> str:
    """Each reason, behind the runs that it holds for."""
    from taumem.analysis.wording import plural

    told = []
    for reason, runs in list(reasons.items())[:MOST_NAMED]:
        names = ", ".join(str(run.path) for run in runs[:MOST_NAMED])
        more = f" and {len(runs) - MOST_NAMED:,} more" if len(runs) > MOST_NAMED else ""
        told.append(f"{names}{more}: {reason}")
    left = sum(len(runs) for runs in list(reasons.values())[MOST_NAMED:])
    return " ".join([*told, *([f"And so on, of {plural(left, 'run')} more."] if left else [])])


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
    from taumem.analysis.item_order import COVARIATES

    known = [name for name in COVARIATES if any(name in order.correlations for order in orders.values())]
    placebo = [PLACEBO] if any(order.placebo for order in orders.values()) else []
    table = new_table("", "items", "memorized", *known, *placebo, "false onsets")
    for name, order in orders.items():
        found = [order.correlations.get(covariate) for covariate in known] + [order.placebo] * len(placebo)
        cells = ("-" if each is None else _span(each) for each in found)
        add_row(table, name, order.n_items, order.n_located, *cells, f"{order.n_false} of {order.n_unseen}")
    show_table(table)
    _show_dim(
        *(f"{name.capitalize()}: an item's {COVARIATES[name][0]}." for name in known),
        *(["Rank correlations of the onset: below 0, items that have much of it go first."] if known else []),
        *([f"{PLACEBO.capitalize()}: of those, which nobody trained on, it should hold 0."] if placebo else []),
        "False onsets: held-out items that pass for memorized, of which one in twenty may.",
    )
    for sentence in list(orders.values())[-1].sentences:
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
    half = ["half"] if any(run.run.half for run in found) else []
    table = new_table("P", "seed", *half, "memorized", "which first (place in the training set: step)")
    for run in found:
        onsets = (f"{place}: {_in_words(run, int(place))}" for place in run.order[:first])
        which = [run.run.half or ""] * len(half)
        memorized = f"{run.n_located} of {len(run)}"
        add_row(table, run.run.n_train, run.run.seed, *which, memorized, ", ".join(onsets))
    show_table(table)
    _show_dim(
        "Memorized: items whose onset is located (<: before the first look; >: not by the last).",
        *(["Half: on which of two disjoint training sets the twin was trained."] if half else []),
    )


def _show_dim(*sentences: str) -> None:
    out.print(f"[dim]{escape(' '.join(sentences))}[/]", soft_wrap=True)


def _in_words(run: "ItemOnsets", place: int) -> str:
    onset = run.placed[place]
    mark = {"left": "<", "right": ">"}.get(onset.censored, "")
    return f"{mark}{onset.step:,.0f}"


def _span(interval: "Interval") -> str:
    return f"{interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
