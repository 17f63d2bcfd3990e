"""The order of clocks: ratios within runs, against closed forms."""

import math

import numpy as np
import pytest
from scipy import stats

from taumem.analysis import Onset, order_of
from taumem.analysis.placing import left_censored, right_censored
from taumem.errors import ConfigError
from taumem.record import RunKey


def onset(clock: str, step: float, n_train: int = 64, seed: int = 0, half: str | None = None) -> Onset:
    return Onset(step, step / 1.1, step * 1.1, "no", clock, RunKey(n_train, 16, seed, half))


def bound(clock: str, placed, n_train: int = 64, seed: int = 0) -> Onset:
    return Onset(**vars(placed), clock=clock, run=RunKey(n_train, 16, seed))


def test_a_factor_has_the_t_interval_of_the_logarithms_of_its_ratios():
    rng = np.random.default_rng(0)
    tau_val, log_ratio = np.exp(rng.normal(6, 1, 12)), rng.normal(math.log(3), 0.4, 12)
    onsets = [onset("tau_val", t, seed=k) for k, t in enumerate(tau_val)]
    onsets += [
        onset("tau_copy[0.05]", t * math.exp(r), seed=k)
        for k, (t, r) in enumerate(zip(tau_val, log_ratio, strict=True))
    ]
    (found,) = order_of(onsets)
    low, high = stats.t.interval(0.9, 11, log_ratio.mean(), log_ratio.std(ddof=1) / math.sqrt(12))
    assert (found.clock, found.reference, found.n_runs, found.n_located) == ("tau_copy[0.05]", "tau_val", 12, 12)
    assert found.factor.value == pytest.approx(math.exp(log_ratio.mean()), rel=0.01)
    assert (found.factor.low, found.factor.high) == pytest.approx((math.exp(low), math.exp(high)), rel=0.02)


def test_the_trend_is_the_difference_of_the_exponents():
    sizes = [32, 64, 128, 256] * 2
    onsets = [onset("tau_val", 10 * p, p, k) for k, p in enumerate(sizes)]
    onsets += [onset("tau_gen", (50 + k % 3) * p**0.4, p, k) for k, p in enumerate(sizes)]
    (found,) = order_of(onsets)
    assert found.trend.value == pytest.approx(-0.6, abs=0.03)
    assert found.trend.low < -0.6 < found.trend.high


def test_clocks_come_in_the_order_in_which_they_go_off_and_those_only_bounded_last():
    onsets = []
    for k in range(4):
        onsets += [onset("tau_val", 100, seed=k), onset("tau_split", 250 + k, seed=k), onset("tau_gen", 30 + k, seed=k)]
        onsets += [bound("tau_copy[0.05]", right_censored(math.log(700.0 + k)), seed=k)]
    found = order_of(onsets)
    assert [each.clock for each in found] == ["tau_gen", "tau_split", "tau_copy[0.05]"]
    assert found[-1].factor is None
    assert found[-1].beyond == pytest.approx(7.0 / 1.1)  # tau_val may be as late as 110


def test_a_clock_that_one_run_located_has_the_ratio_of_that_run_and_no_bound():
    onsets = [onset("tau_val", 100, seed=k) for k in range(3)] + [onset("tau_split", 200, seed=0)]
    onsets += [bound("tau_split", right_censored(math.log(150.0 + k)), seed=k) for k in (1, 2)]
    (found,) = order_of(onsets)
    assert (found.factor, found.beyond, found.n_runs, found.n_located) == (None, None, 3, 1)
    assert found.of_one_run == found.typical == pytest.approx(2.0)
    assert found.is_told
    (of_two,) = order_of([*onsets, onset("tau_val", 100, seed=3), onset("tau_split", 220, seed=3)])
    assert of_two.factor
    assert of_two.of_one_run is None


def test_a_bound_holds_at_the_ends_of_both_intervals_and_there_is_none_where_a_run_has_none():
    step, low, high = 400.0, 250.0, 500.0
    tau_val = [Onset(step, low, high, "no", "tau_val", RunKey(64, 16, k)) for k in (0, 1)]
    late = [bound("tau_copy[0.05]", right_censored(math.log(at)), seed=k) for k, at in enumerate((1000.0, 2000.0))]
    (found,) = order_of([*tau_val, *late])
    assert found.beyond == pytest.approx(1000 / high)
    assert found.is_told
    (found,) = order_of([*tau_val, late[0], bound("tau_copy[0.05]", left_censored(math.log(100.0)), seed=1)])
    assert (found.beyond, found.typical, found.is_told) == (None, None, False)


def test_a_bound_moves_the_factor_its_own_way():
    exact = [onset("tau_val", 100, seed=k) for k in range(5)]
    known = [onset("tau_copy[0.05]", 200 + 10 * k, seed=k) for k in range(4)]
    (without,) = order_of(exact + known)
    (later,) = order_of([*exact, *known, bound("tau_copy[0.05]", right_censored(math.log(400.0)), seed=4)])
    (sooner,) = order_of([*exact, *known, bound("tau_copy[0.05]", left_censored(math.log(100.0)), seed=4)])
    assert sooner.factor.value < without.factor.value < later.factor.value


def test_nothing_is_known_of_a_ratio_of_two_bounds_that_point_the_same_way():
    located = [onset(clock, 100 * f, seed=k) for k in range(3) for clock, f in (("tau_val", 1), ("tau_split", 2))]
    both = [bound(clock, right_censored(math.log(500.0)), seed=3) for clock in ("tau_val", "tau_split")]
    (found,) = order_of(located + both)
    assert (found.n_runs, found.n_located) == (3, 3)


def test_a_pair_is_held_against_the_geometric_mean_of_its_halves_and_a_half_against_its_pair():
    halves = [onset("tau_val", step, seed=k, half=half) for k in range(3) for half, step in (("a", 100), ("b", 400))]
    pairs = [onset("tau_gap_sym[0.2]", 100 + k, seed=k, half="ab") for k in range(3)]
    (found,) = order_of(halves + pairs)
    assert found.factor.value == pytest.approx(0.5, rel=0.02)
    (found,) = order_of(halves + pairs, "tau_gap_sym[0.2]")
    assert found.factor.value == pytest.approx(2.0, rel=0.02)


def test_a_reference_that_is_not_there_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"tau_vla.*tau_val"):
        order_of([onset("tau_val", 100)], "tau_vla")
    with pytest.raises(ConfigError, match="no clocks"):
        order_of([])
