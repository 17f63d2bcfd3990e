"""The law tau_mem = c P^a: its fit to onsets, its forecasts, and how far to trust them."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

from taumem.analysis.interval import Interval, check_confidence, finite_or_none
from taumem.analysis.likelihood import Bounds
from taumem.analysis.onset import Onset
from taumem.analysis.posterior import N_DRAWS, Posterior, integrate
from taumem.errors import ConfigError, TaumemWarning

__all__ = ["FAR", "NEAR_ONE", "Exponent", "Law", "fit_law"]

SIGNIFICANT = 0.05
"""Below this probability, ``linearity`` speaks against an exponent of 1, and ``bend`` against one for all sizes."""
FAR = 8.0
"""How many times the largest size a forecast may reach without a warning."""

Exponent = float | tuple[float, float] | None
"""Fixed; or known to within an uncertainty (mean, standard deviation); or free."""
NEAR_ONE: Exponent = (1.0, 0.1)
"""An exponent of 1 to within the spread that prototypes measured over clocks of losses: for forecasts."""


@dataclass(frozen=True)
class Law:
    """log tau ~ Normal(log(tau_0 + c P^a), sigma), as the onsets of one clock determine it.

    Attributes:
        clock: what was timed.
        exponent: a, with its interval (empty where it is fixed).
        exponent_kind: ``fixed``, ``free``, or ``prior`` for one known to within an uncertainty beforehand.
        prefactor: c, in steps per P^a: steps per training example where the exponent is 1.
        floor: tau_0, in steps; None where it was not fitted.
        sigma: scatter of log tau around the law, from run to run.
        confidence: probability of each interval.
        n_onsets: onsets used, censored ones included.
        n_censored: how many of them are bounds on one side (left or right).
        sizes: the distinct n_train, ascending.
        largest_located: the largest n_train whose onset was located.
        batch_size: of every run; None where they differ.
        linearity: two-sided probability of an exponent as far from 1 as the data's own (the t test's p-value
            when nothing is censored), in (0, 1]; None where the sizes cannot tell.
        collapse: scatter of log tau around the law over the scatter of log tau itself, of the located onsets:
            0 when the law explains all, about 1 when it explains nothing; None where tau does not vary.
        bend: by how much the exponent grows from each size to its double, with its own 95 % interval: the quadratic
            term of least squares in log P, which a straight law lacks. Runs of one seed and size, such as twins, count
            as one, since they are alike. None where fewer than three sizes or no degree of freedom are left (three
            sizes of one seed leave none), some onsets are bounds, or a floor bends the law itself.
        sources: the runs.
    """

    clock: str
    exponent: Interval
    exponent_kind: Literal["fixed", "free", "prior"]
    prefactor: Interval
    floor: Interval | None
    sigma: Interval
    confidence: float
    n_onsets: int
    n_censored: int
    sizes: tuple[int, ...]
    largest_located: int
    batch_size: int | None
    linearity: float | None
    collapse: float | None
    bend: Interval | None
    sources: tuple[str, ...]
    posterior: Posterior = field(repr=False, compare=False)

    @property
    def is_refuted(self) -> bool:
        """Whether the data speak against tau being proportional to P: a ``linearity`` below 0.05."""
        return self.linearity is not None and self.linearity < SIGNIFICANT

    @property
    def is_bent(self) -> bool:
        """Whether the data speak against one exponent for all sizes: the interval of ``bend`` leaves 0 out."""
        return self.bend is not None and 0 not in self.bend

    def predict(self, n_train: int, *, confidence: float | None = None) -> Interval:
        """Forecast the onset of a new run: in it, the law's uncertainty and the scatter of single runs.

        An exponent that was fixed is taken for exact; give it a prior to have its uncertainty in the
        forecast.

        Args:
            n_train: number of training examples of the new run, at least 1.
            confidence: probability of the interval, in (0, 1); the law's own if None.

        Returns:
            The median and the interval, in steps; ``.examples`` has them in training examples seen.

        Raises:
            ConfigError: ``n_train`` or ``confidence`` is out of its range.

        Warns:
            TaumemWarning: ``n_train`` is more than 8 times the largest size with a located onset.
        """
        confidence = self.confidence if confidence is None else confidence
        check_confidence(confidence)
        if n_train < 1:
            raise ConfigError(f"a forecast needs a training-set size of at least 1; got n_train = {n_train}.")
        reach = n_train / self.largest_located
        if reach > FAR:
            warnings.warn(
                f"{self.clock}: a forecast for P = {n_train:,} reaches {reach:.3g} times beyond the largest "
                f"size with a located onset (P = {self.largest_located:,}); past {FAR:g} times, nothing "
                "measured here speaks for the law. Add a larger pilot.",
                TaumemWarning,
                stacklevel=2,
            )
        median, low, high = (self._quantile(n_train, p) for p in (0.5, (1 - confidence) / 2, (1 + confidence) / 2))
        # No single batch size: every batch is the whole training set, here the new one.
        return Interval(median, low, high, confidence, self.batch_size or n_train)

    def _quantile(self, n_train: int, probability: float) -> float:
        draws = self.posterior
        center = draws.log_law(math.log(n_train))

        def excess(log_step: float) -> float:
            return float(draws.weight @ ndtr((log_step - center) / draws.sigma)) - probability

        low, high = center.min() - 10 * draws.sigma.max(), center.max() + 10 * draws.sigma.max()
        return math.exp(min(float(brentq(excess, low, high, xtol=1e-6)), 700.0))

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        return {
            "clock": self.clock,
            "exponent": {**self.exponent.to_json(), "kind": self.exponent_kind},
            "prefactor": self.prefactor.to_json(),
            "floor": None if self.floor is None else self.floor.to_json(),
            "sigma": self.sigma.to_json(),
            "n_onsets": self.n_onsets,
            "n_censored": self.n_censored,
            "sizes": list(self.sizes),
            "batch_size": self.batch_size,
            "linearity": self.linearity,
            "collapse": None if self.collapse is None else finite_or_none(self.collapse),
            "bend": None if self.bend is None else self.bend.to_json(),
            "sources": list(self.sources),
        }


def fit_law(
    onsets: Sequence[Onset],
    *,
    exponent: Exponent = 1.0,
    floor: bool = False,
    confidence: float = 0.9,
) -> Law:
    """Fit tau = tau_0 + c P^a to the onsets of one clock, bounds included.

    The intervals are those of a posterior under the right-Haar prior (see :mod:`taumem.analysis.posterior`):
    the exact t intervals of regression when nothing is censored and at least about 2 degrees of freedom
    remain.

    Args:
        onsets: of one clock, at one batch size, or all with batches of the whole training set (batch size P); any
            order.
        exponent: a number to fix it; None to leave it free; a pair (mean, standard deviation) if it is known
            to within an uncertainty, such as (1.0, 0.1), which forecasts use.
        floor: also fit tau_0, the onset that small sizes cannot undercut.
        confidence: probability of the intervals, in (0, 1).

    Raises:
        ConfigError: clocks, data sets, weights or batch sizes differ; or too few onsets were located: 2 are
            needed, at different sizes where the exponent is free (and one size more with a floor).

    >>> runs = [RunKey(n_train=p, batch_size=16) for p in (32, 64, 128)]
    >>> pilots = [Onset(8 * r.n_train, 7 * r.n_train, 9 * r.n_train, "no", "tau_val", r) for r in runs]
    >>> forecast = fit_law(pilots).predict(256)
    >>> f"{forecast.value:.3g} steps, {forecast.examples.value:.3g} examples"
    '2.05e+03 steps, 3.28e+04 examples'
    """
    check_confidence(confidence)
    value, sd, kind = _read_exponent(exponent)
    onsets = list(onsets)
    if not onsets:
        raise ConfigError("a law needs onsets; got none. Give it the runs of at least 2 pilots.")
    _check_same(onsets, "clock", "a law belongs to one clock; fit each by itself")
    _check_same(onsets, "data", "fit each data set by itself")
    _check_same(onsets, "weights", "raw and averaged weights are different clocks; fit each by itself")
    if any(onset.batch_size != onset.n_train for onset in onsets):
        _check_same(
            onsets, "batch_size", "the law holds at one batch size (or with every batch the whole training set)"
        )
    _check_enough(onsets, kind == "free", floor)

    located = [o for o in onsets if o.usable]
    data = _bounds(onsets)
    posterior = integrate(data, exponent=value, exponent_sd=sd, floor=floor)
    tails = (0.5, (1 - confidence) / 2, (1 + confidence) / 2)

    def interval(draws: np.ndarray[Any, np.dtype[np.float64]], *, log: bool = False) -> Interval:
        ends = posterior.quantiles(draws, tails)
        median, low, high = (math.exp(min(end, 700.0)) if log else end for end in ends)
        return Interval(median, low, high, confidence)

    batch_sizes = {o.batch_size for o in onsets}
    return Law(
        clock=onsets[0].clock,
        exponent=interval(posterior.exponent),
        exponent_kind=kind,
        prefactor=interval(posterior.log_prefactor, log=True),
        floor=interval(posterior.floor) if floor else None,
        sigma=interval(posterior.sigma),
        confidence=confidence,
        n_onsets=len(onsets),
        n_censored=len(onsets) - len(located),
        sizes=tuple(sorted({o.n_train for o in onsets})),
        largest_located=max(o.n_train for o in located),
        batch_size=batch_sizes.pop() if len(batch_sizes) == 1 else None,
        linearity=_linearity(onsets, data, floor, posterior if kind == "free" else None),
        collapse=_collapse(_bounds(located), posterior),
        bend=None if floor or not data.exact.all() else _bend(onsets),
        sources=tuple(sorted({o.source for o in onsets if o.source})),
        posterior=posterior,
    )


def _bounds(onsets: Sequence[Onset]) -> Bounds:
    low, high = np.array([o.log_bounds for o in onsets]).T
    return Bounds(np.log([float(o.n_train) for o in onsets]), low, high)


def _linearity(onsets: Sequence[Onset], data: Bounds, floor: bool, free: Posterior | None) -> float | None:
    """The two-sided posterior tail of an exponent of 1 when the exponent is free."""
    if len({o.n_train for o in onsets if o.usable}) < 2 + floor:
        return None
    free = free or integrate(data, exponent=1.0, exponent_sd=math.inf, floor=floor)
    below = float(free.weight[free.exponent < 1].sum())
    return min(1.0, max(2 * min(below, 1 - below), 1 / N_DRAWS))


def _collapse(located: Bounds, posterior: Posterior) -> float | None:
    """Spread of log(tau / law) over the spread of log tau; both as standard deviations."""
    y = located.middle
    if len(y) < 2 or y.std() < 1e-12:
        return None
    law = [posterior.quantiles(posterior.log_law(float(x)), (0.5,))[0] for x in located.log_size]
    return float((y - np.array(law)).std() / y.std())


def _bend(onsets: Sequence[Onset]) -> Interval | None:
    """The change of the exponent from a size to its double: d^2 log tau / (d log P)^2 times log 2."""
    steps: dict[tuple[int, object], list[float]] = {}
    for k, onset in enumerate(onsets):
        group = ("run", k) if onset.seed is None else onset.seed
        steps.setdefault((onset.n_train, group), []).append(math.log(onset.step))
    log_size = np.log([float(n_train) for n_train, _ in steps])
    x, y = log_size - log_size.mean(), np.array([np.mean(alike) for alike in steps.values()])
    freedom = len(x) - 3
    if freedom < 1 or len({n_train for n_train, _ in steps}) < 3:
        return None
    terms = np.stack([np.ones_like(x), x, x**2], axis=1)
    coefficients, *_ = np.linalg.lstsq(terms, y, rcond=None)
    scatter = float(((y - terms @ coefficients) ** 2).sum() / freedom)
    se = math.sqrt(scatter * float(np.linalg.inv(terms.T @ terms)[2, 2]))
    reach = float(stdtrit(freedom, 1 - SIGNIFICANT / 2)) * se
    value, low, high = (2 * math.log(2) * (coefficients[2] + shift) for shift in (0.0, -reach, reach))
    return Interval(float(value), float(low), float(high), 1 - SIGNIFICANT)


def _read_exponent(exponent: Exponent) -> tuple[float, float, Literal["fixed", "free", "prior"]]:
    if exponent is None:
        return 1.0, math.inf, "free"
    if isinstance(exponent, tuple):
        value, sd = exponent
        if not (math.isfinite(value) and 0 < sd < math.inf):
            raise ConfigError(f"a pair for the exponent is (mean, standard deviation > 0); got {exponent}.")
        return value, sd, "prior"
    if not math.isfinite(exponent):
        raise ConfigError(f"a fixed exponent is a finite number; got {exponent}. None leaves it free.")
    return exponent, 0.0, "fixed"


def _check_same(onsets: Sequence[Onset], name: str, advice: str) -> None:
    found = sorted({getattr(o, name) for o in onsets})
    if len(found) > 1:
        what = name.replace("_", " ")
        raise ConfigError(f"onsets of more than one {what}: {', '.join(map(str, found))}; {advice}.")


def _check_enough(onsets: Sequence[Onset], free: bool, floor: bool) -> None:
    bad = [o for o in onsets if o.censored == "no" and not (0 < o.step < math.inf)]
    if bad:
        raise ConfigError(
            f"{bad[0].clock}: an onset at step {bad[0].step:g} has no logarithm; expected a step above 0."
        )
    located = [o for o in onsets if o.usable]
    sizes = sorted({o.n_train for o in located})
    sizes_needed = 1 + free + floor
    if len(located) >= 2 and len(sizes) >= sizes_needed:
        return
    counts = {kind: sum(o.censored == kind for o in onsets) for kind in ("right", "left")}
    came = f"{len(located)} located at {len(sizes)} size(s) ({', '.join(f'P = {s}' for s in sizes) or 'none'})"
    unlocated = f"{counts['right']} not reached when the run ended, {counts['left']} reached before the first look"
    do = "train longer" if counts["right"] else "look earlier" if counts["left"] else "add runs at more sizes"
    wanted = f"2 located onsets at {sizes_needed} or more different sizes" if sizes_needed > 1 else "2 located onsets"
    also = "; or fix the exponent" if free else ""
    raise ConfigError(
        f"{onsets[0].clock}: this law needs {wanted}; of {len(onsets)}, {came}, {unlocated}. "
        f"Try: {do}, or add more sizes{also}."
    )
