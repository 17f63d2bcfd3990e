"""Every onset that the records of some runs hold, in a fixed order."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from taumem.analysis.clocks import tau_copy, tau_gap, tau_gap_sym, tau_gen, tau_infill, tau_level, tau_split, tau_val
from taumem.analysis.onset import Onset
from taumem.analysis.smoothing import FEWEST_CHECKS
from taumem.analysis.twins import agreement_curve, sampled_steps, twin_losses
from taumem.errors import ConfigError
from taumem.record import Curve, RunRecord

__all__ = ["COPY_THRESHOLDS", "GAP_SYM_THRESHOLDS", "GAP_THRESHOLDS", "INFILL_THRESHOLDS", "find_onsets", "find_twins"]

GAP_THRESHOLDS = (0.10, 0.20)
GAP_SYM_THRESHOLDS = (0.10, 0.15, 0.20)
COPY_THRESHOLDS = (0.03, 0.05, 0.10)
INFILL_THRESHOLDS = (0.05, 0.10, 0.50)

FAMILIES = ("tau_gen", "tau_level", "tau_val", "tau_gap", "tau_gap_sym", "tau_copy", "tau_infill", "tau_split")
"""All clocks, in the order in which they are told."""

FEWEST_SAMPLED = 2
"""Checks with samples of both twins, below which their agreement cannot be seen to fall."""

TwinKey = tuple[str, str, int, int, int, str]


def find_twins(records: Sequence[RunRecord]) -> list[tuple[RunRecord, RunRecord]]:
    """Pair the runs on halves ``a`` and ``b`` that share experiment, data, n_train, seed and batch size.

    Args:
        records: any runs; those without a partner are left out.

    Raises:
        ConfigError: two runs are the same half of the same pair.
    """
    halves: dict[TwinKey, dict[str, RunRecord]] = {}
    for record in records:
        h = record.header
        if h.half not in ("a", "b"):
            continue
        key = (h.name, h.data.name, h.data.n_train, h.seed, h.batch_size, h.weights)
        pair = halves.setdefault(key, {})
        if h.half in pair:
            raise ConfigError(
                f"{pair[h.half].path} and {record.path} are both half '{h.half}' of {h.name}, "
                f"P = {h.data.n_train}, seed {h.seed}; give each run once."
            )
        pair[h.half] = record
    return [(pair["a"], pair["b"]) for _, pair in sorted(halves.items()) if len(pair) == 2]


def find_onsets(records: Sequence[RunRecord], *, confidence: float = 0.9) -> list[Onset]:
    """Find every onset that the recorded quantities allow; a clock whose quantities are missing is skipped.

    Args:
        records: runs, in any order; two halves of a pair are recognized (see :func:`find_twins`).
        confidence: probability of each onset's interval, in (0, 1).

    Returns:
        Onsets in the order of the clocks (tau_gen, tau_level, tau_val, tau_gap, tau_gap_sym, tau_copy, tau_infill,
        tau_split; levels and thresholds ascending), within a clock by n_train, seed and run.

    Raises:
        ConfigError: two runs are the same half of the same pair, or ``confidence`` is out of its range.
    """
    found = [onset for record in records for onset in _of_run(record, confidence)]
    found += [onset for a, b in find_twins(records) for onset in _of_twins(a, b, confidence)]
    return sorted(found, key=lambda o: (_place(o.clock), o.n_train, -1 if o.seed is None else o.seed, o.source))


def _place(clock: str) -> tuple[int, float]:
    family, _, threshold = clock.rstrip("]").partition("[")
    return FAMILIES.index(family), float(threshold or 0)


def _of_run(record: RunRecord, confidence: float) -> Iterator[Onset]:
    run = record.header
    heldout, train = _curve(record, "heldout_loss"), _curve(record, "train_loss")
    if heldout is not None and (heldout.steps > 0).sum() >= FEWEST_CHECKS:
        yield tau_gen(heldout, run, confidence=confidence)
        yield tau_val(heldout, run, confidence=confidence)
    if heldout is not None and train is not None and set(heldout.steps) & set(train.steps) - {0}:
        for threshold in GAP_THRESHOLDS:
            yield tau_gap(train, heldout, run, threshold=threshold, confidence=confidence)
    for clock, quantity, thresholds in (
        (tau_copy, "copy_fraction", COPY_THRESHOLDS),
        (tau_infill, "infill_copies", INFILL_THRESHOLDS),
    ):
        copies, chance = (_curve(record, name, items=False) for name in (quantity, f"{quantity}_chance"))
        if copies is not None and chance is not None:
            for threshold in thresholds:
                yield clock(copies, chance, run, threshold=threshold, confidence=confidence)
    for number in count(1):
        if (valid := _curve(record, f"valid[{number}]", items=False)) is None:
            return
        yield tau_level(valid, run, grammar_level=number, confidence=confidence)


def _of_twins(a: RunRecord, b: RunRecord, confidence: float) -> Iterator[Onset]:
    source = f"{a.header.name} P={a.header.data.n_train} seed={a.header.seed} halves=a,b"
    losses = [_curve(run, quantity) for run in (a, b) for quantity in ("train_loss", "twin_loss")]
    if all(losses):
        twins = twin_losses(a, b)
        if twins.steps.max() > 0:
            for threshold in GAP_SYM_THRESHOLDS:
                yield replace(tau_gap_sym(twins, a.header, threshold=threshold, confidence=confidence), source=source)
    heldout = [_curve(run, "heldout_loss") for run in (a, b)]
    learned = [tau_gen(curve, a.header) for curve in heldout if curve and (curve.steps > 0).sum() >= FEWEST_CHECKS]
    if len(learned) == 2 and sum(step > 0 for step in sampled_steps(a, b)) >= FEWEST_SAMPLED:
        since = max(onset.step for onset in learned)
        yield replace(tau_split(agreement_curve(a, b), a.header, learned=since, confidence=confidence), source=source)


def _curve(record: RunRecord, quantity: str, *, items: bool = True) -> Curve | None:
    """The curve, or None where a clock could not use it."""
    if not any(m.quantity == quantity and m.t is None and m.step > 0 for m in record.measurements):
        return None
    curve = record.curve(quantity)
    return curve if not items or (curve.items is not None and curve.items.shape[1] >= 2) else None
