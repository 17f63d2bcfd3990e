"""The clocks: values in one table (``table``), and the rules by which they are read off curves."""

from taumem.analysis.clocks.clock import Clock, Seen
from taumem.analysis.clocks.losses import tau_gap, tau_gap_base, tau_gap_grown, tau_gap_sym, tau_gen, tau_val
from taumem.analysis.clocks.means import tau_val_mean
from taumem.analysis.clocks.members import tau_member, tau_tpr
from taumem.analysis.clocks.samples import tau_copy, tau_infill, tau_level, tau_split
from taumem.analysis.clocks.table import CLOCKS, add_clock, families

__all__ = [
    "CLOCKS",
    "Clock",
    "Seen",
    "add_clock",
    "families",
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
    "tau_val_mean",
]
