import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import STEPS, curve, header, items_of, twins, written

from taumem.analysis import (
    agreement,
    agreement_and_chance,
    agreement_chance,
    agreement_curve,
    agreement_measurements,
    gap_sym,
    twin_losses,
)
from taumem.errors import ConfigError, RecordError
from taumem.record import RunRecord


def test_the_gap_of_planted_twins_is_the_planted_one(tmp_path):
    a, b = twins(tmp_path, lambda s: 0.4 * s / 4000)
    gap = gap_sym(a, b)
    assert gap.values == pytest.approx(0.4 * STEPS / 4000, abs=1e-9)
    assert list(gap.steps) == list(STEPS)
    assert gap.counts[0] == 96


def test_a_harder_set_does_not_move_the_gap(tmp_path):
    steps, rng = np.array([10.0, 100.0]), np.random.default_rng(0)
    loss = items_of(np.array([1.0, 0.5]), 8, rng)
    a = written(tmp_path, header(half="a"), [curve("train_loss", steps, loss), curve("twin_loss", steps, 3 * loss)])
    b = written(tmp_path, header(half="b"), [curve("train_loss", steps, 3 * loss), curve("twin_loss", steps, loss)])
    assert gap_sym(a, b).values == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.slow
def test_the_standard_error_is_the_spread_of_the_gap_over_redrawn_items(tmp_path):
    steps = np.array([100.0])

    def gap(seed):
        rng = np.random.default_rng(seed)
        halves = {}
        for half in "ab":
            other = np.exp(0.4 * rng.standard_normal((1, 40)))
            halves[half] = (other * (0.8 + 0.1 * rng.standard_normal((1, 40))), other)
        a = [curve("train_loss", steps, halves["a"][0]), curve("twin_loss", steps, halves["b"][1])]
        b = [curve("train_loss", steps, halves["b"][0]), curve("twin_loss", steps, halves["a"][1])]
        return gap_sym(written(tmp_path, header(half="a"), a), written(tmp_path, header(half="b"), b))

    gaps = [gap(seed) for seed in range(120)]
    assert np.mean([g.se[0] for g in gaps]) == pytest.approx(np.std([g.values[0] for g in gaps]), rel=0.2)


def test_twins_are_compared_at_the_steps_that_both_have(tmp_path):
    a, b = twins(tmp_path, lambda s: 0.1 + 0 * s)
    late = [m for m in b.measurements if m.step > 100]
    assert twin_losses(a, RunRecord.of(b.header, late)).steps.min() > 100
    b = RunRecord.of(b.header, [m.model_copy(update={"step": m.step + 1}) for m in late])
    with pytest.raises(ConfigError, match="no step was looked at in both"):
        gap_sym(a, b)


def test_twins_without_paired_items_are_refused(tmp_path):
    a, b = twins(tmp_path, lambda s: 0.1 + 0 * s)
    shorter = [m.model_copy(update={"items": m.items[:-1]}) for m in b.measurements]
    without = [m.model_copy(update={"items": None}) for m in b.measurements]
    for measurements, kind, message in (
        (shorter, ConfigError, "items of set A"),
        (without, ConfigError, "without the losses of its items"),
        ([m for m in without if m.quantity != "twin_loss"], RecordError, "twin_loss"),
    ):
        with pytest.raises(kind, match=message):
            gap_sym(a, RunRecord.of(b.header, measurements))


def test_equal_samples_agree_and_unrelated_ones_do_not():
    x, y = np.random.default_rng(0).standard_normal((2, 200, 1, 8, 8))
    assert agreement(x, x).value == pytest.approx(1)
    assert agreement_chance(x, x).value == pytest.approx(0, abs=0.03)
    unrelated = agreement(x, y)
    assert abs(unrelated.value) < 3 * unrelated.se
    assert unrelated.count == len(unrelated.items) == 200


def test_agreement_of_correlated_samples_is_their_correlation():
    rng = np.random.default_rng(1)
    shared, own, other = rng.standard_normal((3, 400, 256))
    estimate = agreement(0.8 * shared + 0.6 * own, 0.8 * shared + 0.6 * other)
    assert estimate.value == pytest.approx(0.64, abs=0.02)


@given(shift=st.floats(-5, 5), scale=st.floats(0.1, 10), order=st.permutations(range(6)))
def test_agreement_ignores_a_common_shift_the_scale_and_the_order(shift, scale, order):
    x, y = np.random.default_rng(2).standard_normal((2, 6, 5))
    changed = agreement((scale * x + shift)[order], (scale * y + shift)[order])
    assert changed.value == pytest.approx(agreement(x, y).value, abs=1e-9)


def test_samples_equal_to_the_mean_image_count_nothing():
    assert agreement(np.ones((3, 2)), np.ones((3, 2))).value == 0


def test_agreement_of_tokens_is_the_share_of_equal_symbols_and_their_numbers_are_names():
    a, b = np.random.default_rng(4).integers(0, 27, (2, 300, 64)).astype(np.int16)
    b = np.where(np.arange(64) < 16, a, b).astype(np.int16)
    found = agreement(a, b)
    assert found.items == tuple((a == b).mean(axis=1))
    assert found.value == pytest.approx(np.mean(a == b))
    assert found.se == pytest.approx(np.std((a == b).mean(axis=1), ddof=1) / np.sqrt(300))
    assert found.value == pytest.approx(16 / 64 + 48 / 64 / 27, abs=0.01)
    renamed = np.random.default_rng(5).permutation(27)
    assert agreement(renamed[a], renamed[b]) == found
    assert agreement(a, a).value == 1


def test_chance_for_tokens_is_the_agreement_of_pairs_from_different_noise():
    a = np.random.default_rng(6).integers(0, 27, (400, 64))
    chance = agreement_chance(a, a)
    assert chance.quantity == "agreement_chance"
    assert chance.value == np.mean(a == np.roll(a, 1, axis=0))
    assert abs(chance.value - 1 / 27) < 4 * chance.se


def test_agreement_of_images_is_the_mean_cosine_of_what_differs_from_the_mean_image():
    a, b = np.random.default_rng(7).standard_normal((2, 50, 3, 4))
    mean = (a.reshape(50, -1).mean(0) + b.reshape(50, -1).mean(0)) / 2
    x, y = (s.reshape(50, -1) - mean for s in (a, b))
    for found, other in ((agreement(a, b), y), (agreement_chance(a, b), np.roll(y, 1, axis=0))):
        cosine = np.sum(x * other, axis=1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(other, axis=1))
        assert found.items == tuple(cosine.tolist())  # to the last bit
        assert found.value == cosine.mean()


def test_the_agreement_curve_of_tokens_reads_the_integers_that_both_kept(tmp_path):
    x, y = np.random.default_rng(8).integers(0, 27, (2, 20, 16)).astype(np.int16)
    a = written(tmp_path, header(half="a"), [], {10: x, 40: x})
    b = written(tmp_path, header(half="b"), [], {10: x, 40: y})
    assert agreement_curve(a, b).values.tolist() == [1, agreement(x, y).value]


def test_tokens_are_not_compared_with_images():
    with pytest.raises(ConfigError, match="tokens with tokens"):
        agreement(np.ones((4, 3)), np.ones((4, 3), dtype=np.int16))


@pytest.mark.parametrize(("a", "b"), [((4, 3), (5, 3)), ((1, 3), (1, 3))])
def test_samples_that_do_not_pair_up_are_refused(a, b):
    with pytest.raises(ConfigError, match="same shape"):
        agreement(np.ones(a), np.ones(b))


def test_the_agreement_curve_reads_the_samples_that_both_kept(tmp_path):
    x, y = np.random.default_rng(3).standard_normal((2, 20, 4))
    a = written(tmp_path, header(half="a"), [], {10: x, 20: x, 40: x})
    b = written(tmp_path, header(half="b"), [], {10: x, 40: y})
    found = agreement_curve(a, b)
    assert list(found.steps) == [10, 40]
    assert list(found.examples) == [160, 640]
    assert found.values == pytest.approx([1, agreement(x, y).value])
    assert found.items.shape == (2, 20)


def test_runs_without_common_samples_have_no_agreement_curve(tmp_path):
    a, b = (written(tmp_path, header(half=half), []) for half in "ab")
    with pytest.raises(ConfigError, match="no step has samples of both runs"):
        agreement_curve(a, b)


def test_agreement_that_was_recorded_is_added_to_by_samples_of_later_looks(tmp_path):
    rng = np.random.default_rng(3)
    samples = {s: rng.standard_normal((8, 4)) for s in (10, 20, 40)}
    a, b = (written(tmp_path, header(half=half), [], samples) for half in "ab")
    early = [m for m in agreement_measurements(a, b) if m.step < 40]
    with RunRecord.open(a.path, a.header) as record:
        record.append(early)
    a = RunRecord.read(a.path)
    assert {m.step for m in agreement_measurements(a, b)} == {40}
    curve, chance = agreement_and_chance(a, b)
    assert curve.steps.tolist() == chance.steps.tolist() == [10, 20, 40]
    assert curve.values == pytest.approx(1)


def test_one_sample_of_each_says_nothing_of_agreement(tmp_path):
    a, b = (written(tmp_path, header(half=half), [], {10: np.ones((1, 4))}) for half in "ab")
    assert agreement_measurements(a, b) == []
    with pytest.raises(ConfigError, match="no step has samples of both"):
        agreement_curve(a, b)
