"""Which clock is tau_mem, where a study needs one: for its phase diagram, and for the price of stopping."""

from collections.abc import Sequence

from taumem.analysis.onset import Onset
from taumem.errors import ConfigError, nearest_name

__all__ = ["COPIES", "tau_mem_of"]

COPIES = "tau_copy[0.05]"
"""The clock of memorization, fixed before any study."""
OTHERWISE = ("tau_val", "tau_val_mean")
"""What stands in for it where hardly any run copies, or no samples were drawn: the first of these that was read.

Where none was read either, copies stay tau_mem, seen in one run or in none.
"""


def tau_mem_of(onsets: Sequence[Onset], asked: str = "") -> str:
    """Choose the clock: copies where they were located in two runs or more, else the turn of the held-out loss.

    Args:
        onsets: of any clocks.
        asked: the clock to take; empty to choose.

    Returns:
        Its name; empty where there is none to choose.

    Raises:
        ConfigError: the clock that is asked for was not read in any run.
    """
    found = {onset.clock for onset in onsets}
    if asked:
        if asked not in found:
            known = nearest_name(asked, found) if found else "they have no clocks at all."
            raise ConfigError(f"these runs have no clock '{asked}' to be tau_mem; {known}")
        return asked
    if sum(onset.clock == COPIES and onset.usable for onset in onsets) >= 2:
        return COPIES
    return next((clock for clock in OTHERWISE if clock in found), COPIES if COPIES in found else "")
