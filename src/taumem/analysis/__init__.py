"""From records to meaning: when something set in (Onset), and how that grows with the training set (Law).

Read-only, numpy and scipy alone. ``find_onsets`` reads every clock off the records; ``fit_law`` takes the
onsets of one clock; ``Law.predict`` forecasts a run that nobody has made yet.
"""

from taumem.analysis.clocks import tau_copy, tau_gap, tau_gap_sym, tau_gen, tau_infill, tau_level, tau_split, tau_val
from taumem.analysis.find import (
    COPY_THRESHOLDS,
    GAP_SYM_THRESHOLDS,
    GAP_THRESHOLDS,
    INFILL_THRESHOLDS,
    find_onsets,
    find_twins,
)
from taumem.analysis.interval import Interval
from taumem.analysis.law import NEAR_ONE, Law, fit_law
from taumem.analysis.laws import fit_each_clock
from taumem.analysis.onset import Onset
from taumem.analysis.phase import PhaseDiagram, has_levels
from taumem.analysis.twins import (
    TwinLosses,
    agreement,
    agreement_chance,
    agreement_curve,
    gap_sym,
    twin_losses,
)

__all__ = [
    "COPY_THRESHOLDS",
    "GAP_SYM_THRESHOLDS",
    "GAP_THRESHOLDS",
    "INFILL_THRESHOLDS",
    "NEAR_ONE",
    "Interval",
    "Law",
    "Onset",
    "PhaseDiagram",
    "TwinLosses",
    "agreement",
    "agreement_chance",
    "agreement_curve",
    "find_onsets",
    "find_twins",
    "fit_each_clock",
    "fit_law",
    "gap_sym",
    "has_levels",
    "tau_copy",
    "tau_gap",
    "tau_gap_sym",
    "tau_gen",
    "tau_infill",
    "tau_level",
    "tau_split",
    "tau_val",
    "twin_losses",
]
