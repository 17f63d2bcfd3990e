"""What verbs print for a reader: clocks and laws, a forecast, a phase diagram, the demo."""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Column

from taumem.cli.console import add_row, err, new_table, out, show_table
from taumem.cli.phase_tables import interval_in_words, show_levels, show_phase, show_price

if TYPE_CHECKING:
    from taumem.analysis import Forecast, Law, NextPilot, Onset, PhaseDiagram, Precedence, Study
    from taumem.lab import Outlook
    from taumem.lab.demo import DemoResult

__all__ = ["show_cautions", "show_demo", "show_forecast", "show_order", "show_outlook", "show_study"]

_UNITS = {"steps": "optimizer steps", "effective_time": "effective time"}
EXPECTED = ("tau_gen", "tau_val")
"""The clocks that a run has as a rule: where one is missing, the table says why."""


def show_study(study: "Study", exponent: float | None = None, *, said: Collection[str] = ()) -> None:
    """Print the clocks of a study by size, their laws, its phase diagram, and what stopping costs.

    Args:
        study: what to print.
        exponent: of the laws; None for a free one.
        said: cautions that its reader has been given before.
    """
    from taumem.analysis import has_levels

    show_cautions(caution for caution in study.cautions if caution not in said)
    if has_levels(study.records) and (why := study.lacking.get("phase diagram")):
        err.print(f"[yellow]no phase diagram:[/] {escape(why)}", soft_wrap=True)
    if study.onsets:
        _show_clocks(study, exponent)
    for sentence in (*study.unread(EXPECTED), *study.without_law(exponent)):
        out.print(f"[dim]{escape(sentence)}[/]", soft_wrap=True)
    if study.hierarchy is not None:
        show_levels(study.hierarchy)
    elif study.phase is not None and not study.phase.is_over_sizes:
        show_phase(study.phase)
    if study.price is not None:
        show_price(study.price)


def show_cautions(cautions: Iterable[str]) -> None:
    """Print on standard error what a reader must know before believing what is printed."""
    for sentence in cautions:
        err.print(f"[yellow]note:[/] {escape(sentence)}", soft_wrap=True)


def show_order(order: "Sequence[Precedence]") -> None:
    """Print in which order clocks go off, as multiples of another one's onset in the same runs."""
    if not order:
        out.print(
            "[dim]No order of the clocks: they are held against tau_val, which was read in no run beside another.[/]"
        )
        return
    from taumem.analysis import wording

    table = new_table(
        Column("clock"),
        Column(f"multiple of {order[0].reference}", justify="right"),
        Column("exponent of P, less its", justify="right"),
        Column("runs", justify="right"),
    )
    for each in order:
        runs = f"{each.n_located} of {each.n_runs}"
        add_row(table, each.clock, wording.multiple(each), wording.power(each.trend) if each.trend else "", runs)
    show_table(table)
    marks = {
        "one run: the ratio of the only run that located both clocks": any(each.of_one_run for each in order),
        "> what it lies above in every run, by the ends of both intervals": any(each.beyond for each in order),
        "? where some run does not bound it from below, or the runs are of several kinds": any(
            not each.typical for each in order
        ),
    }
    told = "; ".join(["Geometric mean over runs", *(mark for mark, is_there in marks.items() if is_there)])
    out.print(
        f"[dim]{told}. Runs: in how many it is known, of those that tell something of it (of clocks of twins, pairs of "
        "runs); where neither clock was reached, nothing is told.[/]",
        soft_wrap=True,
    )


def show_outlook(outlook: "Outlook") -> None:
    """Print on standard error what a study will be, before it is made."""
    err.print(escape(outlook.line), soft_wrap=True)
    show_cautions(outlook.cautions)


def show_forecast(forecast: "Forecast", next_pilot: "NextPilot", cautions: Iterable[str] = ()) -> None:
    """Print a forecast: before it what speaks against it and against its study, after it which pilot to make next."""
    from taumem.analysis import wording
    from taumem.analysis.cautions import of_a_forecast

    predicted, law = forecast.predicted, forecast.law
    assert law is not None
    assert law.prior is not None
    usually = "{:g}, give or take {:g}".format(*law.prior.exponent)
    show_cautions(dict.fromkeys((*cautions, *of_a_forecast(forecast))))
    if law.is_implausible:
        err.print(
            f"[yellow]these onsets speak against the exponent that forecasts assume,[/] {usually}: one as far from it "
            f"as theirs has p = {law.plausibility:.2g}; see `taumem fit --floor`.",
            soft_wrap=True,
        )
    if law.bend is not None and law.is_bent:
        off = "too late" if forecast.n_train > max(law.sizes) else "off"
        err.print(
            f"[yellow]these onsets bend down:[/] their exponent changes by {wording.change(law.bend)} from each size "
            f"to its double, while the forecast's law bends up: it may well be {off}.",
            soft_wrap=True,
        )
    for difference in forecast.differences:
        if difference.pilots is not None:
            how = "carried" if difference.is_carried else "differs"
            err.print(f"[yellow]{how}:[/] {escape(str(difference))}", soft_wrap=True)
    if unsaid := [difference.name for difference in forecast.differences if difference.pilots is None]:
        err.print(
            f"[yellow]not compared,[/] since the pilots do not say it: {escape(', '.join(unsaid))}.", soft_wrap=True
        )
    examples, passes = forecast.examples, forecast.passes
    units = f", {examples.value:,.0f} examples, {wording.number(passes.value)} passes" if examples and passes else ""
    whose = "" if forecast.supported else " of a run like the pilots, not of the one described"
    out.print(
        f"P = {forecast.n_train:,}: {forecast.clock}{whose} forecast at [bold]{predicted.value:,.0f}[/] steps "
        f"\\[{predicted.low:,.0f}, {predicted.high:,.0f}] at {predicted.confidence:.0%}{units}. To be on the safe "
        f"side, stop at {predicted.low:,.0f}.",
        soft_wrap=True,
    )
    exponent = escape(f"a = {wording.power(law.exponent)}")
    formula, k = "tau = tau_0 + c P^a", ""
    if law.batch_exponent is not None and law.spans_batch_sizes:
        formula, k = f"{formula} B^-k", f" and {escape(f'k = {wording.power(law.batch_exponent)}')}"
    out.print(
        f"[dim]From {law.n_onsets} onsets at P = {', '.join(map(str, law.sizes))}, by {formula} with {exponent} "
        f"(assumed before the pilots were seen: {usually}){k}.[/]",
        soft_wrap=True,
    )
    out.print(f"[dim]{forecast.support}[/]", soft_wrap=True)
    if forecast.supported:
        for sentence in next_pilot.sentences:
            out.print(sentence, soft_wrap=True)


def show_demo(result: "DemoResult") -> None:
    """Print what the demo found."""
    show_cautions(result.cautions)
    forecast, measured = result.forecast, result.measured
    table = new_table("", "forecast", "measured")
    high = f"{measured.high:,.0f}" if math.isfinite(measured.high) else ""
    add_row(
        table,
        f"{result.clock} at P = {result.n_train}",
        f"{forecast.value:,.0f} [{forecast.low:,.0f}, {forecast.high:,.0f}]",
        f"{measured.value:,.0f} [{measured.low:,.0f}, {high}]",
    )
    show_table(table)
    copies = new_table("", "step", f"times {result.clock}", "copies", "95 % interval", "chance")
    for name, count in (("stopped there", result.copies_at_stop), ("trained on", result.copies_late)):
        add_row(
            copies,
            f"P = {count.n_train}, {name}",
            f"{count.step:,}",
            "-" if count.times is None else f"{count.times:.1f}",
            f"{count.count} of {count.n}",
            f"{count.low:.1%} to {count.high:.1%}",
            f"{count.chance:.1%}",
        )
    show_table(copies)
    out.print(f"[bold]{escape(result.sentence)}[/]", soft_wrap=True)
    out.print(f"Report: {escape(result.report)}   ({result.seconds:.0f} s)", soft_wrap=True)


def _show_clocks(study: "Study", exponent: float | None) -> None:
    from taumem.analysis import wording

    laws, _ = study.fits(exponent)
    sizes = sorted({onset.n_train for onset in study.onsets})
    found = list(dict.fromkeys(onset.clock for onset in study.onsets))
    copied = _copied(study.hierarchy)
    several = next((law for law in laws.values() if law.spans_batch_sizes), None)
    settings = study.covariates if laws else ()
    names = ("clock", "exponent" if exponent is None else "steps per example", *(("k",) if several else ()), *settings)
    whole = [Column(name, no_wrap=True) for name in names]
    table = new_table(whole[0], *(f"P={n}" for n in sizes), *whole[1:], "p(a=1)")
    for clock in found:
        law = laws.get(clock)
        own = [onset for onset in study.onsets if onset.clock == clock]
        cells = [_onsets_in_words([onset for onset in own if onset.n_train == n], law) for n in sizes]
        add_row(
            table,
            clock,
            *(f"({cell})" if (clock, n) in copied else cell for cell, n in zip(cells, sizes, strict=True)),
            interval_in_words(law.exponent if exponent is None else law.prefactor) if law else "-",
            *((interval_in_words(law.batch_exponent) if law and law.batch_exponent else "-",) if several else ()),
            *((interval_in_words(each.coefficient) for each in law.covariates) if law else "-" * len(settings)),
            "" if law is None or law.linearity is None else wording.p_value(law.linearity),
        )
    show_table(table)
    out.print(
        f"[dim]tau in {_UNITS[study.unit]}, geometric mean over runs; > where some or all runs had not reached it, "
        "< where some had reached it by the first look.[/]",
        soft_wrap=True,
    )
    if several:
        out.print(
            f"[dim]Onsets fall as B^-k with the batch size B: of a clock with a k, steps are those at batch size "
            f"{several.reference_batch_size:,}, to which runs of other batch sizes were brought by it.[/]",
            soft_wrap=True,
        )
    if copied:
        out.print(
            "[dim]( ) where some or all runs had not learned the level when copies were seen, or the run ended; a "
            "level's law leaves out those that copied first.[/]"
        )
    _show_bends(study, exponent)


def _show_bends(study: "Study", exponent: float | None) -> None:
    from taumem.analysis import wording

    laws, _ = study.fits(exponent)
    tested = {clock: law.bend for clock, law in laws.items() if law.bend}
    bends = [f"{clock} {wording.change(bend)}" for clock, bend in tested.items() if laws[clock].is_bent]
    if bends:
        out.print(
            f"[dim]bent (of {len(tested)} clocks tested, each at 5 %), by a change of the exponent from each size to "
            f"its double: {escape('; '.join(bends))}[/]",
            soft_wrap=True,
        )


def _copied(phase: "PhaseDiagram | None") -> set[tuple[str, int]]:
    """The clocks of levels and the sizes at which some run had not learned the level when it copied, or ended."""
    sizes = phase.levels if phase else ()
    return {(at.clock, size.n_train) for size in sizes for at in size.levels if at.n_learned < at.n_runs}


def _onsets_in_words(onsets: "Sequence[Onset]", law: "Law | None") -> str:
    """Their geometric mean, at the law's own batch size where it spans several."""
    if not onsets:
        return ""
    from taumem.analysis import wording

    brought = law.to_reference if law and law.spans_batch_sizes else lambda n_train, batch_size: 1.0
    steps = [onset.step * brought(onset.n_train, onset.batch_size) for onset in onsets]
    mean = math.exp(sum(map(math.log, steps)) / len(steps))
    kinds = {onset.censored for onset in onsets}
    told = f"{mean:,.0f}" if onsets[0].unit == "steps" else wording.number(mean)
    return f"{'>' if 'right' in kinds else '<' if 'left' in kinds else ''}{told}"
