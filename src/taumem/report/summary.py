"""A study in a few words: its title, its verdict, and what it was made of."""

from collections.abc import Iterator

from taumem.analysis import ClockLaw, Forecast, Study
from taumem.analysis.missing import without_law
from taumem.analysis.wording import change, factor, number, p_value, plural, power, sizes_text, span

__all__ = ["subtitle", "title_of", "verdict"]

TOO_WIDE = 1.0
"""An interval of an exponent that holds laws as different as proportionality and no growth at all."""


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
    if not clock.drawn:
        yield from (f"No law yet for {told.removeprefix('No law for ')}" for told in without_law([clock], None))
        return
    yield _law(clock)
    if clock.free is not None and clock.free.bend is not None and clock.free.is_bent:
        yield f"The line bends: its exponent changes by {change(clock.free.bend)} from size to double size."
    lowest = next((other for other in study.clocks if other.clock == "tau_val"), None)
    if lowest is not None and lowest is not clock and study.hierarchy is None and not lowest.drawn:
        if all(onset.usable for onset in lowest.fitted):
            yield f"tau_val has no law: {lowest.reason.removeprefix('tau_val: ')}"
        else:
            yield "tau_val was not reached by enough runs: train longer."
    if study.proof is not None:
        yield _forecast(study.proof)


def _law(clock: ClockLaw) -> str:
    """What the law of a clock says, where there is one: as much as its intervals carry."""
    free, linear = clock.free, clock.linear
    grows = "" if free is None else f"{clock.clock} grows as P^{power(free.exponent)}"
    if free is not None and free.batch_exponent is not None:
        grows += f" and falls as B^-k with the batch size, k = {power(free.batch_exponent)}"
    if free is not None and free.exponent.high - free.exponent.low >= TOO_WIDE:
        return f"{grows}: an interval so wide says next to nothing. Add sizes, or seeds."
    if free is not None and free.is_refuted:
        return f"{grows}, which is not in proportion to P ({p_value(free.linearity or 0, after='p')})."
    if linear is None:
        return f"{grows}."
    rate = f"{number(linear.prefactor.value)} steps per example"
    rate += f" at batch size {linear.reference_batch_size:,}" if linear.reference_batch_size else ""
    if linear.prefactor.spans_much:
        rate += f", known to within {factor(linear.prefactor.low, linear.prefactor.high)} only: add sizes, or seeds"
    return f"{grows}: {rate}." if grows else f"{clock.clock} comes at {rate}, if it is proportional to P."


def _forecast(made: Forecast) -> str:
    seen = "not measured yet" if made.measured is None else f"measured {span(made.measured)}"
    vague = ", which says next to nothing" if made.predicted.spans_much else ""
    return f"Forecast for P = {made.n_train:,}: {span(made.predicted)} steps{vague}; {seen}."
