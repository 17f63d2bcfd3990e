"""Which training items are memorized when: an onset of each, from the losses of items that records keep.

The score of an item says by how much its own model's loss of it is below what a model has that never saw it, as the
logarithm of their ratio. With twins, that model is the other one, under the same noise: how hard an item is cancels.
Without, it is the model itself midway through the first learning, and what held-out items gained since is taken off.

An item's onset is where its score passes the bar for good. The bar is a loss that is lower by a third, or what one in
twenty held-out items would exceed at that look, if that is more: so of items that nobody trained on one in twenty has
an onset, at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.clocks.curves import check_threshold, log_steps_and_items
from taumem.analysis.clocks.losses import midway
from taumem.analysis.course import FEWEST_LOOKS
from taumem.analysis.interval import check_confidence, finite_or_none
from taumem.analysis.placing import Placed, passage
from taumem.analysis.resampling import signs_and_shares
from taumem.analysis.smoothing import smoothed_and_residual
from taumem.analysis.twins import checked_runs, find_twins, twin_losses
from taumem.errors import ConfigError
from taumem.record import Curve, RunKey, RunRecord

__all__ = ["LOWER", "ItemOnsets", "find_item_onsets", "onsets_against_twin", "onsets_alone", "why_no_item_onsets"]

LOWER = 1 / 3
"""Share by which a loss is lower than an unseen item's once its item counts as memorized."""
FALSE_ONSETS = 0.05
"""Share of items that nobody trained on that may have an onset."""
FEWEST_UNSEEN = 38
"""Held-out items: half of them draw the bar, and one in twenty of 19 is the highest of them."""
LEAST_LOSS = 1e-9
"""Of the mean held-out loss: what is below counts as this, so that logarithms are finite."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ItemOnsets:
    """When each training item that a run's losses were measured on was memorized.

    Attributes:
        run: which run.
        against: what unseen means: ``twin``, the other model; or ``itself``, the model midway through its learning.
        steps: of the looks, past step 0 (past the middle of the first learning, without twins) [looks].
        scores: log of the loss of an unseen item over the item's own [looks, items].
        bar: what a score must pass [looks].
        placed: the onset of each item, in the order of the training set, censored as those of clocks.
        n_false: held-out items, of those that did not draw the bar, that have an onset at the last look.
        n_unseen: how many such items there are.
        unseen: loss of each item under the twin where that does best on held-out items: how untypical the item is of
            the data [items]; None without twins.
        isolation: distance of each item to the nearest others of the training set [items]; None where the record
            has none.
        confidence: probability of each onset's interval.
    """

    run: RunKey
    against: Literal["twin", "itself"]
    steps: NDArray[np.int64]
    scores: Floats
    bar: Floats
    placed: tuple[Placed, ...]
    n_false: int
    n_unseen: int
    unseen: Floats | None
    isolation: Floats | None
    confidence: float
    placebo: tuple[Floats, Floats] | None = None
    """Of held-out items, the earliness that they seem to have at the last look and their loss under the twin, as for
    ``unseen``: what there is no order in. The correction of their scores is that of other held-out items."""

    def __len__(self) -> int:
        return len(self.placed)

    @property
    def n_located(self) -> int:
        """How many items were memorized, at a step that is known."""
        return sum(onset.usable for onset in self.placed)

    @property
    def earliness(self) -> Floats:
        """A number for each item, lower for those that go first; equal for those before the first look or never."""
        ends = {"left": 0.0, "right": np.inf}
        return np.array([ends.get(onset.censored, onset.step) for onset in self.placed])

    @property
    def order(self) -> NDArray[np.int64]:
        """The places of the items, those that go first in front; of equal ones, the higher last score goes first."""
        return np.lexsort((-self.scores[-1], self.earliness)).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file, the items that go first in front."""
        run = {name: getattr(self.run, name) for name in ("experiment", "n_train", "seed", "half")}
        null = {"false_onsets": [self.n_false, self.n_unseen], "confidence": self.confidence}
        return {**run, "against": self.against, **null, "items": [self._row(int(k)) for k in self.order]}

    def _row(self, place: int) -> dict[str, Any]:
        onset = self.placed[place]
        facts = {"step": onset.step, "low": onset.low, "high": finite_or_none(onset.high), "censored": onset.censored}
        known = {name: of for name in ("unseen", "isolation") if (of := getattr(self, name)) is not None}
        return {"item": place, **facts, **{name: float(of[place]) for name, of in known.items()}}


def find_item_onsets(
    records: Sequence[RunRecord], *, lower: float = LOWER, confidence: float = 0.9
) -> list[ItemOnsets]:
    """Find the onsets of the items of all runs: against their twins where there are any.

    Args:
        records: runs, in any order. Those that have none are left out: see :func:`why_no_item_onsets`.
        lower: as in :func:`onsets_alone`, and so is ``confidence``.

    Raises:
        ConfigError: these are no runs, or a number out of its range.
    """
    return [found for _, found in _each(records, lower, confidence) if isinstance(found, ItemOnsets)]


def why_no_item_onsets(
    records: Sequence[RunRecord], *, lower: float = LOWER, confidence: float = 0.9
) -> dict[str, list[RunRecord]]:
    """Say why runs have no onsets of single items: each reason, with the runs that it holds for."""
    told = [(found, record) for record, found in _each(records, lower, confidence) if isinstance(found, str)]
    return {reason: [record for other, record in told if other == reason] for reason, _ in told}


def onsets_alone(record: RunRecord, *, lower: float = LOWER, confidence: float = 0.9) -> ItemOnsets:
    """Find when a run memorized each of its training items, without a twin.

        score = log loss(middle) / loss(look), less the median of the same over held-out items

    The middle is that of ``tau_gap_grown``: the three looks around 0.8 of the held-out loss's fall. What is memorized
    by then does not show, and how late an item is learned by anybody is not told from how late it is memorized: with
    twins both are; see :func:`onsets_against_twin`.

    Args:
        record: with the losses of single training and held-out items.
        lower: share by which the loss must be lower, in (0, 1).
        confidence: probability of each onset's interval: of what the jitter of the weights leaves open, in (0, 1).

    Raises:
        RecordError: the record has no such losses.
        ConfigError: fewer than 38 held-out items, fewer than 8 looks from the middle on, or a number out of its range.
    """
    (x, train, heldout), steps = _common(record, record.curve("train_loss"), record.curve("heldout_loss"))
    middle = midway(heldout.mean(1))
    since = slice(max(middle - 1, 0), None)
    gained, gained_unseen = (-_logs(losses, heldout) for losses in (train, heldout))
    gained, gained_unseen = (gain - gain[middle - 1 : middle + 2].mean(0) for gain in (gained, gained_unseen))
    typical = np.median(gained_unseen, axis=1, keepdims=True)
    scores, null = (gained - typical)[since], (gained_unseen - typical)[since]
    return _of(record, "itself", steps[since], x[since], scores, null, None, lower, confidence)


def onsets_against_twin(
    record: RunRecord, twin: RunRecord, *, lower: float = LOWER, confidence: float = 0.9
) -> ItemOnsets:
    """Find when a run memorized each of its training items, against a model that was trained on others.

        score = log twin's loss / own loss, of the item, at the same look, under the same noise

    What the twin happens to miss in an item raises both its score and its loss under the twin, and would make untypical
    items seem to go first where nobody has seen any: how much so is read off held-out items, and taken off.

    Args:
        record: the run, with the losses of single training and held-out items.
        twin: the other one, with those of this run's training items too (``twin_loss``).
        lower: as in :func:`onsets_alone`, and so is ``confidence``.

    Raises:
        RecordError: a run lacks a quantity.
        ConfigError: the runs do not pair up, or as in :func:`onsets_alone`.
    """
    pair = twin_losses(record, twin)
    own, other = (run.curve("heldout_loss").at_steps(pair.steps) for run in (record, twin))
    (x, ours, theirs), steps = _common(record, own, other)
    kept = np.isin(pair.steps, steps)
    of_twin, of_twin_null = (_logs(losses, theirs) for losses in (pair.b_on_a[kept], theirs))
    scores, null = of_twin - _logs(pair.a_on_a[kept], theirs), of_twin_null - _logs(ours, theirs)
    best = int(np.clip(np.argmin(theirs.mean(1)), 1, len(x) - 2))
    unseen, unseen_null = (logs[best - 1 : best + 2].mean(0) for logs in (of_twin, of_twin_null))
    from_mean = unseen_null - unseen_null.mean()
    half, others = slice(0, None, 2), slice(1, None, 2)
    by_half = null[:, others] - np.outer(_slopes(null[:, half], unseen_null[half]), from_mean[others])
    slopes = _slopes(null, unseen_null)
    scores -= np.outer(slopes, unseen - unseen_null.mean())
    null -= np.outer(slopes, from_mean)
    found = _of(record, "twin", steps, x, scores, null, np.exp(unseen), lower, confidence)
    return replace(found, placebo=(-by_half[-1], unseen_null[others]))


def _each(
    records: Sequence[RunRecord], lower: float, confidence: float
) -> Iterator[tuple[RunRecord, ItemOnsets | str]]:
    """Each run with its onsets, or with the reason why there are none."""
    check_threshold(lower)
    check_confidence(confidence)
    records = checked_runs(records)
    other = {id(one): two for pair in find_twins(records) for one, two in (pair, pair[::-1])}
    for record in records:
        try:
            yield record, _found(record, other.get(id(record)), lower, confidence)
        except ConfigError as error:  # losses without those of the items, of too few of them, or at too few looks
            yield record, str(error).removeprefix(f"{record.path}: ")


def _found(record: RunRecord, twin: RunRecord | None, lower: float, confidence: float) -> ItemOnsets:
    losses = ("train_loss", "heldout_loss", "twin_loss")
    pair = () if twin is None else (record, twin)
    if twin is not None and all(run.curve_or_none(name) is not None for run in pair for name in losses):
        return onsets_against_twin(record, twin, lower=lower, confidence=confidence)
    if missing := [name for name in losses[:2] if record.curve_or_none(name) is None]:
        raise ConfigError(f"{' and '.join(missing)} of single items: not measured.")
    return onsets_alone(record, lower=lower, confidence=confidence)


def _common(record: RunRecord, one: Curve, other: Curve) -> tuple[tuple[Floats, Floats, Floats], NDArray[np.int64]]:
    """Log steps of the looks that both have past step 0, the items of both there, and the steps."""
    common = np.intersect1d(one.steps, other.steps)
    x, first = log_steps_and_items(one.at_steps(common), FEWEST_LOOKS)
    _, second = log_steps_and_items(other.at_steps(common), FEWEST_LOOKS)
    if second.shape[1] < FEWEST_UNSEEN:
        raise ConfigError(
            f"{record.path}: the loss of {second.shape[1]} held-out items; onsets of single items need {FEWEST_UNSEEN} "
            "to know what one in twenty of them does by chance. Measure more (monitor.n_heldout_items)."
        )
    return (x, first, second), common[common > 0]


def _logs(losses: Floats, heldout: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(losses, LEAST_LOSS * max(float(heldout.mean()), 1e-300))))


def _of(
    record: RunRecord,
    against: Literal["twin", "itself"],
    steps: NDArray[np.int64],
    x: Floats,
    scores: Floats,
    null: Floats,
    unseen: Floats | None,
    lower: float,
    confidence: float,
) -> ItemOnsets:
    check_threshold(lower)
    check_confidence(confidence)
    if len(x) < FEWEST_LOOKS:
        since = (
            ""
            if against == "twin"
            else f" from the middle of the first learning on (step {steps[0]:,}), which stands in for a twin"
        )
        need = f"onsets of single items need {FEWEST_LOOKS}: train longer, or look more often (monitor.per_doubling)."
        raise ConfigError(f"{record.path}: {len(x)} looks{since}; {need}")
    bar = _bar(null[:, 0::2], lower)
    others = null[:, 1::2]
    isolation = record.curve_or_none("isolation")
    return ItemOnsets(
        run=record.header.key,
        against=against,
        steps=steps,
        scores=scores,
        bar=bar,
        placed=_place(x, scores, bar, confidence),
        n_false=int((others[-1] > bar[-1]).sum()),
        n_unseen=others.shape[1],
        unseen=unseen,
        isolation=None if isolation is None or isolation.items is None else isolation.items[-1],
        confidence=confidence,
    )


def _slopes(null: Floats, unseen: Floats) -> Floats:
    """How a score grows with the twin's loss where nothing was trained on: both hold what the twin happens to miss."""
    away = unseen - unseen.mean()
    return np.asarray(null @ away / max(float(away @ away), 1e-300))


def _bar(null: Floats, lower: float) -> Floats:
    """What one in twenty items that nobody trained on would exceed, at each look; at least a loss lower by a share."""
    n = null.shape[1]
    rank = int(np.ceil((1 - FALSE_ONSETS) * (n + 1)))  # of n scores and another of their like: exact at any n
    return np.asarray(np.maximum(np.sort(null, axis=1)[:, rank - 1], -np.log1p(-lower)))


def _place(x: Floats, scores: Floats, bar: Floats, confidence: float) -> tuple[Placed, ...]:
    """Place the last passages of the bar; intervals are those of the weights' jitter about the smoothed scores."""
    smoothed, residual = smoothed_and_residual(x, scores)
    signs, _ = signs_and_shares(len(x), 2)
    items = zip(scores.T, smoothed.T, residual.T, strict=True)
    return tuple(passage(own - bar, mean + apart * signs - bar, 0.0, x, confidence) for own, mean, apart in items)
