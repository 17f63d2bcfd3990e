"""Every onset that the records of some runs hold, in a fixed order."""

from collections.abc import Iterator, Sequence

from taumem.analysis.clocks import CLOCKS, Seen
from taumem.analysis.interval import check_confidence
from taumem.analysis.onset import Onset, Unit, checked_unit
from taumem.analysis.timeline import in_effective_time
from taumem.analysis.twins import checked_runs, find_twins
from taumem.record import RunRecord

__all__ = ["find_onsets"]


def find_onsets(records: Sequence[RunRecord], *, confidence: float = 0.9, unit: Unit = "steps") -> list[Onset]:
    """Find every onset that the recorded quantities allow; a clock whose quantities are missing is skipped.

    Args:
        records: runs, in any order; two halves of a pair are recognized (see :func:`taumem.analysis.find_twins`).
        confidence: probability of each onset's interval, in (0, 1).
        unit: of the onsets; in effective time those of runs whose time was not measured are left out.

    Returns:
        Onsets in the order of the clocks (:data:`taumem.analysis.CLOCKS`), within a clock by n_train, seed and run.

    Raises:
        ConfigError: two runs are the same half of the same pair, these are no runs, ``confidence`` is out of its
            range, or there is no such unit.
    """
    check_confidence(confidence)
    checked_unit(unit)
    records = checked_runs(records)
    seen = [Seen(record) for record in records] + [Seen(a, b) for a, b in find_twins(records)]
    return list(_onsets(sorted(seen, key=lambda each: each.key.order), confidence, unit))


def _onsets(seen: Sequence[Seen], confidence: float, unit: Unit) -> Iterator[Onset]:
    for clock in CLOCKS.values():
        for each in seen:
            if clock.of_pairs == (each.twin is not None) and (onset := clock.onset(each, confidence)) is not None:
                if unit == "steps":
                    yield onset
                elif (in_time := in_effective_time(onset, each.records)) is not None:
                    yield in_time
