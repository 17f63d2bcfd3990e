"""One curve for each run: what was resumed goes on, what began again is another run, and nothing is mixed."""

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import STEPS, falling, points, turning, write_lines

from taumem.errors import DataError
from taumem.logs import read_logs
from taumem.logs.series import Points, runs_of


def written(*rows, times=None):
    steps, values = zip(*rows, strict=True) if rows else ((), ())
    return Points(array("d", steps), array("d", values), times or [])


def test_a_resumed_run_counts_what_it_wrote_last():
    before = [(100 * k, 1.0) for k in range(1, 11)]
    after = [(100 * k, 2.0) for k in range(8, 16)]
    (run,) = runs_of([written(*before, *after)])
    assert list(run.steps) == [100 * k for k in range(1, 16)]
    assert list(run.values) == [1.0] * 7 + [2.0] * 8
    assert "went back to step 800" in run.notes[0]
    assert "3 of 10 values" in run.notes[0]
    (same,) = runs_of([written(*before), written(*after)])
    assert list(same.values) == list(run.values)


def test_a_run_that_begins_again_is_another_run():
    one, two = [(100 * k, 1.0) for k in range(1, 11)], [(100 * k, 2.0) for k in range(1, 11)]
    assert [list(run.values) for run in runs_of([written(*one, *two)])] == [[1.0] * 10, [2.0] * 10]


def test_what_was_written_at_the_same_time_is_another_run():
    one = written(*[(100 * k, 1.0) for k in range(1, 11)], times=[0.0, 10.0])
    two = written(*[(100 * k, 2.0) for k in range(2, 12)], times=[5.0, 15.0])
    assert len(runs_of([one, two])) == 2
    later = written(*[(100 * k, 2.0) for k in range(2, 12)], times=[11.0, 15.0])
    assert len(runs_of([one, later])) == 1


def test_what_has_another_cadence_or_lies_far_beyond_is_another_run():
    one = written(*[(100 * k, 1.0) for k in range(1, 21)])
    assert len(runs_of([one, written(*[(250 * k, 2.0) for k in range(1, 9)])])) == 2
    assert len(runs_of([one, written(*[(100 * k, 2.0) for k in range(50, 60)])])) == 2
    assert len(runs_of([one, written(*[(100 * k, 2.0) for k in range(21, 30)])])) == 1


def test_runs_that_take_turns_in_one_file_are_refused():
    rows = [(100 * k, value) for k in range(1, 21) for value in (1.0, 2.0)]
    with pytest.raises(DataError, match="several runs or processes"):
        runs_of([written(*rows)])
    shifted = [(100 * k + shift, value) for k in range(1, 21) for shift, value in ((60, 1.0), (0, 2.0), (60, 1.1))]
    with pytest.raises(DataError, match="several runs or processes"):
        runs_of([written(*shifted)])


def test_a_step_that_comes_twice_with_the_same_value_is_nothing_to_speak_of():
    (run,) = runs_of([written(*[(100 * k, 1.0) for k in range(1, 11) for _ in range(2)])])
    assert (len(run), run.notes) == (10, ())


def test_values_that_are_not_finite_are_left_out_and_counted():
    rows = [(100.0, 1.0), (200.0, float("nan")), (300.0, float("inf")), (float("nan"), 1.0), (-1.0, 1.0), (400.0, 2.0)]
    (run,) = runs_of([written(*rows)])
    assert list(run.steps) == [100, 400]
    assert "4 of 6 values" in run.notes[0]
    assert runs_of([written((1.0, float("nan")))]) == []


def test_steps_that_are_not_whole_are_refused():
    with pytest.raises(DataError, match=r"0\.5 are not whole"):
        runs_of([written((0.5, 1.0), (1.0, 1.0))])


@given(st.permutations(range(1, 31)))
def test_rows_in_any_order_give_one_curve_or_stretches_of_it(order):
    rows = [(100 * k, float(k)) for k in order]
    for run in runs_of([written(*rows)]):
        assert (np.diff(run.steps) > 0).all()
        np.testing.assert_array_equal(run.values, run.steps / 100)


def test_rows_that_were_shuffled_are_sorted(tmp_path):
    order = np.random.default_rng(0).permutation(len(STEPS))
    (log,) = read_logs(write_lines(tmp_path / "a.jsonl", [points(turning())[k] for k in order]))
    np.testing.assert_allclose(log.heldout.values, turning())
    assert "sorted by their steps" in log.notes[0]


def test_two_runs_that_were_appended_to_one_file_are_two_logs(tmp_path):
    file = write_lines(tmp_path / "a.jsonl", points(turning()) + points(falling()))
    one, two = read_logs(file)
    np.testing.assert_allclose(one.heldout.values, turning())
    np.testing.assert_allclose(two.heldout.values, falling())
    assert "(run 2 of 2)" in two.name
