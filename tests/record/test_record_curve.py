"""Curves: measurements as columns, in the order of the steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.errors import RecordError
from taumem.record import Curve, DataFacts, Measurement, RunHeader, RunRecord


def row(step: int, *, value: float = 0.5, t: float | None = None, **more) -> Measurement:
    facts = {"quantity": "train_loss", "count": 3, "examples": 16 * step, "seconds": 0.0} | more
    return Measurement(step=step, value=value, t=t, **facts)


def record(path, rows) -> RunRecord:
    data = DataFacts(name="x", fingerprint="0", n_train=4, n_heldout=4, item_shape=(2,))
    with RunRecord.open(path, RunHeader(name="study", data=data, seed=0, batch_size=16, steps=100)) as run:
        run.append(rows)
    return RunRecord.read(path)


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e9, 1e9)), unique_by=lambda pair: pair[0], min_size=1))
def test_a_curve_is_sorted_by_step_whatever_the_order_of_the_rows(pairs):
    curve = Curve.from_measurements("train_loss", [row(step, value=value) for step, value in pairs])
    steps, values = zip(*sorted(pairs), strict=True)
    assert curve.steps.tolist() == list(steps)
    assert curve.values.tolist() == list(values)
    assert curve.examples.tolist() == [16 * step for step in steps]
    assert len(curve) == len(pairs)


def test_columns_have_their_types_and_nan_where_the_probe_gave_nothing():
    curve = Curve.from_measurements("train_loss", [row(2, se=0.25), row(1, low=0.1, high=0.9)])
    assert {c.dtype for c in (curve.steps, curve.examples, curve.counts)} == {np.dtype(np.int64)}
    assert {c.dtype for c in (curve.values, curve.se, curve.low, curve.high)} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(curve.se, [np.nan, 0.25])
    np.testing.assert_array_equal(curve.low, [0.1, np.nan])
    np.testing.assert_array_equal(curve.high, [0.9, np.nan])
    assert curve.counts.tolist() == [3, 3]


def test_items_form_a_table_in_the_order_of_the_steps():
    curve = Curve.from_measurements("train_loss", [row(2, items=(3.0, 4.0)), row(1, items=(1.0, 2.0))])
    assert curve.items is not None
    assert curve.items.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("other", [None, (1.0,), ()])
def test_items_that_do_not_pair_up_over_the_steps_are_not_given(other):
    assert Curve.from_measurements("train_loss", [row(1, items=(1.0, 2.0)), row(2, items=other)]).items is None


def test_a_curve_of_nothing_has_length_zero():
    curve = Curve.from_measurements("train_loss", [])
    assert len(curve) == 0
    assert curve.items is None


def test_a_run_tells_apart_the_levels_and_their_average(tmp_path):
    run = record(tmp_path, [row(1, value=1), row(1, value=2, t=0.15), row(1, value=3, t=0.35), row(2, value=4, t=0.15)])
    assert run.curve("train_loss").values.tolist() == [1]
    assert run.curve("train_loss", 0.15).values.tolist() == [2, 4]
    assert run.curve("train_loss", t=0.35).steps.tolist() == [1]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (("copies",), "no measurement of 'copies'; it has: gap, train_loss"),
        (("train_loss", 0.2), "no measurement of 'train_loss' at t = 0.2; it has: gap, train_loss"),
    ],
)
def test_a_quantity_that_was_not_measured_is_refused_and_those_that_were_are_named(tmp_path, ask, message):
    run = record(tmp_path, [row(1), row(1, quantity="gap")])
    with pytest.raises(RecordError, match=message):
        run.curve(*ask)


def test_a_run_without_measurements_says_so(tmp_path):
    with pytest.raises(RecordError, match="it has: none"):
        record(tmp_path, []).curve("gap")
