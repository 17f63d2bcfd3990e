"""What forecasts assume beforehand: what the fit makes of it, by brute force, and what is no prior."""

import math

import numpy as np
import pytest
from scipy import special, stats

from taumem.analysis import ClockLaw, Onset, Prior, fit_law, usual_prior
from taumem.errors import ConfigError
from taumem.record import RunKey

ERROR = 0.1
STEPS = {16: 210.0, 32: 330.0, 64: 700.0}


def onsets(steps: dict[int, float], error: float = ERROR) -> list[Onset]:
    within = math.exp(float(special.ndtri(0.95)) * error)
    return [Onset(s, s / within, s * within, "no", "tau_val", RunKey(p, 16)) for p, s in steps.items()]


def test_a_law_under_a_prior_agrees_with_brute_force():
    prior = Prior(exponent=(1.3, 0.25), floor=(2.0, 1.3), scatter=(-0.3, 0.6))
    law = fit_law(onsets(STEPS), prior=prior)
    a = np.linspace(0, 3, 121)[:, None, None]
    share = ((np.arange(80) + 0.5) / 80)[None, :, None]
    log_sigma = np.linspace(math.log(0.01), math.log(2), 90)[None, None, :]
    log_size, y = np.log(np.array(list(STEPS)) / 16), np.log(list(STEPS.values()))
    residual = np.stack([y[k] - np.log(share + (1 - share) * np.exp(a * x)) for k, x in enumerate(log_size)])
    # flat in the log of the prefactor, over which the likelihood of three runs has this integral
    log_mass = -0.5 * ((residual - residual.mean(0)) ** 2).sum(0) / np.exp(2 * log_sigma) - 2 * log_sigma
    log_mass = log_mass + stats.norm.logpdf(a, *prior.exponent) + stats.beta.logpdf(share, *prior.floor)
    log_mass += stats.norm.logpdf(log_sigma, prior.scatter[0] + math.log(ERROR), prior.scatter[1])
    weight = np.exp(log_mass - log_mass.max())
    weight /= weight.sum()
    sigma = np.exp(log_sigma)
    for values, found in ((a, law.exponent), (sigma, law.sigma)):
        draws = np.broadcast_to(values, weight.shape).ravel()
        order = np.argsort(draws, kind="stable")
        low, high = np.interp([0.05, 0.95], np.cumsum(weight.ravel()[order]), draws[order])
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    center = residual.mean(0) + np.log(share + (1 - share) * 8**a)
    at = np.linspace(6, 9, 100)
    below = [(weight * special.ndtr((log_step - center) / (sigma * math.sqrt(1 + 1 / 3)))).sum() for log_step in at]
    low, middle, high = np.exp(np.interp([0.05, 0.5, 0.95], below, at))
    found = law.predict(128)
    assert (found.low, found.value, found.high) == pytest.approx((low, middle, high), rel=0.02)


def test_kinds_and_clocks_have_priors_of_their_own_and_what_is_unknown_the_widest():
    unknown = usual_prior()
    assert usual_prior(kind="images") != usual_prior(kind="strings") != usual_prior("tau_copy[0.05]", kind="strings")
    assert usual_prior(kind="vectors") == unknown
    assert usual_prior(full_batches=True).exponent[0] < 1 < unknown.exponent[0]
    assert all(usual_prior(kind=kind).exponent[1] <= unknown.exponent[1] for kind in ("images", "texts", "strings"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"exponent": (1.2, 0.0)}, "exponent"),
        ({"exponent": (math.nan, 0.2)}, "exponent"),
        ({"exponent": 1.2}, "exponent"),
        ({"floor": (0.0, 1.0)}, "floor"),
        ({"floor": (1.0, -2.0)}, "floor"),
        ({"scatter": (0.0, 0.0)}, "scatter"),
        ({"scatter": (math.nan, 1.0)}, "scatter"),
        ({"scatter": (0.0, 1.0, 2.0)}, "scatter"),
    ],
)
def test_what_is_no_prior_is_refused(wrong, told):
    with pytest.raises(ConfigError, match=f"a prior's {told} is a pair"):
        Prior(**{"exponent": (1.2, 0.2), **wrong})


def test_a_law_takes_nothing_else_for_a_prior():
    with pytest.raises(ConfigError, match=r"such as usual_prior\(\) gives; got \(1.2, 0.2\)"):
        fit_law(onsets(STEPS), prior=(1.2, 0.2))


def test_intervals_finer_than_any_onset_has_say_no_more_of_the_scatter_than_fine_ones():
    forecasts = [fit_law(onsets(STEPS, error), prior=usual_prior(kind="images")).predict(128) for error in (0.02, 1e-9)]
    assert forecasts[0].value == pytest.approx(forecasts[1].value)


def test_a_batch_as_large_as_the_only_size_is_no_batch_of_the_whole_set():
    pair = tuple(
        Onset(s, s / 1.1, s * 1.1, "no", "tau_val", RunKey(16, 16, seed=k)) for k, s in enumerate((90.0, 99.0))
    )
    assert ClockLaw("tau_val", pair, pair).forecasting().prior == usual_prior()
