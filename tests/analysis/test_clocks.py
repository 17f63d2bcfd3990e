import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import STEPS, curve, header, heldout, items_of, share_curve, twins

from taumem.analysis import (
    agreement_curve,
    gap_sym,
    tau_copy,
    tau_gap,
    tau_gap_sym,
    tau_gen,
    tau_infill,
    tau_level,
    tau_split,
    tau_val,
    twin_losses,
)
from taumem.analysis.smoothing import quadratic_smoother
from taumem.errors import ConfigError
from taumem.record import Curve

T = STEPS.astype(float)


def heldout_curve(minimum, *, steps=T, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return curve("heldout_loss", steps, items_of(heldout(steps, minimum), 48, rng, noise=noise))


def ramp(steps, crossing, threshold):
    """A gap that is linear in log step and equals the threshold at the crossing."""
    return threshold + 0.2 * np.log(steps / crossing)


def gap_curves(gap, *, noise=0.0):
    rng = np.random.default_rng(1)
    loss = items_of(heldout(T, 500.0), 48, rng, noise=noise)
    train = items_of(heldout(T, 500.0) * (1 - gap), 48, rng, noise=noise)
    return curve("train_loss", T, train), curve("heldout_loss", T, loss)


# --- tau_val --------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(minimum=st.floats(60, 1200))
def test_the_minimum_of_a_smooth_loss_is_found_between_the_looks(minimum):
    onset = tau_val(heldout_curve(minimum))
    assert onset.censored == "no"
    assert onset.step == pytest.approx(minimum, rel=0.03)
    assert onset.low < minimum < onset.high


@pytest.mark.parametrize("jitter", [0.0, 0.01, 0.02])
def test_the_interval_of_the_minimum_covers_it_under_noise_of_items_and_of_weights(jitter):
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        loss = heldout(T, 300.0) * (1 + jitter * rng.standard_normal(len(T)))
        scale = np.exp(0.3 * rng.standard_normal(48))
        items = loss[:, None] * scale + 0.05 * rng.standard_normal((len(T), 48))
        onset = tau_val(curve("heldout_loss", T, items))
        covered.append(onset.low <= 300 <= onset.high)
    assert np.mean(covered) >= 0.85


def test_more_noise_widens_the_interval_of_the_minimum():
    quiet, loud = (tau_val(heldout_curve(300, noise=noise)) for noise in (0.0, 0.2))
    assert loud.high / loud.low > quiet.high / quiet.low


def test_a_loss_that_still_falls_is_right_censored():
    onset = tau_val(heldout_curve(50_000))
    assert onset.censored == "right"
    assert onset.high == math.inf
    assert onset.step == onset.low == STEPS[-2]


def test_a_rise_within_the_noise_is_right_censored_at_a_bound_below_the_minimum():
    flat = 0.5 - 0.02 * np.minimum(np.log(T / 10), np.log(400 / 10))
    rng = np.random.default_rng(4)
    onset = tau_val(curve("heldout_loss", T, flat[:, None] + 0.3 * rng.standard_normal((len(T), 32))))
    assert onset.censored == "right"
    assert onset.low <= STEPS[-2]


def test_a_loss_that_only_rises_is_left_censored():
    onset = tau_val(heldout_curve(2))
    assert (onset.censored, onset.low, onset.step) == ("left", 0.0, STEPS[1])


@pytest.mark.parametrize("k", [3, 10])
def test_scaling_the_steps_scales_every_clock(k, tmp_path):
    train, loss = gap_curves(ramp(T, 200, 0.2), noise=0.05)
    for clock in (lambda c: tau_val(c[1]), lambda c: tau_gap(*c, threshold=0.2)):
        plain = clock((train, loss))
        scaled = clock(tuple(Curve(**{**c.__dict__, "steps": c.steps * k}) for c in (train, loss)))
        assert scaled.step == pytest.approx(k * plain.step, rel=1e-6)
        assert (scaled.low, scaled.high) == pytest.approx((k * plain.low, k * plain.high), rel=1e-6)


def test_the_same_curve_always_gives_the_same_onset():
    assert tau_val(heldout_curve(300, noise=0.1)) == tau_val(heldout_curve(300, noise=0.1))


def test_looks_at_step_zero_are_left_out():
    with_zero = heldout_curve(300.0, steps=np.concatenate([[1.0], T]))
    with_zero.steps[0] = 0
    assert tau_val(with_zero).step == pytest.approx(300, rel=0.03)


# --- tau_gap and tau_gap_sym ----------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(crossing=st.floats(20, 3000), threshold=st.sampled_from([0.1, 0.2]))
def test_the_passage_of_a_planted_gap_is_interpolated_in_log_step(crossing, threshold):
    onset = tau_gap(*gap_curves(ramp(T, crossing, threshold)), threshold=threshold)
    assert onset.step == pytest.approx(crossing, rel=1e-3)
    assert onset.low <= crossing <= onset.high


def test_a_gap_that_comes_back_has_not_passed_for_good():
    gap = ramp(T, 100, 0.2)
    gap[20] = 0.19
    onset = tau_gap(*gap_curves(gap), threshold=0.2)
    assert STEPS[20] <= onset.step <= STEPS[21]


def test_a_gap_is_censored_on_the_side_where_it_was_not_seen_to_pass():
    early = tau_gap(*gap_curves(ramp(T, 5, 0.2)), threshold=0.2)
    late = tau_gap(*gap_curves(ramp(T, 9000, 0.2)), threshold=0.2)
    assert (early.censored, early.step, early.low) == ("left", 10, 0)
    assert (late.censored, late.step, late.high) == ("right", 4000, math.inf)


def test_the_symmetrized_gap_passes_where_it_was_planted_with_a_narrower_interval(tmp_path):
    a, b = twins(tmp_path, lambda s: ramp(s, 250, 0.15))
    onset = tau_gap_sym(twin_losses(a, b), threshold=0.15)
    assert onset.step == pytest.approx(250, rel=1e-3)
    one_sided = tau_gap(a.curve("train_loss"), a.curve("heldout_loss"), threshold=0.15)
    assert onset.high / onset.low < one_sided.high / one_sided.low
    assert gap_sym(a, b).values[0] < 0.15


# --- tau_level ------------------------------------------------------------------------------------


def valid(*counts, n=100, steps=(10, 20, 40, 80, 160)):
    return share_curve("valid[2]", np.array(steps[: len(counts)], dtype=float), list(counts), n)


def test_a_level_is_reached_once_more_than_half_of_the_samples_parse_for_certain_and_for_good():
    onset = tau_level(valid(1, 55, 61, 90, 95))
    # Clopper-Pearson: the lower 95 % limit of 55 in 100 is 44.7 %, of 61 in 100 it is 50.7 %
    assert (onset.censored, onset.low, onset.high) == ("interval", 20, 40)
    assert tau_level(valid(1, 70, 40, 90)).low == 40  # reached, lost, and reached again
    assert tau_level(valid(1, 55, 58)).censored == "right"
    assert tau_level(valid(80, 90)).censored == "left"


# --- tau_copy -------------------------------------------------------------------------------------


def copies(*counts, n=100, steps=(10, 20, 40, 80, 160)):
    return share_curve("copy_fraction", np.array(steps[: len(counts)], dtype=float), list(counts), n)


def test_copies_set_in_between_the_last_look_below_and_the_first_above():
    onset = tau_copy(copies(0, 1, 6, 30, 60), 0.0, threshold=0.05)
    # Clopper-Pearson: the lower 95 % limit of 6 in 100 is 2.2 %, of 30 in 100 it is 21.2 %
    assert (onset.censored, onset.low, onset.high) == ("interval", 40, 80)
    assert onset.step == pytest.approx(math.sqrt(40 * 80))


def test_the_exact_limit_decides_and_chance_is_taken_off():
    assert tau_copy(copies(0, 0, 12), 0.0, threshold=0.06).censored == "interval"  # limit 6.36 %
    assert tau_copy(copies(0, 0, 12), 0.0, threshold=0.065).censored == "right"
    chance = share_curve("copy_fraction_chance", np.array([10.0, 20.0, 40.0]), [0, 0, 1], 100)
    assert tau_copy(copies(0, 0, 12), chance, threshold=0.06).censored == "right"


def test_a_chance_level_that_grows_is_taken_off_look_by_look():
    steps = np.array([10.0, 20.0, 40.0, 80.0])
    chance = share_curve("copy_fraction_chance", steps, [0, 0, 20, 20], 100)
    onset = tau_copy(copies(0, 0, 25, 60), chance, threshold=0.05)
    assert (onset.low, onset.high) == (40, 80)  # at 40, the lower limit of 25 in 100 is 16.9 %, below chance
    torn = tau_copy(copies(0, 0, 25), chance, threshold=0.01)  # a kill came between the two of the last look
    assert (torn.censored, torn.low) == ("right", 40)
    elsewhere = share_curve("copy_fraction_chance", steps + 1, [0, 0, 20, 20], 100)
    with pytest.raises(ConfigError, match="different steps"):
        tau_copy(copies(0, 0, 25), elsewhere, threshold=0.05)


def test_the_limit_that_the_probe_stated_is_used():
    stated = copies(0, 0, 12)
    stated.low[:] = 0.0
    assert tau_copy(stated, 0.0, threshold=0.05).censored == "right"


def test_a_limit_at_another_confidence_is_not_taken_for_that_of_the_rule():
    stated = copies(0, 0, 12)
    loose = Curve(**{**stated.__dict__, "low": stated.values, "confidence": np.full(3, 0.2)})
    assert tau_copy(loose, 0.0, threshold=0.065).censored == "right"  # the limit of 95 % is 6.36 %


def test_copies_that_vanish_again_were_not_the_onset():
    onset = tau_copy(copies(50, 0, 0, 40, 60), 0.0, threshold=0.05)
    assert (onset.low, onset.high) == (40, 80)


def test_copies_from_the_first_look_on_are_left_censored():
    assert tau_copy(copies(50, 60, 70), 0.0, threshold=0.05).censored == "left"


# --- tau_infill -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.5])
def test_completed_texts_are_timed_by_the_rule_of_copies(threshold):
    completed = copies(0, 1, 6, 30, 75)
    onset, same = (clock(completed, 0.01, threshold=threshold) for clock in (tau_infill, tau_copy))
    assert (onset.low, onset.high, onset.censored) == (same.low, same.high, same.censored)


def test_texts_that_could_be_guessed_were_not_learned_by_heart():
    guessed = copies(0, 0, 30, 70)
    assert tau_infill(guessed, guessed, threshold=0.05).censored == "right"


# --- tau_split ------------------------------------------------------------------------------------


def agreeing(*values, steps=(10, 20, 40, 80, 160, 320)):
    rng = np.random.default_rng(6)
    spread = 0.05 * rng.standard_normal(64)
    items = np.array(values)[:, None] + spread + 0.02 * rng.standard_normal((len(values), 64))
    return curve("agreement", np.array(steps[: len(values)], dtype=float), items)


def test_models_split_when_their_agreement_falls_for_good():
    onset = tau_split(agreeing(0.85, 0.93, 0.95, 0.92, 0.7, 0.4))
    assert (onset.censored, onset.low, onset.high) == ("interval", 80, 160)


def test_a_dip_that_recovers_and_a_fall_within_the_noise_are_no_split():
    assert tau_split(agreeing(0.9, 0.5, 0.9, 0.92)).censored == "right"
    assert tau_split(agreeing(0.9, 0.9, 0.81)).censored == "right"


def test_only_the_agreement_of_models_that_have_learned_counts():
    early_consensus = agreeing(0.99, 0.8, 0.8, 0.8, 0.79, 0.5)
    assert tau_split(early_consensus).high == 20
    assert tau_split(early_consensus, learned=25).high == 320
    assert tau_split(early_consensus, learned=1000).censored == "right"


# --- tau_gen --------------------------------------------------------------------------------------


def test_the_first_learning_is_done_after_nine_tenths_of_the_fall():
    # L = 0.2 + 0.8 exp(-t / 100), rising again past the minimum: nine tenths of the fall from t_0 take 100 ln 10.
    values = 0.2 + 0.8 * np.exp(-T / 100) + 0.05 * np.log(np.maximum(T, 1500) / 1500)
    onset = tau_gen(curve("heldout_loss", T, items_of(values, 64, np.random.default_rng(3))))
    assert onset.censored == "no"
    assert onset.step == pytest.approx(T[0] + 100 * np.log(10), rel=0.03)
    assert onset.low < onset.step < onset.high


def test_a_loss_that_still_falls_bounds_the_first_learning_from_below():
    values = 1 - 0.1 * np.log(T / T[0])
    assert tau_gen(curve("heldout_loss", T, items_of(values, 64, np.random.default_rng(3)))).censored == "right"


# --- the smoother -----------------------------------------------------------------------------------


@given(a=st.floats(-3, 3), b=st.floats(-3, 3), c=st.floats(-3, 3))
def test_the_smoother_reproduces_every_quadratic(a, b, c):
    x, at = np.log(T), np.linspace(np.log(10), np.log(4000), 50)
    smoothed = quadratic_smoother(x, at) @ (a + b * x + c * x**2)
    assert smoothed == pytest.approx(a + b * at + c * at**2, abs=1e-7)


# --- what cannot be used --------------------------------------------------------------------------


def test_a_curve_without_items_and_one_too_short_are_refused():
    bare = Curve(**{**heldout_curve(300).__dict__, "items": None})
    with pytest.raises(ConfigError, match="without the values of its items"):
        tau_val(bare)
    with pytest.raises(ConfigError, match="3 look"):
        tau_val(heldout_curve(20, steps=T[:3]))


def test_thresholds_and_confidences_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="between 0 and 1"):
        tau_gap(*gap_curves(ramp(T, 100, 0.2)), threshold=20)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        tau_val(heldout_curve(300), confidence=90)


def test_samples_of_twins_give_their_split(tmp_path):
    from planted import written

    rng = np.random.default_rng(7)
    shared, own, other = rng.standard_normal((3, 64, 32))
    parts = {10: 0.1, 20: 0.1, 40: 0.2, 80: 1.0, 160: 2.0}
    a = written(tmp_path, header(half="a"), [], {s: shared + w * own for s, w in parts.items()})
    b = written(tmp_path, header(half="b"), [], {s: shared + w * other for s, w in parts.items()})
    onset = tau_split(agreement_curve(a, b))
    assert (onset.low, onset.high) == (40, 80)
