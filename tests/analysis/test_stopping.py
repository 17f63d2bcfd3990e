import numpy as np
import pytest
from planted import curve, header, heldout, items_of, share_curve, written

from taumem.analysis import CopiesExceed, LossTurned
from taumem.errors import ConfigError

LOOKS = np.array([10.0, 20.0, 40.0, 80.0, 160.0])


def copying(folder, copies, chance=(0, 0, 0, 0, 0)):
    n = len(copies)
    curves = [
        share_curve("copy_fraction", LOOKS[:n], list(copies), 100),
        share_curve("copy_fraction_chance", LOOKS[:n], list(chance)[:n], 100),
    ]
    return written(folder, header(), curves)


def test_copies_above_chance_in_two_looks_one_after_another_stop_a_run(tmp_path):
    rule = CopiesExceed(0.2)
    assert not rule.judge(copying(tmp_path, [0, 30, 10, 30])).stop
    verdict = rule.judge(copying(tmp_path, [0, 30, 10, 30, 40]))
    assert (verdict.stop, verdict.since) == (True, 80)
    assert not rule.judge(copying(tmp_path, [0, 0, 0, 30, 40], chance=[0, 0, 0, 0, 25])).stop
    assert not rule.judge(written(tmp_path, header(), [])).stop


def test_a_verdict_up_to_a_step_is_that_of_the_run_as_it_stood_then(tmp_path):
    record = copying(tmp_path, [0, 30, 40, 50, 60])
    assert [CopiesExceed(0.2).judge(record, step).stop for step in (10, 20, 39, 40, 160)] == [
        False,
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("minimum", [30, 80, 200, 400])
def test_a_loss_has_turned_once_it_is_above_its_lowest_by_more_than_its_noise(tmp_path, minimum):
    steps = np.unique(np.round(np.geomspace(10, 2000, 40)))
    rng = np.random.default_rng(0)
    loss = heldout(steps, minimum) * (1 + 0.003 * rng.standard_normal(len(steps)))
    record = written(tmp_path, header(), [curve("heldout_loss", steps, items_of(loss, 64, rng, noise=0.02))])
    stops = [step for step in steps if LossTurned().judge(record, int(step)).stop]
    assert stops == [step for step in steps if step >= stops[0]]
    assert 1.2 * minimum < stops[0] < 4 * minimum
    assert LossTurned().judge(record).keep == steps[np.argmin(loss)]
    assert LossTurned().judge(record).since == steps[np.argmin(loss)]


@pytest.mark.parametrize("jitter", [0.0, 0.001, 0.01])
def test_a_loss_that_never_rises_never_turns(tmp_path, jitter):
    steps = np.unique(np.round(np.geomspace(10, 2000, 30)))
    falling = heldout(steps, 1e6)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for loss in (falling, np.maximum(falling, falling[15]), np.full(len(steps), 1.0)):
            loss = loss * (1 + jitter * rng.standard_normal(len(steps)))
            record = written(tmp_path, header(), [curve("heldout_loss", steps, items_of(loss, 16, rng))])
            assert not any(LossTurned().judge(record, int(step)).stop for step in steps)
    assert not LossTurned().judge(written(tmp_path, header(), [])).stop


def test_a_rule_judges_a_run_that_was_torn_between_two_facts_of_a_look(tmp_path):
    curves = [
        share_curve("copy_fraction", LOOKS, [0, 0, 30, 40, 50], 100),
        share_curve("copy_fraction_chance", LOOKS[:4], [0, 0, 0, 0], 100),
    ]
    verdict = CopiesExceed(0.2).judge(written(tmp_path, header(), curves))
    assert (verdict.stop, verdict.since) == (True, 40)


def test_numbers_out_of_range_are_refused():
    for wrong in (lambda: CopiesExceed(0.0), lambda: CopiesExceed(0.5, looks=0), lambda: LossTurned(0.0)):
        with pytest.raises(ConfigError, match="got"):
            wrong()
