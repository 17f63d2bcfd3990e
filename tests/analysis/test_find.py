import numpy as np
import pytest
from planted import STEPS, curve, header, heldout, items_of, share_curve, twins, written

from taumem.analysis import find_onsets, find_twins, fit_law
from taumem.errors import ConfigError


def test_every_clock_that_was_recorded_is_found_in_a_fixed_order(tmp_path):
    a, b = twins(tmp_path, lambda s: 0.02 + 0.1 * np.log(s / 10), n_train=32)
    steps = np.array([10.0, 100.0, 1000.0])
    copies = [
        share_curve("copy_fraction", steps, [0, 0, 90], 100),
        share_curve("copy_fraction_chance", steps, [0, 0, 0], 100),
        share_curve("infill_copies", steps, [0, 30, 95], 100),
        share_curve("infill_copies_chance", steps, [0, 0, 0], 100),
    ]
    samples = np.random.default_rng(0).standard_normal((2, 32, 4))
    single = written(tmp_path, header(16), copies)
    loss = [curve("heldout_loss", t := STEPS.astype(float), items_of(heldout(t, 300), 8, np.random.default_rng(1)))]
    late = written(tmp_path, header(64, half="a"), loss, {300: samples[0], 3000: samples[0]})
    late_b = written(tmp_path, header(64, half="b"), loss, {300: samples[0], 3000: samples[1]})

    found = find_onsets([late_b, b, single, a, late])

    assert found == find_onsets([single, a, b, late, late_b])
    names = [(o.clock, o.n_train) for o in found]
    assert names == [
        ("tau_gen", 32),
        ("tau_gen", 32),
        ("tau_gen", 64),
        ("tau_gen", 64),
        ("tau_val", 32),
        ("tau_val", 32),
        ("tau_val", 64),
        ("tau_val", 64),
        ("tau_gap[0.1]", 32),
        ("tau_gap[0.1]", 32),
        ("tau_gap[0.2]", 32),
        ("tau_gap[0.2]", 32),
        ("tau_gap_grown[0.1]", 32),
        ("tau_gap_grown[0.1]", 32),
        ("tau_gap_grown[0.2]", 32),
        ("tau_gap_grown[0.2]", 32),
        ("tau_gap_sym[0.1]", 32),
        ("tau_gap_sym[0.15]", 32),
        ("tau_gap_sym[0.2]", 32),
        *((f"tau_member[{x}]", 32) for x in (0.05, 0.1, 0.25) for _ in "ab"),
        ("tau_copy[0.03]", 16),
        ("tau_copy[0.05]", 16),
        ("tau_copy[0.1]", 16),
        ("tau_infill[0.05]", 16),
        ("tau_infill[0.1]", 16),
        ("tau_infill[0.5]", 16),
        ("tau_split", 64),
    ]
    assert found[0].source == "study P=32 seed=0 half=a"
    assert found[16].source == "study P=32 seed=0 halves=a,b"
    assert found[0].examples == found[0].step * 16
    assert [(o.low, o.high) for o in found[28:31]] == [(10, 100), (10, 100), (100, 1000)]


def test_models_that_come_to_differ_without_having_learned_have_not_split(tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((2, 32, 4))
    flat = [curve("heldout_loss", STEPS.astype(float), items_of(1 + 0.01 * rng.standard_normal(len(STEPS)), 8, rng))]
    pair = [
        written(tmp_path, header(64, half=half), flat, {300: samples[0], 3000: samples[place]})
        for place, half in enumerate("ab")
    ]
    onsets = {onset.clock: onset for onset in find_onsets(pair)}
    assert (onsets["tau_gen"].censored, onsets["tau_split"].censored) == ("right", "right")
    assert onsets["tau_split"].low == onsets["tau_gen"].low


def test_only_halves_of_the_same_size_and_seed_are_twins(tmp_path):
    runs = [
        written(tmp_path, header(n, seed=seed, half=half), [])
        for n, seed, half in [(32, 0, "a"), (32, 1, "b"), (64, 0, "b"), (64, 0, "a"), (64, 0, None)]
    ]
    assert [(a.header.half, b.header.half, a.header.data.n_train) for a, b in find_twins(runs)] == [("a", "b", 64)]


def test_the_same_half_twice_is_refused(tmp_path):
    runs = [written(tmp_path, header(half="a"), []) for _ in range(2)]
    with pytest.raises(ConfigError, match="both half 'a'"):
        find_onsets(runs)


def test_a_run_that_has_only_begun_has_no_onsets(tmp_path):
    begun = written(tmp_path, header(), [curve("heldout_loss", np.array([0.0]), np.ones((1, 8)))])
    assert find_onsets([begun, written(tmp_path, header(), [])]) == []


def test_records_of_several_sizes_give_the_planted_law(tmp_path):
    records = []
    for n_train in (16, 32, 64, 128):
        loss = items_of(heldout(STEPS.astype(float), 8.0 * n_train), 48, np.random.default_rng(n_train), noise=0.02)
        records.append(written(tmp_path, header(n_train), [curve("heldout_loss", STEPS.astype(float), loss)]))
    onsets = [onset for onset in find_onsets(records) if onset.clock == "tau_val"]
    assert 1.0 in fit_law(onsets, exponent=None).exponent
    assert fit_law(onsets).predict(256).value == pytest.approx(8 * 256, rel=0.1)
