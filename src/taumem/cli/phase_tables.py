"""What `taumem fit` prints of phase diagrams and of the price of stopping."""

import math
from typing import TYPE_CHECKING

from rich.markup import escape

from taumem.cli.console import add_row, new_table, out, show_table

if TYPE_CHECKING:
    from taumem.analysis import Interval, PhaseDiagram
    from taumem.analysis.boundary import Boundary
    from taumem.analysis.stopping_price import StoppingPrice

__all__ = ["interval_in_words", "show_levels", "show_phase", "show_price"]


def show_levels(phase: "PhaseDiagram") -> None:
    """Print what was learned of a grammar before copies were seen, and what stopping there costs."""
    table = new_table("P", "P/P*", "stop at", "levels reached", "novel and valid", "loss above the exact floor")
    for price in phase.price:
        values = map(interval_in_words, (price.novel_valid, price.loss_above_exact))
        mark = "" if price.reached else ">"
        add_row(table, price.n_train, f"{price.ratio:.2g}", f"{mark}{price.step:,.0f}", price.grammar_level, *values)
    show_table(table)
    out.print(
        f"[dim]The last look before copies are seen ({escape(phase.clock)}); > where some or all runs had none by "
        "their last look at samples, which stands in; intervals 95 %. "
        f"P* = {phase.sample_complexities[-1]:,} strings teach all {phase.depth} levels.[/]"
    )


def show_phase(phase: "PhaseDiagram") -> None:
    """Print when models had learned and when they memorized, over the values of a setting, and both laws."""
    from taumem.analysis import wording

    learned, memorized = phase.boundaries[0], phase.memorization
    table = new_table(phase.over, f"learned: {learned.clock}", f"memorized: {memorized.clock}")
    for size in phase.levels:
        add_row(table, wording.setting(size.x), wording.typical(size.levels[0]), wording.typical(size.memorization))
    add_row(table, "law", *(_law(boundary, phase.over) for boundary in (learned, memorized)))
    show_table(table)
    out.print(
        "[dim]Optimizer steps, geometric mean over runs, in brackets the lowest and the highest bound; all at P = "
        f"{phase.levels[0].n_train:,}.[/]",
        soft_wrap=True,
    )
    for boundary in (learned, memorized):
        if boundary.reason:
            out.print(f"[dim]{escape(boundary.reason)}[/]", soft_wrap=True)


def show_price(price: "StoppingPrice") -> None:
    """Print what stopping at tau_mem costs, against the same network on all data, and its law."""
    from taumem.analysis.stopping_price import LOSS

    table = new_table("P", "stop at", "held-out loss there", "less all data, same look", "less all data, its best")
    for size in price.sizes:
        if (cost := size.cost(LOSS)) is not None:
            mark = "" if size.n_reached == size.n_runs else ">"
            values = map(interval_in_words, (cost.at_stop, cost.same_look, cost.best))
            add_row(table, size.n_train, f"{mark}{size.step:,.0f}", *values)
    show_table(table)
    others = [quantity for quantity in price.quantities if quantity != LOSS]
    more = f" Of {', '.join(others)} the page and --json have the same." if others else ""
    out.print(
        f"[dim]The price of stopping at the last look before {escape(price.clock)} (> where some or all runs had not "
        f"reached it by the last look that could show it, which stands in), against the same network on P = "
        f"{price.all_data:,}, whose best is typically at step {price.best_step:,.0f}; paired by seed and item, "
        f"intervals 95 %.{escape(more)}[/]",
        soft_wrap=True,
    )
    for sentence in price.left_out:
        out.print(f"[dim]{escape(sentence)}[/]", soft_wrap=True)
    if price.law is None:
        out.print(f"[dim]{escape(price.no_law)}[/]", soft_wrap=True)
        return
    law = price.law
    sizes = ", ".join(f"{size:,}" for size in law.sizes)
    out.print(
        f"held-out loss at {escape(price.clock)} = L + A P^-b: b = {escape(interval_in_words(law.exponent))}, "
        f"{escape(interval_in_words(law.won))} won from P = {law.sizes[0]:,} to {law.sizes[-1]:,} "
        f"[dim]({law.n_runs} runs at P = {sizes}; {law.exponent.confidence:.0%})[/]",
        soft_wrap=True,
    )


def interval_in_words(interval: "Interval | None") -> str:
    """A value with its interval in three digits; the value alone where nothing bounds it, a dash without one."""
    if interval is None:
        return "-"
    if not math.isfinite(interval.high - interval.low):
        return f"{interval.value:.3g}"
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


def _law(boundary: "Boundary", over: str) -> str:
    exponent = boundary.exponent
    return "-" if exponent is None else f"~ {over}^{interval_in_words(exponent)}"
