"""The law tau_mem = c P^a: its fit to onsets, its forecasts, and how far to trust them."""

import math
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from taumem.analysis.evidence import SIGNIFICANT, bend_of, bounds_of, checked, error_of
from taumem.analysis.interval import Interval, check_confidence, finite_or_none
from taumem.analysis.likelihood import Bounds
from taumem.analysis.onset import Onset
from taumem.analysis.posterior import N_DRAWS, Posterior, integrate
from taumem.analysis.prior import Exponent, Prior, read_exponent
from taumem.errors import ConfigError, TaumemWarning

__all__ = ["FAR", "Law", "fit_law", "whole_size"]

FAR = 4.0
"""How many times the largest size a forecast may reach without a warning."""


@dataclass(frozen=True)
class Law:
    """log tau ~ Normal(log(tau_0 + c P^a), sigma), as the onsets of one clock determine it.

    Attributes:
        clock: what was timed.
        exponent: a, with its interval (empty where it is fixed).
        exponent_kind: ``fixed``, ``free``, or ``prior`` for one known to within an uncertainty beforehand.
        prior: what was assumed of exponent, floor and scatter together; None unless it was handed over.
        prefactor: c, in steps per P^a: steps per training example where the exponent is 1.
        floor: tau_0, in steps; None where it was not fitted.
        sigma: scatter of log tau around the law, from run to run.
        twin_correlation: of log tau around the law within a pair of twins; None where there are no pairs.
        confidence: probability of each interval.
        n_onsets: onsets used, censored ones included.
        n_censored: how many of them are bounds on one side (left or right).
        sizes: the distinct n_train, ascending.
        located_sizes: those of them at which an onset was located.
        batch_size: of every run; None where they differ.
        linearity: two-sided probability of an exponent as far from 1 as the data's own (the t test's p-value
            when nothing is censored), in (0, 1]; None where the sizes cannot tell.
        plausibility: the same of the exponent that was assumed, fixed or within its uncertainty; None where it is free.
        collapse: scatter of log tau around the law over the scatter of log tau itself, of the located onsets:
            0 when the law explains all, about 1 when it explains nothing; None where tau does not vary.
        bend: by how much the exponent grows from each size to its double, with its own 95 % interval: the quadratic
            term of least squares in log P, which a straight law lacks. Twins count as one run. None where fewer than
            three sizes or no degree of freedom are left (three sizes of one seed leave none), or some onsets are
            bounds.
        sources: the runs.
    """

    clock: str
    exponent: Interval
    exponent_kind: Literal["fixed", "free", "prior"]
    prior: Prior | None
    prefactor: Interval
    floor: Interval | None
    sigma: Interval
    twin_correlation: Interval | None
    confidence: float
    n_onsets: int
    n_censored: int
    sizes: tuple[int, ...]
    located_sizes: tuple[int, ...]
    batch_size: int | None
    linearity: float | None
    plausibility: float | None
    collapse: float | None
    bend: Interval | None
    sources: tuple[str, ...]
    posterior: Posterior = field(repr=False, compare=False)

    @property
    def is_refuted(self) -> bool:
        """Whether the data speak against tau being proportional to P: a ``linearity`` below 0.05."""
        return self.linearity is not None and self.linearity < SIGNIFICANT

    @property
    def is_implausible(self) -> bool:
        """Whether the data speak against the exponent that was assumed: a ``plausibility`` below 0.05."""
        return self.plausibility is not None and self.plausibility < SIGNIFICANT

    @property
    def is_bent(self) -> bool:
        """Whether the data bend as the law cannot: ``bend`` leaves 0 out (to below, where a floor bends the law up)."""
        return self.bend is not None and (self.bend.high < 0 or (self.floor is None and self.bend.low > 0))

    @property
    def largest_located(self) -> int:
        """The largest n_train whose onset was located."""
        return self.located_sizes[-1]

    def predict(self, n_train: int, *, confidence: float | None = None) -> Interval:
        """Forecast the onset of a new run: in it, the law's uncertainty and the scatter of single runs.

        An exponent that was fixed is taken for exact; give it a prior to have its uncertainty in the forecast.

        Args:
            n_train: number of training examples of the new run, at least 1.
            confidence: probability of the interval, in (0, 1); the law's own if None.

        Returns:
            The median and the interval, in steps; ``.examples`` has them in training examples seen.

        Raises:
            ConfigError: ``n_train`` or ``confidence`` is out of its range.

        Warns:
            TaumemWarning: ``n_train`` is more than 4 times the largest size with a located onset, or all located
                onsets are of one other size.
        """
        confidence = self.confidence if confidence is None else confidence
        check_confidence(confidence)
        n_train = whole_size(n_train)
        self._warn_of(n_train)
        median, low, high = (self._quantile(n_train, p) for p in (0.5, (1 - confidence) / 2, (1 + confidence) / 2))
        # No single batch size: every batch is the whole training set, here the new one.
        return Interval(median, low, high, confidence, n_train if self.batch_size is None else self.batch_size)

    def _warn_of(self, n_train: int) -> None:
        reach = n_train / self.largest_located
        if reach > FAR:
            warnings.warn(
                f"{self.clock}: a forecast for P = {n_train:,} reaches {reach:.3g} times beyond the largest "
                f"size with a located onset (P = {self.largest_located:,}); past {FAR:g} times, nothing "
                "measured here speaks for the law. Add a larger pilot.",
                TaumemWarning,
                stacklevel=3,
            )
        if self.located_sizes != (n_train,) and len(self.located_sizes) == 1:
            warnings.warn(
                f"{self.clock}: located at one size only (P = {self.largest_located:,}); how it grows with P is what "
                "was assumed, and nothing measured here speaks for it. Add a pilot of another size.",
                TaumemWarning,
                stacklevel=3,
            )

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
            "prior": None if self.prior is None else asdict(self.prior),
            "prefactor": self.prefactor.to_json(),
            "floor": None if self.floor is None else self.floor.to_json(),
            "sigma": self.sigma.to_json(),
            "twin_correlation": None if self.twin_correlation is None else self.twin_correlation.to_json(),
            "n_onsets": self.n_onsets,
            "n_censored": self.n_censored,
            "sizes": list(self.sizes),
            "batch_size": self.batch_size,
            "linearity": self.linearity,
            "plausibility": self.plausibility,
            "collapse": None if self.collapse is None else finite_or_none(self.collapse),
            "bend": None if self.bend is None else self.bend.to_json(),
            "sources": list(self.sources),
        }


def fit_law(
    onsets: Iterable[Onset],
    *,
    exponent: Exponent = 1.0,
    floor: bool = False,
    prior: Prior | None = None,
    confidence: float = 0.9,
) -> Law:
    """Fit tau = tau_0 + c P^a to the onsets of one clock, bounds included.

    The intervals are those of a posterior under the right-Haar prior (see :mod:`taumem.analysis.posterior`):
    the exact t intervals of regression when nothing is censored, no runs are twins, and at least about 2 degrees of
    freedom remain. The two models of a pair of twins are taken to be alike, by how much is learned from the pairs.

    Args:
        onsets: of one clock, at one batch size, or all with batches of the whole training set (batch size P); any
            order. Those of the halves ``a`` and ``b`` of one seed and size are a pair.
        exponent: a number to fix it; None to leave it free; a pair (mean, standard deviation) if it is known
            to within an uncertainty.
        floor: also fit tau_0, the onset that small sizes cannot undercut.
        prior: what is known of exponent, floor and scatter beforehand, in the place of ``exponent`` and ``floor``;
            :func:`taumem.analysis.usual_prior` has what forecasts assume.
        confidence: probability of the intervals, in (0, 1).

    Raises:
        ConfigError: the prior is none; clocks, data sets, weights or batch sizes differ; a run of a pair is given
            twice; or too few onsets were located: 2 are needed, at different sizes where the exponent is free (and one
            size more with a floor, but where the exponent is known to within an uncertainty).

    >>> runs = [RunKey(n_train=p, batch_size=16) for p in (32, 64, 128)]
    >>> pilots = [Onset(8 * r.n_train, 7 * r.n_train, 9 * r.n_train, "no", "tau_val", r) for r in runs]
    >>> forecast = fit_law(pilots).predict(256)
    >>> f"{forecast.value:.3g} steps, {forecast.examples.value:.3g} examples"
    '2.05e+03 steps, 3.28e+04 examples'
    """
    check_confidence(confidence)
    if prior is not None and not isinstance(prior, Prior):
        raise ConfigError(f"a prior is a taumem.analysis.Prior, such as usual_prior() gives; got {prior!r}.")
    value, sd, kind = read_exponent(exponent if prior is None else prior.exponent)
    floor = floor or prior is not None
    # With the exponent known to within an uncertainty the posterior is proper at one size, floor or not.
    sizes_needed = {"fixed": 1 + floor, "prior": 1, "free": 2 + floor}[kind]
    onsets = checked(onsets, sizes_needed, free=kind == "free")
    located = [o for o in onsets if o.usable]
    located_sizes = tuple(sorted({o.n_train for o in located}))
    data = bounds_of(onsets)
    share = prior.floor if prior is not None else (1.0, 1.0) if floor else None
    log_sigma = prior.log_sigma(error_of(onsets)) if prior is not None else None
    posterior = integrate(data, exponent=value, exponent_sd=sd, floor=share, log_sigma=log_sigma)
    free = posterior if kind == "free" else None
    if kind != "free" and len(located_sizes) >= 2 + floor:
        free = integrate(data, exponent=1.0, exponent_sd=math.inf, floor=share, log_sigma=log_sigma)
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
        prior=prior,
        prefactor=interval(posterior.log_prefactor, log=True),
        floor=interval(posterior.floor) if floor else None,
        sigma=interval(posterior.sigma),
        twin_correlation=interval(posterior.rho) if len(data.twins) else None,
        confidence=confidence,
        n_onsets=len(onsets),
        n_censored=len(onsets) - len(located),
        sizes=tuple(sorted({o.n_train for o in onsets})),
        located_sizes=located_sizes,
        batch_size=batch_sizes.pop() if len(batch_sizes) == 1 else None,
        linearity=None if free is None else _tails(free, 1.0, 0.0),
        plausibility=None if free is None or kind == "free" else _tails(free, value, sd),
        collapse=_collapse(bounds_of(located), posterior),
        bend=bend_of(onsets),
        sources=tuple(sorted({o.source for o in onsets if o.source})),
        posterior=posterior,
    )


def whole_size(n_train: Any) -> int:
    """The number of training examples of a forecast as an integer.

    Raises:
        ConfigError: it is no whole number of at least 1.
    """
    if not isinstance(n_train, int | float | np.integer) or not 1 <= n_train < math.inf or n_train != int(n_train):
        raise ConfigError(
            f"a forecast needs a training-set size, a whole number of at least 1; got n_train = {n_train!r}."
        )
    return int(n_train)


def _tails(free: Posterior, mean: float, sd: float) -> float:
    """Two-sided probability of an exponent as far from Normal(mean, sd) as one that is left free."""
    below = float(free.weight @ (ndtr((mean - free.exponent) / sd) if sd else free.exponent < mean))
    return min(1.0, max(2 * min(below, 1 - below), 1 / N_DRAWS))


def _collapse(located: Bounds, posterior: Posterior) -> float | None:
    """Spread of log(tau / law) over the spread of log tau; both as standard deviations."""
    y = located.middle
    if len(y) < 2 or y.std() < 1e-12:
        return None
    law = [posterior.quantiles(posterior.log_law(float(x)), (0.5,))[0] for x in located.log_size]
    return float((y - np.array(law)).std() / y.std())
