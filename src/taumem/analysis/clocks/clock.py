"""A clock as a value: what is timed, by which rule, and what it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from taumem.analysis.onset import Onset
from taumem.analysis.placing import Placed
from taumem.analysis.settings import settings_of
from taumem.analysis.similarity import agreement_or_none
from taumem.analysis.twins import TwinLosses, twin_losses
from taumem.record import Curve, ItemKind, RunKey, RunRecord

__all__ = ["Clock", "Seen"]

FEWEST_SAMPLED = 2
"""Looks with samples of both twins, below which their agreement cannot be seen to fall."""


@dataclass(eq=False)
class Seen:
    """What a clock sees: a run, or two runs on disjoint halves of the data.

    Attributes:
        record: the run, or the one on half ``a``.
        twin: the one on half ``b``; None where a single run is looked at.
    """

    record: RunRecord
    twin: RunRecord | None = None

    def __post_init__(self) -> None:
        self._curves: dict[str, Curve | None] = {}

    @property
    def key(self) -> RunKey:
        """Which run or pair it is."""
        key = self.record.header.key
        return key if self.twin is None else key.pair

    @cached_property
    def settings(self) -> dict[str, float]:
        """The numbers of the experiment; of a pair what both share."""
        numbers = settings_of(self.record)
        if self.twin is None:
            return numbers
        others = settings_of(self.twin)
        return {key: value for key, value in numbers.items() if others.get(key) == value}

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """The run, or both."""
        return (self.record,) if self.twin is None else (self.record, self.twin)

    def curve(self, quantity: str) -> Curve | None:
        """A quantity of the run over training, averaged over diffusion times; None where none was measured past step 0.

        Args:
            quantity: its name, such as ``heldout_loss``.
        """
        if quantity not in self._curves:
            curve = self.record.curve_or_none(quantity)
            self._curves[quantity] = None if curve is None or not (curve.steps > 0).any() else curve
        return self._curves[quantity]

    def items_curve(self, quantity: str, *, looks: int = 1) -> Curve | None:
        """A quantity with the values of its items.

        Args:
            quantity: its name.
            looks: how many it needs past step 0.

        Returns:
            The curve; None where the items (2 at least) were not kept, or there are fewer looks.
        """
        curve = self.curve(quantity)
        if curve is None or curve.items is None or curve.items.shape[1] < 2:
            return None
        return curve if (curve.steps > 0).sum() >= looks else None

    @cached_property
    def other(self) -> "Seen | None":
        """The twin alone."""
        return None if self.twin is None else Seen(self.twin)

    @cached_property
    def twin_losses(self) -> TwinLosses | None:
        """The losses of both models on both training sets; None where they were not measured."""
        if self.twin is None or self.other is None:
            return None
        if not all(run.items_curve(name) for run in (self, self.other) for name in ("train_loss", "twin_loss")):
            return None
        losses = twin_losses(self.record, self.twin)
        return losses if losses.steps.max() > 0 else None

    @cached_property
    def agreement(self) -> Curve | None:
        """How alike the samples of both models are; None where fewer than 2 looks past step 0 have samples of both."""
        curve = None if self.twin is None else agreement_or_none(self.record, self.twin)
        return curve if curve is not None and (curve.steps > 0).sum() >= FEWEST_SAMPLED else None


@dataclass(frozen=True)
class Clock:
    """What is timed, and how it is read off a run or a pair of runs.

    Attributes:
        family: what is timed, such as ``tau_gap``.
        read: places the onset, given what is seen and the confidence of the interval; None where what the clock needs
            was not measured.
        rule: its definition in a sentence, in which ``{x}`` stands for the threshold or the level.
        needs: what must have been measured: the end of a sentence that begins "it needs".
        threshold: of a clock that times a passage; None for others.
        grammar_level: of a clock that times a level of a grammar; None for others.
        of_pairs: whether it is read off two runs on disjoint halves rather than off each run.
        concerns: the kinds of items that it is a question of; empty for all.
        color: by day and by night, as #rrggbb.
        instead_of: the clock that it stands in for where that cannot be read; it is not missed where it can.
    """

    family: str
    read: Callable[[Seen, float], Placed | None]
    rule: str
    needs: str
    threshold: float | None = None
    grammar_level: int | None = None
    of_pairs: bool = False
    concerns: frozenset[ItemKind] = frozenset()
    color: tuple[str, str] = ("#20242c", "#e6e9ef")
    instead_of: str = ""

    @property
    def x(self) -> str:
        """What stands in the brackets of its name: the threshold or the level; empty where it has none."""
        x = self.threshold if self.grammar_level is None else self.grammar_level
        return "" if x is None else f"{x:g}"

    @property
    def name(self) -> str:
        """Its name, such as ``tau_val`` or ``tau_gap[0.2]``."""
        return f"{self.family}[{self.x}]" if self.x else self.family

    def onset(self, seen: Seen, confidence: float) -> Onset | None:
        """Read it; None where what it needs was not measured."""
        placed = self.read(seen, confidence)
        if placed is None:
            return None
        rule = self.rule.replace("{x}", self.x)
        return Onset(
            **placed.__dict__,
            clock=self.name,
            run=seen.key,
            rule=rule,
            confidence=confidence,
            settings=seen.settings,
        )
