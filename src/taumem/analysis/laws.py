"""The laws of a clock, each fitted once, and the reason where one cannot be fitted."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from taumem.analysis.fitting import fit_law
from taumem.analysis.law import Law
from taumem.analysis.onset import Onset
from taumem.analysis.prior import Exponent, Prior, read_exponent, usual_prior
from taumem.errors import ConfigError
from taumem.record import take_whole_sets

__all__ = ["ClockLaw", "forecasting", "headline_of"]

HEADLINE_CLOCKS = ("tau_val", "tau_val_mean", "tau_gap_sym[0.2]", "tau_gap_sym[0.15]", "tau_gap[0.2]", "tau_gap[0.1]")
"""Which clock speaks for a study that forecasts none: the first of these with a law."""

OF_MEMORIZATION = ("tau_val", "tau_gap", "tau_copy", "tau_split", "tau_infill", "tau_member")
"""Families of clocks that a forecast may fall back upon."""


@dataclass(frozen=True, eq=False)
class ClockLaw:
    """One clock: its onsets, and the laws that they determine, fitted when they are asked for.

    Attributes:
        clock: what was timed.
        onsets: all of them, those of excluded sizes included.
        fitted: those that the laws rest on.
        floor: whether tau_0 is fitted too.
        confidence: probability of the laws' intervals.
        kind: of the items, which says what forecasts assume; empty where it is not known.
        covariates: settings that tau also depends on (see :func:`taumem.analysis.fit_law`); forecasts leave them out.
    """

    clock: str
    onsets: tuple[Onset, ...]
    fitted: tuple[Onset, ...]
    floor: bool = False
    confidence: float = 0.9
    kind: str = ""
    covariates: tuple[str, ...] = ()
    _fits: dict[tuple[float, float] | Prior, Law | str] = field(default_factory=dict, init=False, repr=False)

    def law(self, exponent: Exponent) -> Law | None:
        """The law with this exponent (see :func:`taumem.analysis.fit_law`); None where it cannot be fitted."""
        fit = self._fit(exponent)
        return fit if isinstance(fit, Law) else None

    def forecasting(self) -> Law:
        """The law that forecasts rest on: with a floor, and what finished studies taught of all that is in it.

        Raises:
            ConfigError: it cannot be fitted.
        """
        in_steps = all(onset.unit == "steps" for onset in self.fitted)
        full = in_steps and take_whole_sets([onset.run for onset in self.fitted])
        prior = usual_prior(self.clock, kind=self.kind, full_batches=full)
        fit = self._fit(prior if in_steps else replace(prior, batch=None))
        if isinstance(fit, str):
            raise ConfigError(fit)
        return fit

    @property
    def linear(self) -> Law | None:
        """The law with its exponent fixed to 1; None where it cannot be fitted."""
        return self.law(1.0)

    @property
    def free(self) -> Law | None:
        """The law with a free exponent; None where it cannot be fitted."""
        return self.law(None)

    @property
    def drawn(self) -> Law | None:
        """The law that may be shown, drawn or put into a headline.

        It is the free one, so that data and not an assumption tilt the line; else one with a fixed exponent.
        """
        return self.free or self.linear

    @property
    def reason(self) -> str:
        """Why the linear law, or else the free one, is missing; empty if both are there."""
        return self.why_not(1.0) or self.why_not(None)

    def why_not(self, exponent: Exponent) -> str:
        """Why there is no law with this exponent; empty if there is one."""
        fit = self._fit(exponent)
        return fit if isinstance(fit, str) else ""

    def _fit(self, known: Exponent | Prior) -> Law | str:
        key = known if isinstance(known, Prior) else read_exponent(known)[:2]
        if key not in self._fits:
            self._fits[key] = self._fitted(known)
        return self._fits[key]

    def _fitted(self, known: Exponent | Prior) -> Law | str:
        if not self.fitted:
            return f"{self.clock}: every size with an onset is excluded from the fits."
        try:
            if isinstance(known, Prior):
                return fit_law(self.fitted, prior=known, confidence=self.confidence)
            law = fit_law(
                self.fitted,
                exponent=known,
                covariates=self.covariates,
                floor=self.floor,
                confidence=self.confidence,
            )
        except ConfigError as error:
            return str(error)
        located = {onset.n_train for onset in self.fitted if onset.usable}
        if law.exponent_kind == "fixed" and len(located) == 1:
            return (
                f"{self.clock}: located at one size only (P = {min(located)}), where any exponent fits; a law over P "
                "needs 2 or more. Add more sizes."
            )
        return law

    @classmethod
    def of_each(
        cls,
        onsets: Sequence[Onset],
        excluded: frozenset[int] = frozenset(),
        floor: bool = False,
        confidence: float = 0.9,
        kind: str = "",
        covariates: Sequence[str] = (),
    ) -> "tuple[ClockLaw, ...]":
        """One for each clock, in the order in which the clocks come.

        Args:
            onsets: of any clocks.
            excluded: training-set sizes to keep out of the fits.
            floor: whether to fit tau_0 too.
            confidence: probability of the laws' intervals, in (0, 1).
            kind: of the items; empty where it is not known.
            covariates: settings that tau also depends on.
        """
        by_clock: dict[str, list[Onset]] = {}
        for onset in onsets:
            by_clock.setdefault(onset.clock, []).append(onset)
        return tuple(
            cls(clock, tuple(own), fitted, floor, confidence, kind, tuple(covariates))
            for clock, own in by_clock.items()
            for fitted in [tuple(o for o in own if o.n_train not in excluded)]
        )


def forecasting(chosen: ClockLaw, clocks: Sequence[ClockLaw]) -> Law:
    """The law that a forecast by a clock rests on.

    Args:
        chosen: the clock.
        clocks: all that there are, to name others by which there would be a forecast.

    Raises:
        ConfigError: there is none; it says by which clocks there is one.
    """
    try:
        return chosen.forecasting()
    except ConfigError as error:
        lawful = [each.clock for each in clocks if each.free is not None]
        others = [name for name in lawful if name.startswith(OF_MEMORIZATION)]
        advice = f" Or forecast another clock, which these runs have located: {', '.join(others)}." if others else ""
        raise ConfigError(f"{error}{advice}") from None


def headline_of(clocks: Sequence[ClockLaw], forecast: str, of_levels: str) -> ClockLaw | None:
    """The clock that speaks for a study; None where it has none.

    Args:
        clocks: all that it has.
        forecast: the clock that was forecast; empty for none.
        of_levels: that of memorization, of data with known levels; empty for others.
    """
    by_name = {clock.clock: clock for clock in clocks}
    if forecast in by_name:
        return by_name[forecast]
    if of_levels in by_name and by_name[of_levels].drawn:
        return by_name[of_levels]
    candidates = [by_name[name] for name in HEADLINE_CLOCKS if name in by_name] + list(clocks)
    return next((clock for clock in candidates if clock.drawn), next(iter(candidates), None))
