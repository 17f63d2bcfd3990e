"""What forecasts assume beforehand: what the fit makes of it, by brute force, and what is no prior."""

import math
from dataclasses import replace

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


@pytest.mark.slow
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


def test_without_a_scatter_and_with_any_floor_a_prior_is_an_exponent_known_to_within_an_uncertainty():
    known = fit_law(onsets(STEPS), prior=Prior((1.2, 0.2)))
    former = fit_law(onsets(STEPS), exponent=(1.2, 0.2), floor=True)
    assert known.to_json() | {"prior": None} == former.to_json()
    assert known.predict(128) == former.predict(128)


def test_onsets_without_intervals_say_nothing_of_the_scatter_and_leave_it_to_the_pilots():
    prior, bare = usual_prior(), onsets(STEPS, 0.0)
    law, flat = fit_law(bare, prior=prior), fit_law(bare, prior=replace(prior, scatter=None))
    assert law.predict(128) == flat.predict(128)
    assert law.predict(128) != fit_law(onsets(STEPS), prior=prior).predict(128)


def test_wide_intervals_widen_a_forecast_from_the_same_onsets():
    widths = []
    for error in (0.05, 0.1, 0.2, 0.4):
        found = fit_law(onsets(STEPS, error), prior=usual_prior()).predict(128)
        widths.append(math.log(found.high / found.low))
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[0]


@pytest.mark.filterwarnings("ignore::taumem.errors.TaumemWarning")
@pytest.mark.parametrize("steps", [STEPS, {32: 250.0, 64: 480.0}])
def test_a_farther_forecast_is_a_wider_one(steps):
    law = fit_law(onsets(steps), prior=usual_prior())
    found = [law.predict(reach * max(steps)) for reach in (1, 2, 4, 8, 16)]
    widths = [math.log(each.high / each.low) for each in found]
    assert widths == sorted(set(widths))


@pytest.mark.parametrize("kind", ["", "images", "texts", "strings"])
def test_many_precise_pilots_overrule_what_was_assumed(kind):
    rng, prior = np.random.default_rng(0), usual_prior(kind=kind)
    assert prior.exponent[0] > 1.3
    within = math.exp(1.645 * 0.03)
    pilots = []
    for n_train in (16, 32, 64, 128, 256, 512):
        for seed in range(5):
            step = 8 * n_train * math.exp(0.03 * rng.standard_normal())
            pilots.append(Onset(step, step / within, step * within, "no", "tau_val", RunKey(n_train, 8, seed=seed)))
    law = fit_law(pilots, prior=prior)
    assert law.exponent.value == pytest.approx(1.0, abs=0.03)  # no floor is below 0, so it comes a little later than 1
    assert law.predict(2048).value == pytest.approx(8 * 2048, rel=0.04)
    assert 8 * 2048 in law.predict(2048)
    assert law.floor.high < 0.2 * 8 * 16


def test_pilots_with_batches_of_the_whole_set_are_forecast_by_what_such_studies_taught():
    def law(batch_size, clock="tau_val", kind="images"):
        made = [replace(o, run=RunKey(o.n_train, batch_size or o.n_train), clock=clock) for o in onsets(STEPS)]
        return ClockLaw(clock, tuple(made), tuple(made), kind=kind).forecasting()

    assert law(None).prior == usual_prior(kind="images", full_batches=True)
    assert law(8).prior == usual_prior(kind="images")
    assert law(8, "tau_copy[0.05]", "texts").prior == usual_prior("tau_copy[0.05]", kind="texts")
    assert law(None).predict(128).value < law(8).predict(128).value  # onsets grow more slowly there
