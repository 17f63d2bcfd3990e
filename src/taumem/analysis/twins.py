"""Two runs trained on disjoint sets A and B: what the difference between two models says about memorization.

With L_M(S) the loss of model M on set S, on the same items and the same noise for both models,

    gap_sym = 1 - (L_A(A) + L_B(B)) / (L_B(A) + L_A(B))

compares what each model does on its own set with what the other does there. The difference in difficulty
between the two sets cancels, and no held-out data are needed. :mod:`taumem.analysis.similarity` compares their samples.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taumem.errors import ConfigError
from taumem.record import Curve, RunKey, RunRecord

__all__ = ["TwinLosses", "checked_runs", "each_once", "find_twins", "gap_sym", "twin_losses"]

Floats = NDArray[np.float64]


def checked_runs(records: object) -> list[RunRecord]:
    """Take runs for runs: one, or several in any order.

    Raises:
        ConfigError: they are none, such as the path of a folder.
    """
    several = isinstance(records, Iterable) and not isinstance(records, str | RunRecord)
    given: list[object] = list(records) if several else [records]  # type: ignore[call-overload]
    runs = [each for each in given if isinstance(each, RunRecord)]
    if len(runs) < len(given):
        wrong = ", ".join(type(each).__name__ for each in given if not isinstance(each, RunRecord))
        raise ConfigError(f"runs are wanted, such as read_runs(FOLDER) gives; got {wrong}.")
    return runs


def each_once(records: Iterable[RunRecord]) -> Iterator[RunRecord]:
    """Leave out copies of a run, which are no more evidence; numbers are compared only where runs are called alike."""
    alike: dict[tuple[RunKey, str], list[RunRecord]] = {}
    for record in records:
        alike.setdefault((record.header.key, record.header.data.fingerprint), []).append(record)
    for same in alike.values():
        yield from same if len(same) == 1 else {_numbers(record): record for record in same}.values()


def _numbers(record: RunRecord) -> tuple[object, ...]:
    return tuple((m.key, m.value) for m in record.measurements)


def find_twins(records: Sequence[RunRecord]) -> list[tuple[RunRecord, RunRecord]]:
    """Pair the runs on halves ``a`` and ``b`` that share experiment, data, n_train, seed and batch size.

    Args:
        records: any runs; those without a partner are left out.

    Raises:
        ConfigError: two runs are the same half of the same pair, or these are no runs.
    """
    pairs: dict[RunKey, dict[str, RunRecord]] = {}
    for record in checked_runs(records):
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
    ordered = sorted(pairs, key=lambda key: key.order)
    return [(pairs[key]["a"], pairs[key]["b"]) for key in ordered if len(pairs[key]) == 2]


@dataclass(frozen=True, eq=False)
class TwinLosses:
    """The per-item losses of two models on both training sets, [looks, items], at the steps that both have.

    Items of set A are paired across the two models: same items, same noise, same order. So are the items of
    B.
    """

    steps: NDArray[np.int64]
    examples: NDArray[np.int64]
    a_on_a: Floats
    b_on_a: Floats
    b_on_b: Floats
    a_on_b: Floats

    @property
    def means(self) -> tuple[Floats, ...]:
        """Of the items, [looks] each: A on A, B on A, B on B, A on B."""
        return tuple(losses.mean(1) for losses in (self.a_on_a, self.b_on_a, self.b_on_b, self.a_on_b))

    def gap(self) -> Curve:
        """The symmetrized relative gap, with its standard error over items (delta method)."""
        own = self.a_on_a.mean(1) + self.b_on_b.mean(1)
        other = self.b_on_a.mean(1) + self.a_on_b.mean(1)
        ratio = own / other
        pairs = ((self.a_on_a, self.b_on_a), (self.b_on_b, self.a_on_b))
        residuals = [(mine - ratio[:, None] * theirs) / other[:, None] for mine, theirs in pairs]
        if residuals[0].shape == residuals[1].shape:
            residuals = [residuals[0] + residuals[1]]  # sets of one size share their noise, place by place
        variance = np.zeros(len(ratio))
        for residual in residuals:
            n = residual.shape[1]
            variance += residual.var(axis=1, ddof=1) / n if n > 1 else np.nan
        unknown = np.full(len(ratio), np.nan)
        count = self.a_on_a.shape[1] + self.b_on_b.shape[1]
        return Curve(
            quantity="gap_sym",
            steps=self.steps,
            examples=self.examples,
            values=1 - ratio,
            se=np.sqrt(variance),
            low=unknown,
            high=unknown,
            counts=np.full(len(ratio), count, dtype=np.int64),
        )


def twin_losses(a: RunRecord, b: RunRecord) -> TwinLosses:
    """Bring the losses of two runs on each other's training sets together.

    Args:
        a: the run trained on A, with per-item ``train_loss`` (on A) and ``twin_loss`` (on B).
        b: the run trained on B, with per-item ``train_loss`` (on B) and ``twin_loss`` (on A).

    Raises:
        RecordError: a run lacks one of the two quantities.
        ConfigError: the per-item values were not kept or do not pair up, or no look is at the same step.
    """
    a_train, a_twin = a.curve("train_loss"), a.curve("twin_loss")
    b_train, b_twin = b.curve("train_loss"), b.curve("twin_loss")
    curves = (a_train, b_twin, b_train, a_twin)
    steps = a_train.steps
    for curve in curves[1:]:
        steps = np.intersect1d(steps, curve.steps)
    if len(steps) == 0:
        raise ConfigError(f"{a.path} and {b.path}: no step was looked at in both; give twins the same looks.")
    items = []
    for curve, run in zip(curves, (a, b, b, a), strict=True):
        if curve.items is None:
            raise ConfigError(f"{run.path}: '{curve.quantity}' was recorded without the losses of its items.")
        items.append(curve.items[np.searchsorted(curve.steps, steps)])
    for (mine, theirs), name in zip(((items[0], items[1]), (items[2], items[3])), "AB", strict=True):
        if mine.shape != theirs.shape:
            raise ConfigError(
                f"{a.path} and {b.path}: {mine.shape[1]} items of set {name} in one run, {theirs.shape[1]} "
                "in the other; twins are measured on the same items."
            )
    examples = a_train.examples[np.searchsorted(a_train.steps, steps)]
    return TwinLosses(steps, examples, *items)


def gap_sym(a: RunRecord, b: RunRecord) -> Curve:
    """The symmetrized relative gap of two runs, at the steps that both have.

    Args:
        a: the run trained on A; see :func:`twin_losses`.
        b: the run trained on B.

    Raises:
        RecordError: a run lacks a quantity.
        ConfigError: the runs do not pair up.
    """
    return twin_losses(a, b).gap()
