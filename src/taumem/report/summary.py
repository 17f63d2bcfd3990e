"""A study in a few words: its title, its verdict, and what it was made of."""

from collections.abc import Iterator

from taumem.analysis import ClockLaw, Forecast, Study
from taumem.report.wording import change, number, plural, power, sizes_text, span

__all__ = ["subtitle", "title_of", "verdict"]


def title_of(study: Study) -> str:
    """The names of its experiments."""
    return ", ".join(study.experiments) or "No runs"


def subtitle(study: Study) -> str:
    """The data, the sizes, and the number of runs; empty without runs."""
    runs = [record.header for record in study.records]
    parts = [
        ", ".join(sorted({run.data.name for run in runs})),
        f"P = {sizes_text(sorted({run.data.n_train for run in runs}))}",
        f"batch size {sizes_text(study.batch_sizes)}",
        f"{plural(len(runs), 'run')}, {plural(len({run.seed for run in runs}), 'seed')}",
        f"{' and '.join(sorted({run.weights for run in runs}))} weights",
    ]
    return " · ".join(parts) if runs else ""


def verdict(study: Study) -> str:
    """The study in one or two sentences, without a claim that it does not carry."""
    if not study.records:
        return "There are no runs to report on yet."
    if study.headline is None:
        return "No clock could be read from these runs yet."
    return " ".join(_sentences(study, study.headline))


def _sentences(study: Study, clock: ClockLaw) -> Iterator[str]:
    law = _law(clock)
    if not law:
        located, found = sum(onset.usable for onset in clock.onsets), plural(len(clock.onsets), "onset")
        yield f"{clock.clock}: {found}, {located or 'none'} of them located, the others only bounded. No law yet."
        return
    yield law
    if clock.free is not None and clock.free.bend is not None and clock.free.is_bent:
        yield f"The line bends: its exponent changes by {change(clock.free.bend)} from size to double size."
    lowest = next((other for other in study.clocks if other.clock == "tau_val"), None)
    if lowest is not None and lowest is not clock and study.phase is None and not lowest.drawn:
        if all(onset.usable for onset in lowest.fitted):
            yield f"tau_val has no law: {lowest.reason.removeprefix('tau_val: ')}"
        else:
            yield "tau_val was not reached by enough runs: train longer."
    if study.proof is not None:
        yield _forecast(study.proof)


def _law(clock: ClockLaw) -> str:
    """What the law of a clock says; empty where there is none."""
    grows = "" if clock.free is None else f"{clock.clock} grows as P^{power(clock.free.exponent)}"
    if clock.free is not None and clock.free.is_refuted:
        return f"{grows}, which is not in proportion to P (p = {number(clock.free.linearity or 0)})."
    if clock.linear is None:
        return grows and f"{grows}."
    batch = clock.linear.batch_size
    rate = f"{number(clock.linear.prefactor.value)} steps per example"
    rate += "" if batch is None else f" at batch size {batch:,}"
    return f"{grows}: {rate}." if grows else f"{clock.clock} comes at {rate}, if it is proportional to P."


def _forecast(made: Forecast) -> str:
    seen = "not measured yet" if made.measured is None else f"measured {span(made.measured)}"
    return f"Forecast for P = {made.n_train:,}: {span(made.predicted)} steps; {seen}."
