import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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


@given(minimum=st.floats(20, 400))
def test_a_loss_has_turned_once_its_lowest_look_lies_as_far_back_as_it_took_to_reach_it(tmp_path_factory, minimum):
    steps = np.unique(np.round(np.geomspace(10, 1000, 20)))
    loss = heldout(steps, minimum)
    items = items_of(loss, 8, np.random.default_rng(0))
    record = written(tmp_path_factory.mktemp("run"), header(), [curve("heldout_loss", steps, items)])
    lowest = steps[np.argmin(loss)]
    for step in steps:
        verdict = LossTurned().judge(record, int(step))
        best = steps[: int(np.searchsorted(steps, step)) + 1][np.argmin(loss[: int(np.searchsorted(steps, step)) + 1])]
        assert (verdict.stop, verdict.keep) == (step > 2 * best, best)
    assert LossTurned().judge(record).keep == lowest


def test_numbers_out_of_range_are_refused():
    for wrong in (lambda: CopiesExceed(0.0), lambda: CopiesExceed(0.5, looks=0), lambda: LossTurned(1.0)):
        with pytest.raises(ConfigError, match="got"):
            wrong()
