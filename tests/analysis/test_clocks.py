import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import STEPS, curve, header, heldout, items_of, share_curve, twins

from taumem.analysis import (
    agreement_curve,
    find_onsets,
    gap_sym,
    tau_copy,
    tau_gap,
    tau_gap_base,
    tau_gap_grown,
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
@given(crossing=st.floats(20, 1500), threshold=st.sampled_from([0.1, 0.2]))
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


def test_a_level_is_reached_where_half_of_the_samples_parse_for_good():
    onset = tau_level(valid(1, 40, 70, 90, 95))
    assert (onset.low, onset.high, onset.censored) == (20, 40, "no")
    assert onset.step == pytest.approx(20 * 2 ** (1 / 3))  # a third of the way from 40 to 70, in log step
    assert tau_level(valid(1, 70, 30, 90)).low == 40  # reached, lost, and reached again
    assert tau_level(valid(1, 55, 50)).censored == "right"  # a run that never reached it would be as likely
    assert tau_level(valid(80, 90)).censored == "left"


# --- tau_copy -------------------------------------------------------------------------------------


def copies(*counts, n=100, steps=(10, 20, 40, 80, 160)):
    return share_curve("copy_fraction", np.array(steps[: len(counts)], dtype=float), list(counts), n)


def test_copies_set_in_where_the_growing_share_passes_the_threshold():
    onset = tau_copy(copies(0, 1, 9, 30, 60), 0.0, threshold=0.05)
    assert (onset.low, onset.high, onset.censored) == (20, 40, "no")
    assert onset.step == pytest.approx(20 * 2 ** ((5 - 1) / (9 - 1)))
    unsure = tau_copy(copies(0, 2, 6, 30, 60), 0.0, threshold=0.05)
    assert (unsure.low, unsure.high) == (20, 80)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.03, 0.05, 0.1])
def test_a_threshold_means_the_same_at_any_number_of_samples(threshold):
    """Counts drawn from one growing share: the onset is where the share passes, for 64 samples as for 1,024."""
    when, steps = 300.0, np.unique(np.round(np.geomspace(10, 4000, 24)))
    share = np.minimum(threshold * (steps / when) ** 1.5, 0.9)
    for n in (64, 256, 1024):
        rng, octaves = np.random.default_rng(n), []
        for _ in range(150):
            onset = tau_copy(
                share_curve("copy_fraction", steps, rng.binomial(n, share).tolist(), n), 0.0, threshold=threshold
            )
            octaves.append(math.log2(onset.step / when))
        assert abs(np.mean(octaves)) < 0.1, n


def test_a_share_that_may_not_have_passed_yet_is_a_bound():
    assert tau_copy(copies(0, 0, 12), 0.0, threshold=0.06).censored == "no"
    assert tau_copy(copies(0, 0, 12), 0.0, threshold=0.08).censored == "right"


def test_what_is_not_known_of_chance_is_not_taken_for_copies():
    steps = np.array([10.0, 20.0, 40.0])
    known, guessed = (share_curve("copy_fraction_chance", steps, [0, 0, 0], n) for n in (1000, 8))
    assert tau_copy(copies(0, 0, 15), known, threshold=0.05).censored == "no"
    assert tau_copy(copies(0, 0, 15), guessed, threshold=0.05).censored == "right"  # chance may be as high as 37 %
    assert tau_copy(copies(0, 0, 80), guessed, threshold=0.05).censored == "no"


def test_a_chance_level_that_grows_is_taken_off_look_by_look():
    steps = np.array([10.0, 20.0, 40.0, 80.0])
    chance = share_curve("copy_fraction_chance", steps, [0, 0, 200, 200], 1000)
    onset = tau_copy(copies(0, 0, 22, 60), chance, threshold=0.05)
    assert (onset.low, onset.high) == (20, 80)
    assert 40 < onset.step < 45  # 25 % is what chance and the threshold ask for
    torn = tau_copy(copies(0, 0, 25), chance, threshold=0.01)  # a kill came between the two of the last look
    assert torn.censored == "right"
    elsewhere = share_curve("copy_fraction_chance", steps + 1, [0, 0, 20, 20], 100)
    with pytest.raises(ConfigError, match="different steps"):
        tau_copy(copies(0, 0, 25), elsewhere, threshold=0.05)


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


@pytest.mark.parametrize("values", [np.full(40, 0.7), np.full(40, 0.7) + 1e-9 * np.arange(40)])
def test_a_loss_that_never_moves_has_learned_nothing_and_turned_nowhere(values):
    still = curve("heldout_loss", T, items_of(values[: len(T)], 32, np.random.default_rng(3)))
    assert tau_gen(still).censored == "right"
    assert tau_val(still).censored == "right"


def test_a_loss_that_rises_from_the_first_look_on_had_learned_by_then():
    assert tau_gen(heldout_curve(2)).censored == "left"


def jittering(course, jitter, rho, seed, *, n_items=64, per_doubling=4):
    """A loss whose items all move together from look to look, for no reason."""
    rng = np.random.default_rng(seed)
    steps = np.unique(np.round(10 * 2 ** (np.arange(8 * per_doubling + 1) / per_doubling)))
    common = rng.standard_normal(len(steps))
    for k in range(1, len(steps)):
        common[k] = rho * common[k - 1] + math.sqrt(1 - rho**2) * common[k]
    loss = course(steps) * (1 + jitter * common)
    own = np.exp(0.3 * rng.standard_normal(n_items)) * np.exp(0.05 * rng.standard_normal((len(steps), n_items)))
    return curve("heldout_loss", steps, loss[:, None] * own)


@pytest.mark.slow
@pytest.mark.parametrize("per_doubling", [2, 8])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_nothing_is_located_in_a_loss_that_never_falls_and_only_jitters(rho, per_doubling):
    flat = [
        jittering(np.ones_like, 0.01, rho, seed, n_items=16 + seed, per_doubling=per_doubling) for seed in range(60)
    ]
    for clock in (tau_gen, tau_val):
        assert sum(clock(loss).usable for loss in flat) <= 3


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_a_loss_that_falls_and_stays_has_learned_and_not_turned(rho):
    settled = [jittering(lambda s: 0.3 + 5 / np.minimum(s, 150), 0.01, rho, seed) for seed in range(60)]
    assert sum(tau_val(loss).usable for loss in settled) <= 3
    assert sum(tau_gen(loss).usable for loss in settled) >= 54


def test_sets_that_differ_by_chance_alone_have_no_gap():
    pairs = [[jittering(np.ones_like, 0.01, 0.5, seed, n_items=n) for n in (16, 64)] for seed in range(40)]
    for threshold in (0.1, 0.2):
        assert sum(tau_gap(*pair, threshold=threshold).usable for pair in pairs) <= 2
        assert sum(tau_gap_grown(*pair, threshold=threshold).usable for pair in pairs) <= 2


def test_a_set_that_is_hard_by_chance_moves_the_gap_and_not_its_growth():
    train, loss = gap_curves(np.maximum(ramp(T, 400, 0.1), 0))
    harder = Curve(**{**train.__dict__, "items": 1.2 * train.items})
    assert tau_gap(harder, loss, threshold=0.1).step > 1.5 * tau_gap(train, loss, threshold=0.1).step
    same = [tau_gap_grown(each, loss, threshold=0.1).step for each in (train, harder)]
    assert same[0] == pytest.approx(same[1])
    assert same[0] == pytest.approx(400, rel=0.05)


def test_what_a_pretrained_model_found_easier_at_step_0_is_no_growth():
    steps = np.concatenate([[0.0], T])
    for easier in (1.0, 0.7):
        items = [items_of(np.full_like(steps, 0.4), n, np.random.default_rng(n), noise=0.02) for n in (16, 64)]
        at_once, loss = curve("train_loss", steps, easier * items[0]), curve("heldout_loss", steps, items[1])
        assert tau_gap(at_once, loss, threshold=0.2).censored == ("left" if easier < 1 else "right")
        assert tau_gap_base(at_once, loss, threshold=0.1).censored == "right"
        gap = np.concatenate([[0.0], np.maximum(ramp(T, 400, 0.2), 0)])[:, None]
        opened = curve("train_loss", steps, easier * items[1] * (1 - gap))
        assert tau_gap_base(opened, loss, threshold=0.2).step == pytest.approx(400, rel=0.05)
    with pytest.raises(ConfigError, match="no look at it"):
        tau_gap_base(*gap_curves(np.maximum(ramp(T, 400, 0.1), 0)), threshold=0.1)


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


@pytest.mark.parametrize("course", [np.ones_like, lambda s: 1 / np.sqrt(s)])
def test_one_look_that_spikes_at_the_end_is_no_turn(course):
    for seed in range(10):
        loss = jittering(course, 0.01, 0.0, seed)
        loss.items[-1] *= 1.3
        assert not tau_val(loss).usable


def test_losses_below_0_have_no_relative_gap(tmp_path):
    from planted import written

    rng = np.random.default_rng(0)
    curves = [curve(name, T, items_of(-1 - 0.1 * np.log(T), 32, rng)) for name in ("train_loss", "heldout_loss")]
    found = {onset.clock for onset in find_onsets([written(tmp_path, header(), curves)])}
    assert {"tau_gen", "tau_val"} <= found
    assert not any(clock.startswith("tau_gap") for clock in found)
