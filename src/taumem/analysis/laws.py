"""The laws of all clocks at once."""

from collections.abc import Sequence

from taumem.analysis.interval import check_confidence
from taumem.analysis.law import Exponent, Law, fit_law
from taumem.analysis.onset import Onset
from taumem.errors import ConfigError

__all__ = ["fit_each_clock"]


def fit_each_clock(
    onsets: Sequence[Onset],
    *,
    exponent: Exponent = 1.0,
    floor: bool = False,
    confidence: float = 0.9,
) -> tuple[dict[str, Law], dict[str, str]]:
    """Fit a law to each clock that has enough located onsets.

    Args:
        onsets: of any clocks; each argument after it is that of :func:`fit_law`.
        exponent: a number to fix it, None to leave it free, or a pair (mean, standard deviation).
        floor: also fit tau_0.
        confidence: probability of the intervals, in (0, 1).

    Returns:
        The laws, and for each clock without one the reason; both by clock, in the order the clocks came.

    Raises:
        ConfigError: ``confidence`` is out of its range.
    """
    check_confidence(confidence)
    laws: dict[str, Law] = {}
    reasons: dict[str, str] = {}
    for clock in dict.fromkeys(onset.clock for onset in onsets):
        try:
            laws[clock] = fit_law(
                [onset for onset in onsets if onset.clock == clock],
                exponent=exponent,
                floor=floor,
                confidence=confidence,
            )
        except ConfigError as error:
            reasons[clock] = str(error)
    return laws, reasons
