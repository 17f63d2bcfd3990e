"""The clock of means: where it strikes, and where it must not."""

import numpy as np
import pytest
from planted import STEPS, curve, header, heldout, items_of, written

from taumem.analysis import CLOCKS, Study, find_onsets
from taumem.analysis.clocks import tau_val_mean
from taumem.analysis.clocks.means import lowest_look
from taumem.analysis.stopping.means import judge_means
from taumem.errors import ConfigError
from taumem.record import Curve, Measurement, RunRecord


def means(values, steps=STEPS):
    rows = [
        Measurement(quantity="heldout_loss", value=float(v), count=0, step=int(s), examples=0, seconds=0.0)
        for s, v in zip(steps, values, strict=True)
    ]
    return Curve.from_measurements("heldout_loss", rows)


def jittered(values, share, seed=0, correlation=0.0):
    rng, noise = np.random.default_rng(seed), np.zeros(len(values))
    for k in range(len(values)):
        noise[k] = (correlation * noise[k - 1] if k else 0) + np.sqrt(1 - correlation**2) * rng.standard_normal()
    return values * np.exp(share * noise)


def test_it_finds_the_minimum_of_a_smooth_curve():
    placed = tau_val_mean(means(heldout(STEPS.astype(float), 400.0)))
    assert placed.usable
    assert placed.step == pytest.approx(400, rel=0.03)
    assert placed.low < 400 < placed.high


@pytest.mark.parametrize("seed", range(5))
def test_its_interval_holds_the_minimum_and_is_wider_with_more_noise(seed):
    true = heldout(STEPS.astype(float), 400.0)
    spans = []
    for share in (0.001, 0.01):
        placed = tau_val_mean(means(jittered(true, share, seed, correlation=0.5)))
        assert placed.low <= 400 <= placed.high
        spans.append(placed.high / placed.low)
    assert spans[1] > spans[0]


def test_more_confidence_is_a_wider_interval():
    curve = means(jittered(heldout(STEPS.astype(float), 400.0), 0.01))
    narrow, wide = (tau_val_mean(curve, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize(
    "true", [np.ones(len(STEPS)), 1 + 10 / STEPS, 1 + np.exp(-STEPS / 100)], ids=["flat", "falls", "stays"]
)
def test_a_loss_that_only_jitters_has_not_turned(true, correlation):
    turned = [tau_val_mean(means(jittered(true, 0.02, seed, correlation))).usable for seed in range(40)]
    assert sum(turned) <= 2


def test_spikes_at_the_end_are_no_turn():
    values = 1 + 10 / STEPS
    values[-2:] += 3
    assert tau_val_mean(means(values)).censored == "right"


def test_a_loss_that_rises_from_the_first_look_was_lowest_by_then():
    placed = tau_val_mean(means(0.1 + 0.001 * np.log(STEPS)))
    assert (placed.censored, placed.low) == ("left", 0.0)


def test_few_looks_are_refused_by_the_clock_and_told_by_the_verdict():
    few = means([1.0, 0.5, 0.4, 0.5, 0.9], [10, 20, 30, 40, 50])
    with pytest.raises(ConfigError, match="5 look"):
        tau_val_mean(few)
    verdict = judge_means(few)
    assert not verdict.stop
    assert "5 looks" in verdict.not_watched
    assert verdict.power == ""


def test_a_verdict_names_the_unit_of_its_looks():
    assert "was lowest at epoch " in judge_means(means(heldout(STEPS.astype(float), 400.0)), unit="epoch").message


def test_the_look_to_keep_is_the_nearest_to_the_smoothed_minimum_not_a_lucky_one():
    values = heldout(STEPS.astype(float), 400.0)
    values[-5] = 0.9 * values.min()
    kept = lowest_look(means(values))
    assert abs(np.log(kept / 400)) < 0.2


def test_the_base_model_is_kept_where_the_loss_only_rises_from_it():
    rising = means(0.1 + 0.01 * np.log1p(np.arange(20)), np.arange(20) * 10)
    assert judge_means(rising).keep == 0


def test_it_is_read_of_records_without_items_and_of_no_others(tmp_path):
    true = heldout(STEPS.astype(float), 400.0)
    alone = RunRecord.of(
        header(),
        [
            Measurement(quantity="heldout_loss", value=float(v), step=int(s), examples=0, seconds=0.0)
            for s, v in zip(STEPS, true, strict=True)
        ],
    )
    assert [onset.clock for onset in find_onsets([alone])] == ["tau_val_mean"]
    items = items_of(true, 64, np.random.default_rng(0))
    with_items = written(tmp_path, header(), [curve("heldout_loss", STEPS.astype(float), items)])
    assert "tau_val_mean" not in {onset.clock for onset in find_onsets([with_items])}
    assert not any("tau_val_mean" in sentence for sentence in Study.of([with_items]).missing())
    assert CLOCKS["tau_val_mean"].instead_of == "tau_val"


def test_it_is_tau_val_within_its_interval_where_items_are_known(tmp_path):
    true = heldout(STEPS.astype(float), 400.0)
    items = items_of(true, 64, np.random.default_rng(0), noise=0.01)
    record = written(tmp_path, header(), [curve("heldout_loss", STEPS.astype(float), items)])
    (val,) = (onset for onset in find_onsets([record]) if onset.clock == "tau_val")
    placed = tau_val_mean(means(items.mean(1)))
    assert placed.low <= val.step <= placed.high
