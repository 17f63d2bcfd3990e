"""Temporary: names that moved to analysis."""

from taumem.analysis import ClockLaw, Forecast, Study
from taumem.record import Curve, RunRecord

__all__ = ["ClockLaw", "Forecast", "Study", "curve_of", "run_of"]


def curve_of(record: RunRecord, quantity: str) -> Curve | None:
    """A quantity over training."""
    return record.curve_or_none(quantity)


def run_of(onset, records):
    """The run."""
    return next((r for r in records if onset.run in (r.header.key, r.header.key.pair)), None)
