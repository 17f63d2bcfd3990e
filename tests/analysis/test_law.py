import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regression import t_intervals
from scipy import stats

from taumem.analysis import ClockLaw, Onset, fit_law
from taumem.analysis.evidence import bend_of
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import RunKey


def onset(n_train, step, censored="no", low=None, high=None, **more):
    low = step if low is None else low
    high = step if high is None else high
    run = RunKey(n_train, **{"batch_size": 16, **more})
    return Onset(float(step), low, high, censored, "tau_val", run)


def right(n_train, step):
    return onset(n_train, step, "right", high=math.inf)


def between(n_train, low, high):
    return onset(n_train, math.sqrt(low * high), "interval", low, high)


def planted(sizes, seeds, *, exponent=1.0, sigma=0.15, seed=0):
    rng = np.random.default_rng(seed)
    return [onset(p, 8 * p**exponent * math.exp(sigma * rng.standard_normal())) for p in sizes for _ in range(seeds)]


def t_interval(onsets, n_train, confidence, free):
    """Ordinary regression of log tau on log P: the intervals of the prefactor, the exponent and a new run."""
    x, y = np.log([o.n_train for o in onsets]), np.log([o.step for o in onsets])
    at = math.log(n_train)
    if free:
        return t_intervals(y, [x], np.array([1, at]), confidence)
    pairs, new, p_value = t_intervals(y - x, [], np.array([1]), confidence)
    return pairs, (new[0] + at, new[1] + at), p_value


@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
def test_without_censoring_the_intervals_are_the_exact_t_intervals(seeds, confidence):
    onsets = planted((32, 64, 128), seeds)
    for exponent in (None, 1.0):
        law = fit_law(onsets, exponent=exponent, confidence=confidence)
        pairs, forecast, p_value = t_interval(onsets, 512, confidence, exponent is None)
        found = law.predict(512)
        for name, (low, high), mine in [
            ("prefactor", pairs[0], (math.log(law.prefactor.low), math.log(law.prefactor.high))),
            ("forecast", forecast, (math.log(found.low), math.log(found.high))),
        ] + ([("exponent", pairs[1], (law.exponent.low, law.exponent.high))] if exponent is None else []):
            assert mine == pytest.approx((low, high), abs=0.02 * (high - low)), name
        if exponent is None:
            assert law.linearity == pytest.approx(p_value, abs=0.01)


def test_a_fixed_exponent_has_no_interval_and_a_prior_lies_between_fixed_and_free():
    onsets = planted((32, 64, 128), 2)
    fixed, prior, free = (fit_law(onsets, exponent=e) for e in (1.0, (1.0, 0.1), None))
    assert (fixed.exponent.low, fixed.exponent.high, fixed.exponent_kind) == (1.0, 1.0, "fixed")
    widths = [math.log(law.predict(512).high / law.predict(512).low) for law in (fixed, prior, free)]
    assert widths == sorted(widths)


def test_a_tight_prior_is_a_fixed_exponent_and_a_loose_one_is_a_free_exponent():
    onsets = planted((32, 64, 128), 3)
    for prior, plain in (((1.0, 1e-4), 1.0), ((1.0, 50.0), None)):
        a, b = fit_law(onsets, exponent=prior).predict(512), fit_law(onsets, exponent=plain).predict(512)
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), rel=0.01)


@pytest.mark.slow
def test_the_integral_agrees_with_brute_force_under_heavy_censoring():
    onsets = [
        onset(32, 240),
        onset(32, 300),
        between(64, 450, 640),
        onset(64, 480),
        right(128, 900),
        right(128, 1100),
    ]
    onsets.append(onset(16, 150, "left", 0.0, 150))
    law = fit_law(onsets, exponent=None)
    a = np.linspace(-2, 6, 201)[:, None, None]
    b = np.linspace(5, 9, 201)[None, :, None]  # log tau at P = 64
    # the prior's lower end: what the one interval leaves open, root mean square over the 4 located onsets
    sigma = np.geomspace(math.log(640 / 450) / math.sqrt(12 * 4), 2, 61)[None, None, :]
    total = np.zeros((201, 201, 61))
    for o in onsets:
        mu = b + a * math.log(o.n_train / 64)
        low, high = o.log_bounds
        if low == high:
            total += stats.norm.logpdf(low, mu, sigma)
        else:
            mass = stats.norm.cdf(high, mu, sigma) - stats.norm.cdf(low, mu, sigma)
            total += np.log(np.maximum(mass, 1e-300))
    weight = np.exp(total - total.max())
    marginal = np.cumsum(weight.sum((1, 2)))
    low, high = np.interp([0.05, 0.95], marginal / marginal[-1], a.ravel())
    assert (law.exponent.low, law.exponent.high) == pytest.approx((low, high), abs=0.03 * (high - low))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(k=st.floats(0.1, 50), exponent=st.sampled_from([1.0, None, (1.0, 0.1)]))
def test_scaling_all_steps_scales_the_forecast(k, exponent):
    onsets = [*planted((32, 64), 2), between(128, 900, 1200), right(128, 1000)]
    scaled = [replace(o, step=o.step * k, low=o.low * k, high=o.high * k) for o in onsets]
    a, b = fit_law(onsets, exponent=exponent), fit_law(scaled, exponent=exponent)
    assert b.predict(256).low == pytest.approx(k * a.predict(256).low, rel=1e-4)
    assert b.predict(256).high == pytest.approx(k * a.predict(256).high, rel=1e-4)
    assert b.exponent.value == pytest.approx(a.exponent.value, rel=1e-4)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(8)))
def test_the_order_of_the_onsets_changes_nothing(order):
    onsets = [*planted((32, 64, 128), 2), right(128, 1000), between(64, 400, 600)]
    a, b = fit_law(onsets, exponent=None), fit_law([onsets[i] for i in order], exponent=None)
    assert b.predict(256).high == pytest.approx(a.predict(256).high, rel=1e-5)
    assert (b.sources, b.sizes, b.n_censored) == (a.sources, a.sizes, a.n_censored)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(hidden=st.integers(0, 2), below=st.floats(1.3, 3), exponent=st.sampled_from([1.0, None, (1.0, 0.1)]))
def test_more_censoring_never_narrows(hidden, below, exponent):
    # Two onsets at each size, equally far above and below the law: no outlier that censoring could hide.
    sizes = (16, 32, 64, 128)

    def width(n_hidden):
        onsets = []
        for place, p in enumerate(sizes):
            for factor in (1.15, 1 / 1.15):
                seen = place < len(sizes) - n_hidden
                onsets.append(onset(p, 8 * p * factor) if seen else right(p, 8 * p / below))
        law = fit_law(onsets, exponent=exponent)
        return math.log(law.predict(128).high / law.predict(128).low)

    assert width(min(hidden + 1, 2)) >= 0.999 * width(hidden)


def test_a_right_censored_size_keeps_the_forecast_from_falling_below_it():
    pilots = planted((32, 64), 2)
    without = fit_law(pilots, exponent=None).predict(128)
    with_bound = fit_law([*pilots, right(128, without.value)], exponent=None).predict(128)
    assert with_bound.low > without.low
    assert with_bound.value > without.value


def test_a_planted_exponent_is_recovered_and_linearity_refuses_it():
    onsets = planted((16, 32, 64, 128, 256), 3, exponent=1.4, sigma=0.1)
    law = fit_law(onsets, exponent=None, confidence=0.99)
    assert 1.4 in law.exponent
    assert law.linearity < 0.01
    assert law.collapse < 0.2
    balanced = [onset(p, 8 * p * factor) for p in (16, 32, 64, 128, 256) for factor in (1.1, 1 / 1.1)]
    assert fit_law(balanced).linearity > 0.95


def test_a_planted_floor_is_found_and_straightens_the_law():
    rng = np.random.default_rng(3)
    sizes = np.repeat([8, 16, 32, 64, 128, 256, 512], 4)
    onsets = [onset(int(p), (150 + 6 * p) * math.exp(0.08 * rng.standard_normal())) for p in sizes]
    law = fit_law(onsets, exponent=None, floor=True)
    assert 150 in law.floor
    assert 1.0 in law.exponent
    assert fit_law(onsets, exponent=None).exponent.high < 1.0
    assert 6 in fit_law(onsets, floor=True).prefactor


@pytest.mark.parametrize("exponent", [1.0, (1.0, 0.1), None])
def test_two_onsets_alone_give_a_finite_forecast(exponent):
    forecast = fit_law([onset(32, 250), onset(64, 480)], exponent=exponent).predict(128)
    assert 0 < forecast.low < forecast.value < forecast.high < math.inf


def test_onsets_without_scatter_leave_the_least_scatter_of_the_prior():
    law = fit_law([onset(p, 8 * p) for p in (16, 32, 64, 128)])
    assert law.predict(256).value == pytest.approx(2048, rel=1e-3)
    assert 0.01 <= law.sigma.low < law.sigma.high < 0.05


def test_the_forecast_counts_examples_at_the_runs_batch_size():
    forecast = fit_law(planted((32, 64, 128), 2)).predict(256)
    assert forecast.batch_size == 16
    assert forecast.examples.value == 16 * forecast.value


def test_a_far_forecast_warns_and_says_how_far():
    law = fit_law([*planted((32, 64), 2), right(512, 900)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        law.predict(256)
    with pytest.warns(TaumemWarning, match="8 times beyond the largest size.*past 4 times"):
        law.predict(512)


@pytest.mark.parametrize("exponent", [1.0, (1.0, 0.1)])
def test_a_law_from_one_size_warns_that_its_growth_was_assumed(exponent):
    law = fit_law([onset(32, 250), onset(32, 260), right(64, 300)], exponent=exponent)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        law.predict(32)
    with pytest.warns(TaumemWarning, match=r"one size only \(P = 32\)"):
        law.predict(64)


def test_the_same_onsets_always_give_the_same_law():
    onsets = planted((32, 64, 128), 2)
    assert fit_law(onsets).to_json() == fit_law(onsets).to_json()
    json.dumps(fit_law(onsets, floor=True).to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("onsets", "options", "message"),
    [
        ([], {}, "got none"),
        ([onset(32, 250)], {}, "1 located at 1 size"),
        (
            [onset(32, 250), right(64, 900), right(64, 900)],
            {},
            "2 not reached when the run ended.*train longer",
        ),
        ([onset(32, 250), onset(32, 260)], {"exponent": None}, "or more different sizes.*fix the exponent"),
        ([onset(32, 250), onset(64, 500)], {"exponent": None, "floor": True}, "3 or more different sizes"),
        ([onset(32, 250), replace(onset(64, 500), clock="tau_split")], {}, "more than one clock"),
        ([onset(32, 250), onset(64, 500, weights="ema")], {}, "more than one weights"),
        ([onset(32, 250), onset(64, 500, data="text8")], {}, "more than one data"),
        ([onset(32, 0), onset(64, 500)], {}, "no logarithm"),
        ([onset(32, 250), onset(64, 500)], {"confidence": 90}, "between 0 and 1"),
        ([onset(32, 250), onset(64, 500)], {"exponent": (1.0, 0.0)}, "standard deviation > 0"),
        ([onset(32, 250), onset(64, 500)], {"exponent": math.nan}, "finite number"),
        ([onset(32, 250), onset(64, 500)], {"exponent": "x"}, "an exponent is a finite number.*got 'x'"),
        ([onset(32, 250), onset(64, 500)], {"exponent": (1.0, "x")}, "an exponent is a finite number"),
        ([onset(32, 250), onset(64, 500)], {"exponent": (1.0, 0.1, 0.2)}, "an exponent is a finite number"),
        ([onset(32, 250), onset(64, 500)], {"confidence": "90 %"}, "between 0 and 1.*got '90 %'"),
        ([onset(32, 250), onset(32, 260)], {"floor": True}, "2 or more different sizes"),
        ([onset(32, 250), onset(64, 500)], {"covariates": "P"}, "'P' has an exponent of its own.*no covariate"),
        (["tau_val"], {}, "fitted to onsets.*got str"),
        (None, {}, "fitted to onsets.*got NoneType"),
        ([onset(32, 250, half="a", seed=0)] * 2, {}, "half a · seed 0 has more than one onset"),
    ],
)
def test_what_no_law_can_be_fitted_to_is_refused_with_a_reason(onsets, options, message):
    with pytest.raises(ConfigError, match=message):
        fit_law(onsets, **options)


def test_a_forecast_for_no_training_set_is_refused():
    law = fit_law(planted((32, 64), 1))
    with pytest.raises(ConfigError, match="at least 1"):
        law.predict(0)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        law.predict(64, confidence=1.0)


def test_batches_of_the_whole_training_set_are_a_law_of_their_own():
    onsets = [onset(32, 250, batch_size=32), onset(64, 500, batch_size=64), onset(128, 1000, batch_size=128)]
    law = fit_law(onsets, exponent=None)
    assert law.batch_size is None
    forecast = law.predict(256)
    assert forecast.examples.value == pytest.approx(256 * forecast.value)


def test_each_clock_gets_its_law_or_the_reason_why_it_has_none():
    pilots = planted((32, 64), 2)
    split, val = ClockLaw.of_each([replace(onset(32, 9), clock="tau_split"), *pilots], floor=False, confidence=0.9)
    assert (split.clock, split.free, split.drawn) == ("tau_split", None, None)
    assert "needs 2 located onsets" in split.reason
    assert val.free == fit_law(pilots, exponent=None)
    assert (val.linear, val.reason) == (fit_law(pilots), "")


def test_the_bend_is_the_quadratic_term_of_least_squares():
    onsets = planted((16, 32, 64, 128), 2, exponent=1.2, seed=3)
    x, y = np.log2([o.n_train for o in onsets]), np.log2([o.step for o in onsets])
    coefficients, covariance = np.polyfit(x, y, 2, cov=True)
    reach = stats.t.ppf(0.975, len(x) - 3) * math.sqrt(covariance[0, 0])
    bend = fit_law(onsets, exponent=None).bend
    assert (bend.value, bend.low, bend.high) == pytest.approx(
        tuple(2 * (coefficients[0] + shift) for shift in (0, -reach, reach))
    )


def how_many_are_bent(studies):
    """By the bend alone, without the posterior, which takes most of a fit; the first fits show that it is theirs."""
    bends = [(onsets, bend_of(onsets)) for onsets in studies]
    for onsets, bend in bends[:20]:
        law = fit_law(onsets)
        assert law.bend == bend
        assert law.is_bent == (0 not in bend)
    return sum(0 not in bend for _, bend in bends)


def test_a_planted_bend_is_found_and_a_straight_law_is_refused_one_time_in_twenty():
    curved = [onset(p, 8 * p ** (0.7 + 0.1 * math.log2(p / 16))) for p in (16, 32, 64, 128, 256) for _ in range(2)]
    law = fit_law(curved)
    assert law.bend.value == pytest.approx(0.2)
    assert law.is_bent
    bent = how_many_are_bent(planted((16, 32, 64, 128), 2, seed=seed) for seed in range(300))
    assert stats.binomtest(bent, 300, 0.05).pvalue > 1e-3


def twins(seed, sizes, *, pairs=1, correlation=0.98, sigma=0.15):
    """Pairs of runs on disjoint halves, whose log tau is correlated around 8 P."""
    rng = np.random.default_rng(seed)
    onsets = []
    for p in sizes:
        for pair in range(pairs):
            shared = math.sqrt(correlation) * rng.standard_normal()
            for half in "ab":
                apart = math.sqrt(1 - correlation) * rng.standard_normal()
                onsets.append(onset(p, 8 * p * math.exp(sigma * (shared + apart)), seed=pair, half=half))
    return onsets


def alone(onsets):
    """The same onsets, of runs that are no pairs."""
    return [replace(o, run=RunKey(o.n_train, o.batch_size)) for o in onsets]


def width(interval):
    return interval.high - interval.low


@pytest.mark.slow
def test_twins_count_as_one_run_so_that_their_likeness_is_not_taken_for_precision():
    bent = how_many_are_bent(twins(seed, (16, 32, 64, 128, 256)) for seed in range(300))
    assert stats.binomtest(bent, 300, 0.05).pvalue > 1e-3
    assert fit_law(twins(0, (16, 32, 64))).bend is None  # three points lie on a parabola, whatever they are


def test_without_a_third_size_a_spare_run_or_all_onsets_located_nothing_is_said_of_a_bend():
    assert fit_law(planted((32, 64), 4)).bend is None
    assert fit_law(planted((32, 64, 128), 1)).bend is None
    assert fit_law([*planted((32, 64, 128), 2), right(256, 900)]).bend is None
    assert fit_law([*planted((32, 64, 128), 2), between(256, 1800, 2400)]).bend is None
    assert not fit_law(planted((32, 64), 4)).is_bent


def test_a_floor_bends_the_law_up_so_that_only_a_bend_down_speaks_against_it():
    def curved(bend):
        return [onset(p, 8 * p ** (0.7 + bend * math.log2(p / 16))) for p in (16, 32, 64, 128, 256) for _ in range(2)]

    up, down = curved(0.1), curved(-0.05)
    assert fit_law(up).is_bent
    assert not fit_law(up, floor=True).is_bent
    assert fit_law(down).is_bent
    assert fit_law(down, floor=True).is_bent


def test_alike_twins_are_found_alike_and_widen_the_law_and_others_are_not():
    sizes = (16, 32, 64, 128, 256)
    alike, apart = (fit_law(twins(3, sizes, pairs=4, correlation=rho), exponent=None) for rho in (0.95, 0.0))
    assert alike.twin_correlation.low > 0.7
    assert apart.twin_correlation.high < 0.6
    assert fit_law(alone(twins(3, sizes)), exponent=None).twin_correlation is None
    for correlation, least in ((0.95, 1.25), (0.0, 0.95)):
        pairs = twins(3, sizes, pairs=4, correlation=correlation)
        paired, single = fit_law(pairs, exponent=None), fit_law(alone(pairs), exponent=None)
        assert least < width(paired.exponent) / width(single.exponent) < 1.6
    json.dumps(alike.to_json(), allow_nan=False)


def test_a_pair_without_a_difference_is_one_run():
    once = planted((16, 32, 64, 128, 256), 2, seed=5)
    pairs = [replace(o, run=replace(o.run, seed=k, half=half)) for k, o in enumerate(once) for half in "ab"]
    both, single = fit_law(pairs, exponent=None), fit_law(once, exponent=None)
    assert width(both.exponent) == pytest.approx(width(single.exponent), rel=0.15)
    assert math.log(both.predict(512).high / both.predict(512).low) == pytest.approx(
        math.log(single.predict(512).high / single.predict(512).low), rel=0.15
    )


def test_what_was_read_off_a_pair_is_one_onset_and_no_twin():
    pairs = [replace(o, run=replace(o.run, seed=0, half="ab")) for o in planted((32, 64, 128), 1)]
    law = fit_law(pairs, exponent=None)
    assert law.twin_correlation is None
    assert law.exponent == fit_law(alone(pairs), exponent=None).exponent


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(12)))
def test_the_order_of_twins_changes_nothing(order):
    onsets = twins(1, (32, 64, 128), pairs=2, correlation=0.8)
    onsets[-1] = replace(right(128, 900), run=onsets[-1].run)
    onsets[0] = replace(between(32, 200, 300), run=onsets[0].run)
    a, b = fit_law(onsets, exponent=None), fit_law([onsets[i] for i in order], exponent=None)
    assert b.predict(256).high == pytest.approx(a.predict(256).high, rel=1e-3)
    assert b.exponent.low == pytest.approx(a.exponent.low, abs=1e-3)


def test_the_integral_over_twins_agrees_with_brute_force():
    pairs = twins(2, (32, 64), pairs=3, correlation=0.6)
    law = fit_law(pairs, confidence=0.8)
    logs = np.log([o.step / o.n_train for o in pairs]).reshape(-1, 2)
    c = np.linspace(1.5, 2.7, 121)[:, None, None]
    sigma = np.geomspace(0.01, 2, 121)[None, :, None]
    rho = 1 - np.linspace(0.002, 0.998, 125)[None, None, :] ** 2
    total = np.zeros(np.broadcast_shapes(c.shape, sigma.shape, rho.shape))
    for one, other in logs:
        mean, half = (one + other) / 2, (one - other) / 2
        total += stats.norm.logpdf(mean, c, sigma * np.sqrt((1 + rho) / 2))
        total += stats.norm.logpdf(half, 0, sigma * np.sqrt((1 - rho) / 2))
    weight = np.exp(total - total.max())
    for axis, values, found in (
        ((1, 2), c, [math.log(end) for end in (law.prefactor.low, law.prefactor.high)]),
        ((0, 2), sigma, [law.sigma.low, law.sigma.high]),
    ):
        density = weight.sum(axis)
        low, high = np.interp([0.1, 0.9], (np.cumsum(density) - density / 2) / density.sum(), values.ravel())
        assert found == pytest.approx((low, high), abs=0.06 * (high - low))


def test_the_integral_over_a_floor_agrees_with_brute_force():
    onsets = [onset(16, 150), onset(16, 170), onset(32, 200), onset(64, 330), onset(128, 520), right(256, 700)]
    law = fit_law(onsets, exponent=1.2, floor=True, confidence=0.8)
    smallest = np.linspace(4.4, 5.7, 121)[:, None, None]  # log tau at P = 16
    share = np.linspace(0.004, 0.996, 125)[None, :, None]
    sigma = np.geomspace(0.01, 2, 91)[None, None, :]
    total = np.zeros((121, 125, 91))
    for o in onsets:
        mu = smallest + np.log(share + (1 - share) * (o.n_train / 16) ** 1.2)
        low, high = o.log_bounds
        total += stats.norm.logpdf(low, mu, sigma) if low == high else stats.norm.logsf(low, mu, sigma)
    weight = np.exp(total - total.max())
    floor = (share * np.exp(smallest) + 0 * sigma).ravel()
    order = np.argsort(floor)
    below = np.cumsum(weight.ravel()[order])
    low, high = np.interp([0.1, 0.9], below / below[-1], floor[order])
    assert (law.floor.low, law.floor.high) == pytest.approx((low, high), abs=0.06 * (high - low))


@pytest.mark.parametrize(
    "steps",
    [(277, 465, 517), (300, 290, 280), (100, 100, 100), (250, 500, 1000), (250, 260, 2000), (1e6, 2.2e6, 5e6)],
)
@pytest.mark.parametrize("exponent", [1.0, None, (1.2, 0.2)])
def test_a_floor_is_integrated_whatever_the_onsets_look_like(steps, exponent):
    law = fit_law([onset(p, s) for p, s in zip((32, 64, 128), steps, strict=True)], exponent=exponent, floor=True)
    assert law.posterior.effective_share > 0.01
    assert 0 < law.predict(256).low < law.predict(256).value < law.predict(256).high < math.inf
    assert 0 <= law.floor.low < law.floor.high < 3 * min(steps)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("steps", [(1000, 500, 250), (1e4, 1e2, 1), (750, 150, 2e-3), (1, 1e2, 1e4)])
def test_onsets_that_no_exponent_beside_a_floor_fits_leave_one_within_its_ends(steps):
    onsets = [onset(p, s) for p, s in zip((32, 64, 128), steps, strict=True)]
    law = fit_law(onsets, exponent=None, floor=True)
    assert law.posterior.effective_share > 0.04
    assert 0 <= law.exponent.low < law.exponent.high <= 3
    assert 0 < fit_law(onsets, exponent=(1.2, 0.2), floor=True).plausibility < 1


@pytest.mark.parametrize("sizes", [(32,), (32, 64)])
@pytest.mark.parametrize("halves", [("a", "b"), (None, None)])
def test_with_a_usual_exponent_a_floor_needs_no_size_more(sizes, halves):
    onsets = [onset(p, 8 * p * f, seed=0, half=h) for p in sizes for h, f in zip(halves, (1.05, 0.95), strict=True)]
    law = fit_law(onsets, exponent=(1.2, 0.2), floor=True)
    assert 0 < law.floor.low < law.floor.high < 1.5 * 8 * 32
    assert law.exponent.low > 0.6
    assert law.exponent.high < 1.8


def test_onsets_that_refuse_what_was_assumed_say_so():
    steep = [onset(p, 8 * p**2.4 * factor) for p in (16, 32, 64, 128) for factor in (1.05, 1 / 1.05)]
    assert fit_law(steep, exponent=(1.2, 0.2), floor=True).is_implausible
    usual = planted((16, 32, 64, 128), 2, exponent=1.2)
    law = fit_law(usual, exponent=(1.2, 0.2), floor=True)
    assert not law.is_implausible
    assert fit_law(usual, exponent=1.0).plausibility == fit_law(usual, exponent=1.0).linearity
    assert fit_law(usual, exponent=None).plausibility is None
