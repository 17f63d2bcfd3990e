"""Gates for CI: does an audit fail what it was asked to fail, and are there items enough to tell?

A gate names a number of the record and what it must not be: ``copies>0.01``. A share is judged by its exact interval,
the difference of two shares by Newcombe's, 95 % on either side: the gate fails if all of it lies beyond the threshold,
holds if none of it does, and is undecidable in between, where the number of items is said that would do. All other
numbers are compared as they stand.
"""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from taumem.analysis.shares import difference_interval, exact_interval
from taumem.analysis.wording import percent
from taumem.audit.measures import Difference, Measured, is_share, known_name, measured
from taumem.errors import ConfigError
from taumem.record.audit import AuditRecord, Share

__all__ = ["Gate", "Judged", "exit_code", "judge", "parse_gates"]

Outcome = Literal["passed", "failed", "undecidable"]

CONFIDENCE = 0.9
"""Of the two-sided interval, so that each of its ends holds with 95 %."""
SEEN_RATE = 0.1
"""A gate on flags holds only if they would have been raised at this rate of copies."""
MOST_ITEMS = 10**9
"""No more items than that are asked for."""
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_GATE = re.compile(r"\s*(?P<name>[a-z_][\w.]*(\[[^]]+])?[\w.]*)\s*(?P<sign>[<>]=?)\s*(?P<limit>[-+.\w]+)\s*")


@dataclass(frozen=True)
class Gate:
    """What must not be.

    Attributes:
        name: of a number of the record, such as ``copies`` or ``copies.low``.
        sign: ``>``, ``>=``, ``<`` or ``<=``.
        limit: the threshold.
    """

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"

    def trips(self, value: float) -> bool:
        """Whether a value is what must not be."""
        return _COMPARISONS[self.sign](value, self.limit)


@dataclass(frozen=True)
class Judged:
    """What became of a gate.

    Attributes:
        gate: which.
        outcome: ``failed`` if what must not be is, ``passed`` if it is not, ``undecidable`` if the items do not tell.
        sentence: why.
        needed: how many items would do, where more would.
    """

    gate: Gate
    outcome: Outcome
    sentence: str
    needed: int | None = None


def parse_gates(text: str, rule: str | None = None) -> tuple[Gate, ...]:
    """Read gates that are separated by commas.

    Args:
        text: as they are written.
        rule: the rule that copies will be counted by, if it is none of the usual ones: it can be asked for too.

    Raises:
        ConfigError: one is no ``NAME>NUMBER``, or nothing of that name can be measured.

    >>> [str(gate) for gate in parse_gates("copies>0.01, flagged > 0")]
    ['copies>0.01', 'flagged>0']
    """
    return tuple(_gate(part, rule) for part in text.split(","))


def judge(record: AuditRecord, gates: Sequence[Gate]) -> tuple[Judged, ...]:
    """Judge gates by what an audit found."""
    return tuple(_judge(record, gate) for gate in gates)


def exit_code(judged: Sequence[Judged]) -> int:
    """What a program says of its gates: 0 all hold, 1 one failed, 3 none failed and one could not be decided."""
    outcomes = {each.outcome for each in judged}
    return 1 if "failed" in outcomes else 3 if "undecidable" in outcomes else 0


def _gate(part: str, rule: str | None) -> Gate:
    found = _GATE.fullmatch(part)
    limit = math.nan
    if found:
        try:
            limit = float(found["limit"])
        except ValueError:
            found = None
    if not found or not math.isfinite(limit):
        raise ConfigError(f"a gate is NAME>NUMBER, such as 'copies>0.01' or 'flagged>0'; got '{part.strip()}'.")
    name = known_name(found["name"], rule)
    least = -1 if name == "copies.above_chance" else 0
    if is_share(name) and not least <= limit <= 1:
        raise ConfigError(
            f"{name} lies between {least} and 1, so that '{part.strip()}' says nothing; for 2 % write "
            "'copies>0.02', for two samples 'copies.count>2'."
        )
    return Gate(name, found["sign"], limit)


def _judge(record: AuditRecord, gate: Gate) -> Judged:
    found = measured(record, gate.name)
    if isinstance(found, str):
        return Judged(gate, "undecidable", found)
    if found.of_copies and any(control.passed is False for control in record.controls):
        return Judged(gate, "undecidable", "a control failed, so that what the audit counts cannot be trusted.")
    return _not_blindly(record, found, _of_what_was_found(gate, found.value))


def _of_what_was_found(gate: Gate, value: Share | Difference | float) -> Judged:
    if isinstance(value, Share):
        return _of_a_share(gate, value)
    return _of_a_difference(gate, value) if isinstance(value, Difference) else _of_a_number(gate, value)


def _of_a_number(gate: Gate, value: float) -> Judged:
    failed = gate.trips(value)
    return Judged(gate, "failed" if failed else "passed", f"it is {value:.4g}.")


def _of_a_share(gate: Gate, share: Share) -> Judged:
    low, high = exact_interval(share.count, share.n, CONFIDENCE)
    told = (
        f"{share.count:,} of {share.n:,}, so that the share is {percent(low)} to {percent(high)} (95 % on either side)"
    )
    if gate.trips(low) and gate.trips(high):
        return Judged(gate, "failed", f"{told}.")
    if not gate.trips(low) and not gate.trips(high):
        return Judged(gate, "passed", f"{told}.")
    needed = _enough(gate, share)
    more = (
        f"at this rate, {needed:,} samples would do"
        if needed
        else "no number would do: ask for another rate, or for "
        f"{gate.name}.count or {gate.name}.fraction, which are compared as they stand"
    )
    return Judged(gate, "undecidable", f"{told}, on both sides of {gate.limit:g}; {more}.", needed)


def _of_a_difference(gate: Gate, value: Difference) -> Judged:
    share, other = value.share, value.other

    def interval(times: int) -> tuple[float, float]:
        """Of the same shares of so many times as many items."""
        count, n, by_chance, of = (part * times for part in (share.count, share.n, other.count, other.n))
        return difference_interval(count, n, by_chance, of, CONFIDENCE)

    low, high = interval(1)
    told = (
        f"{share.count:,} of {share.n:,} against {other.count:,} of {other.n:,} by chance, so that the difference is "
        f"{percent(low)} to {percent(high)} (Newcombe, 95 % on either side)"
    )
    if gate.trips(low) == gate.trips(high):
        return Judged(gate, "failed" if gate.trips(low) else "passed", f"{told}.")
    times = 2
    while gate.trips(interval(times)[0]) != gate.trips(interval(times)[1]) and times * share.n <= MOST_ITEMS:
        times += max(1, times // 10)
    if times * share.n > MOST_ITEMS:
        return Judged(gate, "undecidable", f"{told}, on both sides of {gate.limit:g}; no number of items would do.")
    more = f"at these shares, {times:,} times as many of both would do"
    return Judged(gate, "undecidable", f"{told}, on both sides of {gate.limit:g}; {more}.", times * share.n)


def _enough(gate: Gate, share: Share) -> int | None:
    """The fewest items at which the interval of the same share would lie on one side of the threshold."""
    rate = share.count / share.n if share.n else 0.0

    def tells(n: int) -> bool:
        low, high = exact_interval(round(rate * n), n, CONFIDENCE)
        return gate.trips(low) == gate.trips(high)

    n = max(share.n, 1)
    while not tells(n):
        n *= 2
        if n > MOST_ITEMS:
            return None
    few = max(n // 2, share.n)
    while n - few > 1:
        middle = (few + n) // 2
        few, n = (few, middle) if tells(middle) else (middle, n)
    return n


def _not_blindly(record: AuditRecord, found: Measured, judged: Judged) -> Judged:
    """A gate on copies does not hold by an audit that could not have seen any."""
    if judged.outcome != "passed" or not found.of_copies:
        return judged
    if found.by_p_values and record.flagged.fewest > max(1, SEEN_RATE * record.n_generated):
        needed = 2 * (math.ceil(1 / (record.flagged.q * SEEN_RATE)) - 1)  # p-values are ranks in one of two halves
        sentence = (
            f"fewer than {record.flagged.fewest:,} copies among {record.n_generated:,} samples could not have been "
            f"flagged: p-values are ranks among {record.flagged.n_null:,} items that copy nothing; for "
            f"copies at a rate of {percent(SEEN_RATE)} to be flagged, {needed:,} held-out items would do."
        )
        return Judged(judged.gate, "undecidable", sentence, needed)
    if record.verdict.state == "withheld":
        why = "; ".join(record.verdict.withheld) or "it says not why"
        return Judged(judged.gate, "undecidable", f"the audit withholds its verdict: {why}.")
    return judged
