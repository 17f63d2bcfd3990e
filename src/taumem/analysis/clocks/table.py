"""The clocks: one table. Finding, fitting, figures, pages and docs loop over it.

Rules are fixed before the studies that report them. To add a clock, add a row; from outside, call :func:`add_clock`.
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial

from taumem.analysis.clocks.clock import Clock
from taumem.analysis.clocks.losses import (
    LEARNED,
    MIDWAY,
    TURNED,
    tau_gap,
    tau_gap_grown,
    tau_gen,
    tau_val,
)
from taumem.analysis.clocks.readings import (
    read_above_chance,
    read_gap,
    read_gap_base,
    read_gap_sym,
    read_heldout,
    read_level,
    read_means,
    read_member,
    read_part,
    read_split,
    read_tpr,
)
from taumem.analysis.clocks.samples import LEVEL_REACHED, PART_COPIED, STILL_AGREED
from taumem.analysis.course import FEWEST_LOOKS
from taumem.analysis.placing import Placed
from taumem.errors import ConfigError, nearest_name
from taumem.record import ItemKind

__all__ = ["ATTACKS", "CLOCKS", "add_clock", "check_forecastable", "families", "level_clock"]

N_LEVELS = 16
"""Levels of a grammar that are timed: strings of more have 65,536 tokens at least."""

CLOCKS: dict[str, Clock] = {}
"""All clocks by name, in the order in which they are reported."""


def add_clock(clock: Clock) -> None:
    """Put a clock into the table: from then on it is found, fitted, drawn and reported like the others.

    Raises:
        ConfigError: its name is taken.
    """
    if clock.name in CLOCKS:
        raise ConfigError(f"there is a clock '{clock.name}' already; give yours another family or threshold.")
    CLOCKS[clock.name] = clock


def families() -> dict[str, list[Clock]]:
    """The clocks by what they time: those of a family differ by their threshold or level alone."""
    found: dict[str, list[Clock]] = {}
    for clock in CLOCKS.values():
        found.setdefault(clock.family, []).append(clock)
    return found


def check_forecastable(clock: str, found: Collection[str]) -> None:
    """Refuse a clock that these runs do not have, or that does not grow with P as a power.

    Args:
        clock: its name.
        found: the clocks that the runs have.

    Raises:
        ConfigError: it is refused.
    """
    if clock not in found:
        if clock in CLOCKS:
            raise ConfigError(f"these runs have no {clock}, which needs {CLOCKS[clock].needs}.")
        raise ConfigError(f"these runs have no clock '{clock}'; {nearest_name(clock, found)}")
    if clock in CLOCKS and CLOCKS[clock].grammar_level is not None:
        raise ConfigError(f"{clock} does not grow in proportion to P: `taumem fit` has its own law, and no forecast.")


def level_clock(grammar_level: int) -> Clock:
    """The clock of a level of a grammar.

    Raises:
        ConfigError: there is none for so high a level.
    """
    for clock in CLOCKS.values():
        if clock.grammar_level == grammar_level:
            return clock
    raise ConfigError(f"levels 1 to {N_LEVELS} of a grammar are timed; asked for level {grammar_level}.")


# --- the table --------------------------------------------------------------------------------------------------------

Shades = tuple[tuple[str, str], ...]
"""Colors by day and by night: Okabe and Ito's, from light to dark where a family has several."""


LIKELIEST = "The gap between looks that makes the counts of a growing share most likely holds it."
CERTAINLY = "It counts where the last looks are above for certain (95 %)."
GROWN = (
    "The probability that a training item has the lower {error} (AUC) has grown by {x} for good, interpolated in log "
    f"step: from 1/2, once its normal quantile midway (three looks around {MIDWAY:g} of the held-out loss's fall) is "
    f"taken off. {CERTAINLY}"
)
"""Parts of rules, said once."""
ATTACKS = (
    ("secmi", "error of SecMI", ("#6b7f2a", "#aebf6a")),
    ("pia", "error of PIA", ("#3f6f3a", "#86bd80")),
    ("averaged", "loss averaged over noise", ("#2f6b62", "#78b8ae")),
)
"""On membership: the name of each, what it measures, and the colors of its clock."""


def _passing(
    thresholds: tuple[float, ...],
    shades: Shades,
    *,
    family: str,
    read: Callable[..., Placed | None],
    rule: str,
    needs: str,
    of_pairs: bool = False,
    concerns: frozenset[ItemKind] = frozenset(),
) -> Iterator[Clock]:
    """One clock for each threshold that is to be passed."""
    for x, color in zip(thresholds, shades, strict=True):
        yield Clock(family, partial(read, threshold=x), rule, needs, x, None, of_pairs, concerns, color)


def _levels(shades: Shades) -> Iterator[Clock]:
    """One clock for each level of a grammar."""
    rule = f"The share of samples that parse up to level {{x}} passes {LEVEL_REACHED:g} for good. {LIKELIEST}"
    for level in range(1, N_LEVELS + 1):
        yield Clock(
            "tau_level",
            partial(read_level, grammar_level=level),
            rule,
            "samples, and the levels of the grammar that they obey",
            grammar_level=level,
            concerns=frozenset({"strings"}),
            color=shades[min(level, len(shades)) - 1],
        )


def _all() -> Iterator[Clock]:
    heldout = f"a held-out loss with the loss of each item, at {FEWEST_LOOKS} or more looks"
    above_chance = f"The {{what}} passes chance by {{x}} for good. {LIKELIEST}"
    yield Clock(
        "tau_gen",
        partial(read_heldout, place=tau_gen),
        f"The held-out loss first has made {LEARNED:g} of its fall from the first look to its minimum; it counts once "
        "the loss has turned, or its last doubling of the steps made less than a tenth of the fall for certain.",
        heldout,
        color=("#5b7083", "#a9bccd"),
    )
    by_day, by_night = "#7cc4d8 #4fa9c4 #2b8aa8 #176b87 #0b4a60", "#2c7c92 #3f9ab5 #62b9d1 #8fd3e6 #c3ebf5"
    yield from _levels(tuple(zip(by_day.split(), by_night.split(), strict=True)))
    yield Clock(
        "tau_val",
        partial(read_heldout, place=tau_val),
        "Minimum of the held-out loss, smoothed by a local quadratic in log step over a factor of 2 to either side; "
        f"it counts once the last looks are above it by more than {TURNED:g} standard errors, of items and of weights.",
        heldout,
        color=("#0072b2", "#4cb0e8"),
    )
    yield Clock(
        "tau_val_mean",
        read_means,
        "The minimum of tau_val, of a loss whose items are not known, as logs have it; it counts once the last looks "
        f"(3 at least) are above it by more than {TURNED:g} standard errors of the curve's own noise, and its interval "
        "knows no other noise.",
        f"a held-out loss without the loss of each item, at {FEWEST_LOOKS} or more looks",
        color=("#2f6f9f", "#86c5ea"),
        instead_of="tau_val",
    )
    yield from _passing(
        (0.10, 0.20),
        (("#8a6d00", "#e8cf62"), ("#5c4a00", "#f5e6a3")),
        family="tau_gap",
        read=partial(read_gap, place=tau_gap),
        rule="The relative gap 1 - train / held-out loss passes {x} for good (no later look is below), interpolated in "
        f"log step. {CERTAINLY}",
        needs="training and held-out losses above 0 with the loss of each item, at the same looks",
    )
    yield from _passing(
        (0.10, 0.20),
        (("#b8860b", "#d9b24a"), ("#7a5900", "#f0dda0")),
        family="tau_gap_grown",
        read=partial(read_gap, place=tau_gap_grown, looks=3),
        rule="Train / held-out loss, divided by what it was at the three looks around "
        f"{MIDWAY:g} of the held-out loss's fall, is below 1 by {{x}} for good, interpolated in log step. {CERTAINLY}",
        needs="training and held-out losses above 0 with the loss of each item, at 3 or more of the same looks",
    )
    yield from _passing(
        (0.10, 0.20),
        (("#a0522d", "#d9895f"), ("#5f2f17", "#f2c3a7")),
        family="tau_gap_base",
        read=read_gap_base,
        rule="Train / held-out loss, divided by what it was at step 0, before training, is below 1 by {x} for good, "
        f"interpolated in log step. {CERTAINLY}",
        needs="training and held-out losses above 0 with the loss of each item, at step 0 and at the same later looks",
    )
    yield from _passing(
        (0.10, 0.15, 0.20),
        (("#3cb892", "#2fa57f"), ("#009e73", "#4cd3a5"), ("#00684c", "#9beccf")),
        family="tau_gap_sym",
        read=read_gap_sym,
        rule="The gap 1 - (L_A(A) + L_B(B)) / (L_B(A) + L_A(B)) of two models on disjoint sets passes {x} for good (no "
        f"later look is below), interpolated in log step. {CERTAINLY}",
        needs="two runs on disjoint halves a and b, each measured on the other's training set too",
        of_pairs=True,
    )
    yield from _passing(
        (0.05, 0.10, 0.25),
        (("#d9708f", "#b5506f"), ("#b5264f", "#e87a99"), ("#7a1233", "#f7bccd")),
        family="tau_member",
        read=read_member,
        rule=GROWN.replace("{error}", "loss"),
        needs="training and held-out losses with the loss of each item (8 of a set or more), at 3 or more of the same "
        "looks",
    )
    yield from _passing(
        (0.05, 0.20),
        (("#9a5b7a", "#c98fae"), ("#5e2f48", "#ecc8da")),
        family="tau_tpr",
        read=read_tpr,
        rule="The share of training items that are found by their loss, where 1 % of the held-out items may be "
        f"mistaken, passes that 1 % by {{x}} for good. {LIKELIEST}",
        needs="training and held-out losses of single items, of which members were told (membership_tpr)",
    )
    for attack, error, color in ATTACKS:
        yield from _passing(
            (0.10,),
            (color,),
            family=f"tau_member_{attack}",
            read=partial(read_member, errors=f"error[{attack}]"),
            rule=GROWN.replace("{error}", error),
            needs="attacks on membership that were made at 3 or more looks (monitor.membership)",
        )
    yield from _passing(
        (0.03, 0.05, 0.10),
        (("#cc79a7", "#b4608f"), ("#a64d80", "#dd8fba"), ("#752c56", "#f3c3dc")),
        family="tau_copy",
        read=partial(read_above_chance, quantity="copy_fraction"),
        rule=above_chance.replace("{what}", "share of copies"),
        needs="samples, counted against the training set and against held-out data",
    )
    yield from _passing(
        (0.03, 0.05, 0.10),
        (("#d98cb3", "#c06a94"), ("#b8437f", "#e59ac0"), ("#8a1f58", "#f7cfe2")),
        family="tau_cycled",
        read=partial(read_above_chance, quantity="cycled_copies"),
        rule=above_chance.replace("{what}", "share of copies among samples that were sent around"),
        needs="samples that were corrupted and denoised several times and counted as copies (monitor.hidden)",
    )
    yield from _passing(
        (0.05, 0.10, 0.20),
        (("#9a8cc9", "#8676bd"), ("#6a55b0", "#a99be0"), ("#43308a", "#d4ccf5")),
        family="tau_uturn",
        read=partial(read_above_chance, quantity="uturn_returns"),
        rule=above_chance.replace("{what}", "share of training items that come back from noise, averaged over times,"),
        needs="training and held-out items that were corrupted and denoised at the same looks (monitor.hidden)",
    )
    yield from _passing(
        (0.25, 0.50, 0.75, 1.00),
        (("#d98fb0", "#a3486f"), ("#c4608c", "#c26a92"), ("#9c3f69", "#dd93b3"), ("#6b2446", "#f3c0d5")),
        family="tau_part",
        read=read_part,
        rule="The share of samples of which a part of size {x} or larger is copied passes chance by "
        f"{PART_COPIED:g} for good. {LIKELIEST}",
        needs="samples whose copied parts were counted (monitor.partial), and those of held-out items",
    )
    yield Clock(
        "tau_quality",
        partial(read_heldout, place=tau_val, quantity="heldout_frechet"),
        "Minimum of the Fréchet distance of samples from held-out images, by the rule of tau_val; standard errors are "
        "of samples and of weights.",
        f"images sampled at {FEWEST_LOOKS} or more looks, and compared with held-out ones as wholes (monitor.quality)",
        concerns=frozenset({"images"}),
        color=("#1f8a94", "#5cc9d3"),
    )
    yield from _passing(
        (0.05, 0.10, 0.50),
        (("#e8854a", "#c9692f"), ("#d55e00", "#f08a45"), ("#8f3f00", "#fcc9a3")),
        family="tau_infill",
        read=partial(read_above_chance, quantity="infill_copies"),
        rule=above_chance.replace("{what}", "share of training texts that are completed from half of them"),
        needs="training and held-out texts that were filled in at the same looks",
        concerns=frozenset({"texts"}),
    )
    yield Clock(
        "tau_split",
        read_split,
        f"The agreement of two models on disjoint sets falls below {STILL_AGREED:g} of its highest value so far, "
        "counted from the later tau_gen of the two (not before both are known), by more than 2 standard errors "
        "(paired, and of its swings), and stays below; known to lie between that look and the one before.",
        "samples of two runs on disjoint halves, at 2 or more common looks",
        of_pairs=True,
        color=("#7a52c7", "#b39af0"),
    )


for _clock in _all():
    add_clock(_clock)
