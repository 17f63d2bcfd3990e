"""Every onset that the records of some runs hold, in a fixed order."""

from collections.abc import Iterator, Sequence

from taumem.analysis.clocks import CLOCKS, Seen
from taumem.analysis.interval import check_confidence
from taumem.analysis.onset import Onset
from taumem.errors import ConfigError
from taumem.record import RunKey, RunRecord

__all__ = ["find_onsets", "find_twins"]


def find_twins(records: Sequence[RunRecord]) -> list[tuple[RunRecord, RunRecord]]:
    """Pair the runs on halves ``a`` and ``b`` that share experiment, data, n_train, seed and batch size.

    Args:
        records: any runs; those without a partner are left out.

    Raises:
        ConfigError: two runs are the same half of the same pair.
    """
    pairs: dict[RunKey, dict[str, RunRecord]] = {}
    for record in records:
        key = record.header.key
        if key.half not in ("a", "b"):
            continue
        pair = pairs.setdefault(key.pair, {})
        if key.half in pair:
            raise ConfigError(
                f"{pair[key.half].path} and {record.path} are both half '{key.half}' of {key.experiment}, "
                f"P = {key.n_train}, seed {key.seed}; give each run once."
            )
        pair[key.half] = record
    ordered = sorted(pairs, key=lambda key: (key.experiment, key.data, *key.order))
    return [(pairs[key]["a"], pairs[key]["b"]) for key in ordered if len(pairs[key]) == 2]


def find_onsets(records: Sequence[RunRecord], *, confidence: float = 0.9) -> list[Onset]:
    """Find every onset that the recorded quantities allow; a clock whose quantities are missing is skipped.

    Args:
        records: runs, in any order; two halves of a pair are recognized (see :func:`find_twins`).
        confidence: probability of each onset's interval, in (0, 1).

    Returns:
        Onsets in the order of the clocks (:data:`taumem.analysis.CLOCKS`), within a clock by n_train, seed and run.

    Raises:
        ConfigError: two runs are the same half of the same pair, or ``confidence`` is out of its range.
    """
    check_confidence(confidence)
    seen = [Seen(record) for record in records] + [Seen(a, b) for a, b in find_twins(records)]
    return list(_onsets(sorted(seen, key=lambda each: each.key.order), confidence))


def _onsets(seen: Sequence[Seen], confidence: float) -> Iterator[Onset]:
    for clock in CLOCKS.values():
        for each in seen:
            if clock.of_pairs == (each.twin is not None) and (onset := clock.onset(each, confidence)) is not None:
                yield onset
