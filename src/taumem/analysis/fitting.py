"""Fitting a law to the onsets of one clock."""

import math
from collections.abc import Iterable

import numpy as np
from scipy.special import ndtr

from taumem.analysis.design import AutoExponent, Covariates, confounded, design_of, named
from taumem.analysis.evidence import bend_of, bounds_of, checked, error_of
from taumem.analysis.integration import N_DRAWS, integrate
from taumem.analysis.interval import Interval, check_confidence
from taumem.analysis.law import Covariate, Law
from taumem.analysis.likelihood import Bounds
from taumem.analysis.onset import NOISE, Onset
from taumem.analysis.posterior import Floats, Posterior
from taumem.analysis.prior import Exponent, Prior, read_exponent
from taumem.errors import ConfigError

__all__ = ["fit_law"]


def fit_law(
    onsets: Iterable[Onset],
    *,
    exponent: Exponent = 1.0,
    batch_exponent: AutoExponent = "auto",
    covariates: Covariates = (),
    floor: bool = False,
    prior: Prior | None = None,
    confidence: float = 0.9,
) -> Law:
    """Fit tau = tau_0 + c P^a B^-k to the onsets of one clock, bounds included.

    The intervals are those of a posterior under the right-Haar prior (see :mod:`taumem.analysis.posterior`):
    the exact t intervals of regression when nothing is censored, no runs are twins, and at least about 2 degrees of
    freedom remain. The two models of a pair of twins are taken to be alike, by how much is learned from the pairs.

    Args:
        onsets: of one clock; any order. Those of the halves ``a`` and ``b`` of one seed and size are a pair.
        exponent: a number to fix it; None to leave it free; a pair (mean, standard deviation) if it is known
            to within an uncertainty. Where every batch is the whole training set, it is a - k.
        batch_exponent: k, in the same words. By default it is left free where onsets are in steps and their batch sizes
            differ (apart from P), and is not in the law elsewhere.
        covariates: settings of the runs that tau also depends on, by their keys in ``Onset.settings``, such as
            ``["training.learning_rate"]``; a mapping says what is known of their coefficients, in the same words.
            Where all values are above 0, tau goes as a power of it, else (as with a dropout of 0) as exp(b z).
        floor: also fit tau_0, the onset that small sizes cannot undercut.
        prior: what is known of exponent, floor, scatter and batch exponent beforehand, in the place of ``exponent`` and
            ``floor``, and of ``batch_exponent`` if it says something of it, so that the law of one batch size can be
            carried to another; :func:`taumem.analysis.usual_prior` has what forecasts assume.
        confidence: probability of the intervals, in (0, 1).

    Raises:
        ConfigError: the prior is none; clocks, units, data sets or weights differ; a run of a pair is given twice; a
            batch size was not recorded; a covariate is missing; what is free does not vary, or only together; or too
            few onsets were located: 2 are needed, at different sizes where the exponent is free (and one size more with
            a floor, but where the exponent is known to within an uncertainty).

    >>> from taumem.record import RunKey
    >>> runs = [RunKey(n_train=p, batch_size=16) for p in (32, 64, 128)]
    >>> pilots = [Onset(8 * r.n_train, 7 * r.n_train, 9 * r.n_train, "no", "tau_val", r) for r in runs]
    >>> forecast = fit_law(pilots).predict(256)
    >>> f"{forecast.value:.3g} steps, {forecast.examples.value:.3g} examples"
    '2.05e+03 steps, 3.28e+04 examples'
    """
    check_confidence(confidence)
    if prior is not None and not isinstance(prior, Prior):
        raise ConfigError(f"a prior is a taumem.analysis.Prior, such as usual_prior() gives; got {prior!r}.")
    exponent = exponent if prior is None else prior.exponent
    value, sd, kind = read_exponent(exponent)
    floor = floor or prior is not None
    # With the exponent known to within an uncertainty the posterior is proper at one size, floor or not.
    sizes_needed = {"fixed": 1 + floor, "prior": 1, "free": 2 + floor}[kind]
    onsets = checked(onsets, sizes_needed, free=kind == "free")
    is_in_steps = onsets[0].unit == "steps"
    if is_in_steps and prior is not None and prior.batch is not None and all(onset.batch_size for onset in onsets):
        batch_exponent = prior.batch
    if not is_in_steps and prior is not None and prior.noise is not None and all(NOISE in o.settings for o in onsets):
        covariates = {NOISE: prior.noise} | named(covariates)
    design = design_of(onsets, exponent, batch_exponent, covariates)
    located = [o for o in onsets if o.usable]
    located_sizes = tuple(sorted({o.n_train for o in located}))
    data = bounds_of(onsets, design)
    share = prior.floor if prior is not None else (1.0, 1.0) if floor else None
    log_sigma = prior.log_sigma(error_of(onsets)) if prior is not None else None
    posterior = integrate(data, design.coefficients, floor=share, log_sigma=log_sigma)
    free, freed = posterior if kind == "free" else None, design.with_free_exponent()
    if kind != "free" and len(located_sizes) >= 2 + floor and not confounded(freed, located):
        free = integrate(data, freed.coefficients, floor=share, log_sigma=log_sigma)
    tails = (0.5, (1 - confidence) / 2, (1 + confidence) / 2)

    def interval(draws: Floats, *, log: bool = False) -> Interval:
        ends = posterior.quantiles(draws, tails)
        median, low, high = (math.exp(min(end, 700.0)) if log else end for end in ends)
        return Interval(median, low, high, confidence)

    coefficients = dict(zip(design.names, posterior.coefficients.T, strict=True))
    k = design.batch_exponent
    return Law(
        clock=onsets[0].clock,
        unit=onsets[0].unit,
        exponent=interval(posterior.exponent),
        exponent_kind=kind,
        batch_exponent=interval(coefficients[k.name]) if k else None,
        batch_exponent_kind=k.kind if k else None,
        covariates=tuple(
            Covariate(each.name, interval(coefficients[each.name]), each.kind, each.is_power, each.reference)
            for each in design.covariates
        ),
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
        batch_sizes=design.batch_sizes,
        batch_size=design.batch_sizes[0] if len(design.batch_sizes) == 1 else None,
        linearity=None if free is None else _tails(free, 1.0, 0.0),
        plausibility=None if free is None or kind == "free" else _tails(free, value, sd),
        collapse=_collapse(bounds_of(located, design), posterior),
        bend=bend_of(onsets, design),
        sources=tuple(sorted({o.source for o in onsets if o.source})),
        design=design,
        posterior=posterior,
    )


def _tails(free: Posterior, mean: float, sd: float) -> float:
    """Two-sided probability of an exponent as far from Normal(mean, sd) as one that is left free."""
    below = float(free.weight @ (ndtr((mean - free.exponent) / sd) if sd else free.exponent < mean))
    return min(1.0, max(2 * min(below, 1 - below), 1 / N_DRAWS))


def _collapse(located: Bounds, posterior: Posterior) -> float | None:
    """Spread of log(tau / law) over the spread of log tau; both as standard deviations."""
    y = located.middle
    if len(y) < 2 or y.std() < 1e-12:
        return None
    law = [posterior.quantiles(posterior.log_law(row), (0.5,))[0] for row in located.design]
    return float((y - np.array(law)).std() / y.std())
