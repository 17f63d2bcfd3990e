"""Which training items go first: isolated ones or those among others, untypical ones or prototypes.

Two papers say opposite things: isolated items are memorized (Merger and Goldt 2026, arXiv 2606.14390), and prototypes
are (Rodriguez et al. 2026, arXiv 2605.30642). Here a data set answers. Within each run items are ranked by onset and by
a covariate; the correlation of the ranks is pooled over runs. Intervals are of a bootstrap over items, and an item
that several runs of growing training sets share is drawn with all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from scipy.stats import rankdata

from taumem.analysis.interval import Interval, check_confidence
from taumem.analysis.item_onsets import ItemOnsets
from taumem.errors import ConfigError

__all__ = ["COVARIATES", "Covariate", "ItemOrder", "order_of_items", "rank_correlation"]

Covariate = Literal["isolation", "unseen"]
COVARIATES: dict[Covariate, tuple[str, str, str]] = {
    "isolation": ("distance to its nearest neighbors in the training set", "isolated", "crowded"),
    "unseen": ("loss under a model of other data", "untypical", "typical"),
}
"""What it is, and what items are called that have much and little of it."""
FEWEST = 8
"""Items of a run that enters, at least."""
N_RESAMPLES = 400
N_REFITS = 100
SEED = 20_240_806

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ItemOrder:
    """What the order of onsets goes with, over all items of some runs.

    Attributes:
        n_runs: runs in which some, but not all, items can be told apart by their onset.
        n_items: items of these runs.
        n_located: onsets among them whose step is known; the others are known to be earlier or later than all looks.
        correlations: rank correlation of the onset with each covariate that is known, from -1 (items that have much of
            it go first) to 1 (they go last).
        factors: by which factor an onset changes with one standard deviation (within a run) of the logarithm of each
            covariate, the other held fixed: a linear model of the log onset, censored onsets as bounds.
        n_false: held-out items with an onset, which nobody trained on; and ``n_unseen``, of how many.
    """

    n_runs: int
    n_items: int
    n_located: int
    correlations: dict[Covariate, Interval]
    factors: dict[Covariate, Interval]
    n_false: int
    n_unseen: int
    placebo: Interval | None
    """The rank correlation with ``unseen`` among held-out items, in which there is no order: it should hold 0. None
    without twins."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the data say, a sentence for each covariate."""
        return tuple(_sentence(name, interval) for name, interval in self.correlations.items())

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        counts = {name: getattr(self, name) for name in ("n_runs", "n_items", "n_located")}
        return counts | {
            "correlations": {name: interval.to_json() for name, interval in self.correlations.items()},
            "factors": {name: interval.to_json() for name, interval in self.factors.items()},
            "false_onsets": [self.n_false, self.n_unseen],
            "placebo": None if self.placebo is None else self.placebo.to_json(),
            "sentences": list(self.sentences),
        }


def order_of_items(found: Sequence[ItemOnsets], *, confidence: float = 0.9) -> ItemOrder:
    """Ask what the order of onsets goes with.

    Args:
        found: of runs on the same kind of data, such as those of one study.
        confidence: probability of the intervals, in (0, 1).

    Raises:
        ConfigError: no run has 8 items or more whose onsets differ, or the confidence is none.
    """
    check_confidence(confidence)
    told = [run for run in found if len(run) >= FEWEST and len(set(run.earliness)) > 1]
    if not told:
        raise ConfigError(
            f"no run has {FEWEST} or more training items whose onsets differ: train longer, or measure the losses of "
            "more items (monitor.n_items)."
        )
    known = [name for name in COVARIATES if all(getattr(run, name) is not None for run in told)]
    drawn = _drawn_together(told)
    return ItemOrder(
        n_runs=len(told),
        n_items=sum(map(len, told)),
        n_located=sum(run.n_located for run in told),
        correlations={
            name: rank_correlation(
                [run.earliness for run in told], [getattr(run, name) for run in told], drawn, confidence=confidence
            )
            for name in known
        },
        factors=_factors(told, known, drawn, confidence),
        n_false=sum(run.n_false for run in told),
        n_unseen=sum(run.n_unseen for run in told),
        placebo=_placebo(told, confidence),
    )


def rank_correlation(
    one: Sequence[Floats], other: Sequence[Floats], drawn: Sequence[NDArray[np.int64]], *, confidence: float = 0.9
) -> Interval:
    """The rank correlation of two values of items within runs, pooled over the runs.

    Args:
        one: of each run, a value for each item; infinite ones may be equal.
        other: likewise.
        drawn: of each run, a number for each item: items of one number, in whichever run, are resampled together.
        confidence: probability of the bootstrap interval.
    """
    ranks = [[rankdata(values) / len(values) for values in side] for side in (one, other)]
    weights = _weights(drawn, N_RESAMPLES)
    sums = np.zeros((3, N_RESAMPLES + 1))
    for x, y, numbers in zip(*ranks, drawn, strict=True):
        w = weights[:, numbers]
        total = np.maximum(w.sum(1, keepdims=True), 1e-12)
        dx, dy = (values - (w @ values)[:, None] / total for values in (x, y))
        sums += np.array([(w * a * b).sum(1) for a, b in ((dx, dy), (dx, dx), (dy, dy))])
    pooled = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-300))
    return _interval(pooled, confidence)


def _drawn_together(found: Sequence[ItemOnsets]) -> list[NDArray[np.int64]]:
    """A number for each item of each run: training sets of growing size share their first items."""
    whose = ((run.run.experiment, run.run.data, run.run.seed, run.run.half) for run in found)
    return _numbered(list(zip(whose, map(len, found), strict=True)))


def _numbered(sets: Sequence[tuple[Any, int]]) -> list[NDArray[np.int64]]:
    """Number the items of some sets, each of so many: the first items of sets of one name are the same."""
    numbers: dict[tuple[Any, int], int] = {}
    return [
        np.array([numbers.setdefault((name, place), len(numbers)) for place in range(size)], dtype=np.int64)
        for name, size in sets
    ]


def _placebo(found: Sequence[ItemOnsets], confidence: float) -> Interval | None:
    pairs = [(run, run.placebo) for run in found if run.placebo is not None]
    if not pairs:
        return None
    # Held-out items depend on the seed alone: all runs of a seed share them.
    drawn = _numbered([((run.run.experiment, run.run.data, run.run.seed), len(known[0])) for run, known in pairs])
    early, unseen = zip(*(known for _, known in pairs), strict=True)
    return rank_correlation(early, unseen, drawn, confidence=confidence)


def _weights(drawn: Sequence[NDArray[np.int64]], n_resamples: int) -> Floats:
    """How often each number is drawn [1 + resamples, numbers]: once each in row 0."""
    n = int(max(numbers.max() for numbers in drawn)) + 1
    resampled = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=n_resamples)
    return np.vstack([np.ones(n), resampled]).astype(float)


def _interval(values: Floats, confidence: float) -> Interval:
    low, high = np.quantile(values[1:], ((1 - confidence) / 2, (1 + confidence) / 2))
    return Interval(float(values[0]), float(low), float(high), confidence)


def _factors(
    found: Sequence[ItemOnsets], names: Sequence[Covariate], drawn: Sequence[NDArray[np.int64]], confidence: float
) -> dict[Covariate, Interval]:
    """The linear model of log onsets: a level for each run, and the covariates in standard deviations within it."""
    columns = [np.concatenate([_standard(getattr(run, name)) for run in found]) for name in names]
    run_of = np.repeat(np.arange(len(found)), list(map(len, found)))
    design = np.column_stack([*columns, run_of[:, None] == np.arange(len(found))]).astype(float)
    bounds = np.array([_log_bounds(onset) for run in found for onset in run.placed])
    numbers = np.concatenate(list(drawn))
    start: tuple[Floats, float] | None = None
    fits = []
    for weights in _weights(drawn, N_REFITS):
        start_here = _censored_fit(design, bounds, weights[numbers], start)
        start = start or start_here
        fits.append(start_here[0][: len(names)])
    effects = np.exp(np.array(fits))
    return {name: _interval(effects[:, k], confidence) for k, name in enumerate(names)}


def _standard(values: Floats) -> Floats:
    logs = np.log(np.maximum(values, 1e-12 * max(float(np.max(values)), 1e-300)))
    spread = float(logs.std())
    return np.asarray((logs - logs.mean()) / spread if spread > 0 else np.zeros(len(logs)))


def _log_bounds(onset: Any) -> tuple[float, float]:
    if onset.usable:
        return float(np.log(onset.step)), float(np.log(onset.step))
    return (-np.inf if onset.low <= 0 else float(np.log(onset.low)), float(np.log(onset.high)))


def _censored_fit(
    design: Floats, bounds: Floats, weights: Floats, start: tuple[Floats, float] | None
) -> tuple[Floats, float]:
    """Fit a normal linear model to values known to lie between bounds, by expectation and maximization.

    Reference: Dempster, Laird and Rubin 1977, J. R. Stat. Soc. B 39, 1.
    """
    low, high = bounds.T
    exact = low == high
    rough = np.where(np.isfinite(low), low, high)
    gram = (design * weights[:, None]).T @ design + 1e-9 * np.eye(design.shape[1])
    solve = np.linalg.solve(gram, (design * weights[:, None]).T)
    coefficients, sigma = start or (solve @ rough, float(rough.std()) or 1.0)
    for _ in range(10 if start else 200):
        mean, variance = _moments(low, high, design @ coefficients, sigma)
        values = np.where(exact, rough, mean)
        before, coefficients = coefficients, solve @ values
        spread = (values - design @ coefficients) ** 2 + np.where(exact, 0.0, variance)
        sigma = max(float(np.sqrt((weights * spread).sum() / weights.sum())), 1e-6)
        if float(np.abs(coefficients - before).max()) < 1e-6:
            break
    return coefficients, sigma


def _moments(low: Floats, high: Floats, mean: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Mean and variance of normal values that are known to lie below ``high`` or above ``low`` (one is infinite)."""
    above = np.isinf(high)
    sign = np.where(above, 1.0, -1.0)
    edge = sign * (np.where(above, low, high) - mean) / sigma  # the tail above an edge, mirrored for that below one
    edge = np.where(np.isfinite(edge), edge, 0.0)
    ratio = np.exp(-0.5 * edge**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(-edge))
    variance = sigma**2 * np.clip(1 + edge * ratio - ratio**2, 0, 1)
    return mean + sign * sigma * ratio, variance


def _sentence(name: Covariate, interval: Interval) -> str:
    what, much, little = COVARIATES[name]
    ends = f"{interval.value:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
    found = f"rank correlation of the onset with the {what} {ends}"
    if interval.high < 0:
        return f"{much.capitalize()} items go first: {found}."
    if interval.low > 0:
        return f"{little.capitalize()} items go first: {found}."
    return f"Neither {much} nor {little} items are seen to go first: {found}."
