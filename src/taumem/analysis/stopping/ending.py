"""Whether a run of the laboratory has come to its end: a pure function of its record, as every rule to stop by."""

from collections.abc import Mapping
from typing import Any

from taumem.analysis.stopping.others import Located
from taumem.analysis.stopping.shares import CopiesExceed
from taumem.record import RunRecord

__all__ = ["has_ended"]


def has_ended(record: RunRecord, step: int, training: Mapping[str, Any], steps: int) -> bool:
    """Whether a run need not go on from a step: it is the last, or what it was to stop at has come.

    Args:
        record: of the run.
        step: that it has reached.
        training: that section of its experiment; ``stop_at_copies``, ``stop_at_clock`` and ``min_steps`` count.
        steps: that it takes at most.
    """
    limit, clock = training.get("stop_at_copies"), training.get("stop_at_clock")
    return (
        step >= steps
        or (limit is not None and CopiesExceed(limit).judge(record, step).stop)
        or (clock is not None and step >= training.get("min_steps", 0) and Located(clock).judge(record, step).stop)
    )
