"""Which run an onset belongs to, and the family that a clock's name belongs to: names are taken apart here alone."""

import re
from collections.abc import Sequence

from taumem.analysis import Onset
from taumem.record import Half, RunKey, RunRecord

__all__ = ["family_of", "is_of_run", "rules_of", "run_of"]

_HALVES: dict[str, Half] = {"half=a": "a", "half=b": "b", "halves=a,b": "ab"}


def family_of(clock: str) -> tuple[str, str]:
    """What a clock times, and its threshold or level; empty where it has none.

    >>> family_of("tau_gap[0.2]"), family_of("tau_val")
    (('tau_gap', '0.2'), ('tau_val', ''))
    """
    family, _, x = clock.rstrip("]").partition("[")
    return family, x


def run_of(onset: Onset) -> RunKey:
    """The run, or the pair of runs, that an onset was found in.

    >>> run_of(Onset("tau_val", 9, 8, 10, "no", 64, 16, source="pilot P=64 seed=0 halves=a,b", seed=0)).label
    'P = 64 · halves a, b · seed 0'
    """
    experiment, _, words = onset.source.rpartition(" P=")
    half = next((half for word, half in _HALVES.items() if word in words.split()), None)
    return RunKey(onset.n_train, onset.batch_size, onset.seed, half, experiment, onset.data, onset.weights)


def is_of_run(onset: Onset, record: RunRecord) -> bool:
    """Whether an onset was found in a run, or in the pair that it belongs to."""
    key = record.header.key
    return run_of(onset) in (key, key.pair)


def rules_of(onsets: Sequence[Onset]) -> list[tuple[str, str]]:
    """The rule of each clock, in the order of the clocks; one for clocks that differ by their threshold alone."""
    found: dict[tuple[str, str], list[str]] = {}
    for clock, rule in {onset.clock: onset.rule for onset in onsets}.items():
        family, x = family_of(clock)
        if x:
            family, rule = f"{family}[x]", re.sub(rf"(?<![\d.]){re.escape(x)}(?![\d.]*\d)", "x", rule)
        found.setdefault((family, rule), []).extend([x] if x else [])
    return [(clock, f"{rule} Here x = {', '.join(xs)}." if xs else rule) for (clock, rule), xs in found.items()]
