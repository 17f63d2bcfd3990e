"""From records to meaning: when something set in (Onset), and how that grows with the training set (Law).

Read-only, numpy and scipy alone. A ``Study`` is some runs and all that is read off them: ``Study.of(runs)``. Below it,
``find_onsets`` reads every clock off the records, ``fit_law`` takes the onsets of one clock, and ``Law.predict``
forecasts a run that has not been made yet.
"""

from taumem.analysis.clocks import (
    CLOCKS,
    Clock,
    Seen,
    add_clock,
    families,
    tau_copy,
    tau_gap,
    tau_gap_base,
    tau_gap_grown,
    tau_gap_sym,
    tau_gen,
    tau_infill,
    tau_level,
    tau_member,
    tau_split,
    tau_tpr,
    tau_val,
)
from taumem.analysis.differences import Difference
from taumem.analysis.find import find_onsets
from taumem.analysis.fitting import fit_law
from taumem.analysis.forecast import Forecast
from taumem.analysis.interval import Interval
from taumem.analysis.item_hits import onsets_of_hits
from taumem.analysis.item_onsets import (
    ItemOnsets,
    find_item_onsets,
    onsets_against_twin,
    onsets_alone,
    why_no_item_onsets,
)
from taumem.analysis.item_order import ItemOrder, order_of_items
from taumem.analysis.law import Covariate, Law
from taumem.analysis.laws import ClockLaw
from taumem.analysis.onset import Onset
from taumem.analysis.order import Precedence, order_of
from taumem.analysis.phase import PhaseDiagram, has_levels
from taumem.analysis.pilot_choice import NextPilot, PlannedPilot
from taumem.analysis.placing import Placed
from taumem.analysis.prior import Prior, usual_prior
from taumem.analysis.shares import exact_interval
from taumem.analysis.similarity import (
    agreement,
    agreement_and_chance,
    agreement_chance,
    agreement_curve,
    agreement_measurements,
    agreement_of_twins,
)
from taumem.analysis.stopping import (
    AnyOf,
    CopiesExceed,
    CopiesFound,
    ForecastReached,
    GapOpened,
    LossTurned,
    MembersFound,
    Reason,
    Verdict,
)
from taumem.analysis.study import Study
from taumem.analysis.twins import TwinLosses, find_twins, gap_sym, twin_losses

__all__ = [
    "CLOCKS",
    "AnyOf",
    "Clock",
    "ClockLaw",
    "CopiesExceed",
    "CopiesFound",
    "Covariate",
    "Difference",
    "Forecast",
    "ForecastReached",
    "GapOpened",
    "Interval",
    "ItemOnsets",
    "ItemOrder",
    "Law",
    "LossTurned",
    "MembersFound",
    "NextPilot",
    "Onset",
    "PhaseDiagram",
    "Placed",
    "PlannedPilot",
    "Precedence",
    "Prior",
    "Reason",
    "Seen",
    "Study",
    "TwinLosses",
    "Verdict",
    "add_clock",
    "agreement",
    "agreement_and_chance",
    "agreement_chance",
    "agreement_curve",
    "agreement_measurements",
    "agreement_of_twins",
    "exact_interval",
    "families",
    "find_item_onsets",
    "find_onsets",
    "find_twins",
    "fit_law",
    "gap_sym",
    "has_levels",
    "onsets_against_twin",
    "onsets_alone",
    "onsets_of_hits",
    "order_of",
    "order_of_items",
    "tau_copy",
    "tau_gap",
    "tau_gap_base",
    "tau_gap_grown",
    "tau_gap_sym",
    "tau_gen",
    "tau_infill",
    "tau_level",
    "tau_member",
    "tau_split",
    "tau_tpr",
    "tau_val",
    "twin_losses",
    "usual_prior",
    "why_no_item_onsets",
]
