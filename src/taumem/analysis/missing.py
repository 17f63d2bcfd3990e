"""Which questions could not be asked of some runs, and why: what is alike is said once."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from taumem.analysis.clocks import Clock, families
from taumem.analysis.course import FEWEST_LOOKS
from taumem.analysis.laws import ClockLaw
from taumem.analysis.phase import PhaseDiagram
from taumem.analysis.prior import Exponent
from taumem.analysis.wording import plural, sizes_text
from taumem.record import RunRecord

__all__ = ["left_out", "unread", "untimed", "unvaried", "without_law"]

PER_ITEM = "of each item"
"""What the needs of a clock say that is read off the losses of items."""


def unread(records: Sequence[RunRecord], found: Collection[str], wanted: Collection[str] = ()) -> Iterator[str]:
    """Say which families of clocks could not be read.

    Args:
        records: the runs.
        found: the clocks that were.
        wanted: the families to speak of; empty for all that concern the data.
    """
    kinds = {record.header.data.kind for record in records}
    alike: dict[tuple[str, str], list[str]] = {}
    for family, members in families().items():
        first = members[0]
        concerned = family in wanted if wanted else not first.concerns or bool(first.concerns & kinds)
        concerned &= not first.instead_of
        if concerned and not any(clock.name in found for clock in members):
            alike.setdefault((first.needs, _why_unread(first, records)), []).append(family)
    for (needs, why), clocks in alike.items():
        yield f"{', '.join(clocks)} could not be read: {'it needs' if len(clocks) == 1 else 'they need'} {needs}{why}"


def _why_unread(clock: Clock, records: Sequence[RunRecord]) -> str:
    curves = [c for record in records if (c := record.curve_or_none("heldout_loss")) is not None]
    if PER_ITEM not in clock.needs or not curves:
        return ", and no run here has them."
    if all(curve.items is None for curve in curves):
        return (
            ". The losses here are means alone, whose noise shows only in their own jitter: record the loss of each "
            "item with them, always of the same items (Estimate(..., items=[...]), or let LossGap measure it)."
        )
    looks = max(int((curve.steps > 0).sum()) for curve in curves if curve.items is not None)
    if looks >= FEWEST_LOOKS:
        return ", and no run here has them."
    return f"; the runs here have {plural(looks, 'look')}. Train longer, or look more often (monitor.per_doubling)."


def untimed(records: Sequence[RunRecord]) -> Iterator[str]:
    """Say of which runs the effective time is not known, and why.

    Args:
        records: the runs.
    """
    without = [record for record in records if record.steps and record.curve_or_none("effective_time") is None]
    if not without:
        return
    named = {record.header.probes.get("OptimizerState", {}).get("optimizer") for record in without}
    optimizers = sorted(name for name in named if name)
    yield f"{plural(len(without), 'run')} of {len(records)} without an effective time" + (
        f": of {', '.join(optimizers)} no second moment of the gradients could be read, or training went on from "
        "where it was not counted."
        if optimizers
        else ": made before it was recorded, or by a loop whose optimizer the guard was not given (optimizer=...)."
    )


def left_out(phase: PhaseDiagram | None) -> Iterator[str]:
    """Say which runs a phase diagram leaves out.

    Args:
        phase: the diagram, if there is one.
    """
    if phase is not None and phase.left_out:
        what = "copies and levels were not both counted" if phase.depth else f"tau_gen or {phase.clock} was not read"
        yield f"The phase diagram leaves out runs in which {what}: {', '.join(phase.left_out)}."


def unvaried(records: Sequence[RunRecord]) -> Iterator[str]:
    """Say what the runs have in common, so that what it does was not measured.

    Args:
        records: the runs.
    """
    if records and len({record.header.seed for record in records}) == 1:
        yield "One seed only: how far an onset moves from seed to seed was not measured."
    sizes = {record.header.batch_size for record in records}
    if len(sizes) == 1 and (size := sizes.pop()):
        yield (
            f"One batch size only ({size:,}): every onset in steps holds at this batch size. Nothing here says what "
            "another one would give, and a forecast for one rests on what other studies showed."
        )


def without_law(
    clocks: Sequence[ClockLaw], exponent: Exponent, others: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Say which clocks have no law with this exponent: once for all that lack the same.

    Args:
        clocks: with their onsets.
        exponent: as in :func:`taumem.analysis.fit_law`.
        others: by their names, the reasons of clocks whose laws are made elsewhere.
    """
    alike: dict[str, dict[str, list[str]]] = {}
    for clock in clocks:
        if why := clock.why_not(exponent):
            located, reason = _too_few(clock, exponent) or ("", why.removeprefix(f"{clock.clock}: "))
            alike.setdefault(reason, {}).setdefault(located, []).append(clock.clock)
    for name, why in (others or {}).items():
        alike.setdefault(why.removeprefix(f"{name}: "), {}).setdefault("", []).append(name)
    for reason, told_of in alike.items():
        groups = (_named(names, located) for located, names in told_of.items())
        yield f"No law for {'; '.join(groups)}: {reason.rstrip('.')}."


def _named(names: Sequence[str], located: str) -> str:
    """Clocks of which as much was located, and how much: said once."""
    each = "each " if len(names) > 1 else ""
    return ", ".join(names) + (f" ({each}{located})" if located else "")


def _too_few(clock: ClockLaw, exponent: Exponent) -> tuple[str, str] | None:
    """How much was located of a clock, and what to do, where that is too little for a law."""
    located = [onset for onset in clock.fitted if onset.usable]
    sizes, needed = sorted({onset.n_train for onset in located}), 2 + (clock.floor and exponent is None)
    if not clock.fitted or (len(located) >= 2 and len(sizes) >= needed):
        return None
    at = f", at P = {sizes_text(sizes)}" if sizes else ""
    kinds = [onset.censored for onset in clock.fitted]
    do = "Train longer" if "right" in kinds else "Look earlier" if "left" in kinds else "Make runs at more sizes"
    return (
        f"{len(located)} of {len(kinds)} located{at}",
        f"a law needs located onsets at {needed} or more sizes. {do}{', or at more sizes' if do[0] != 'M' else ''}.",
    )
