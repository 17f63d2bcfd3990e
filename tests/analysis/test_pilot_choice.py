"""Which pilot to make next: held against explicit fits, and said in words where there is none."""

import math
import time
import warnings
from dataclasses import replace

import pytest

from taumem.analysis import ClockLaw, Onset
from taumem.analysis.feasibility import TO_LOCATE
from taumem.analysis.pilot_choice import next_pilot, planned_pilot, width_of
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import RunKey

pytestmark = pytest.mark.filterwarnings("ignore::taumem.errors.TaumemWarning")


def clock_of(sizes, *, repeats=2, tau=lambda p: 15 * p**1.2, batch_size=4) -> ClockLaw:
    onsets = tuple(onset(p, tau(p) * (1.1 if k % 2 else 0.91), k, batch_size) for p in sizes for k in range(repeats))
    return ClockLaw("tau_val", onsets, onsets)


def onset(n_train, step, seed=0, batch_size=4) -> Onset:
    key = RunKey(n_train=n_train, batch_size=n_train if batch_size is None else batch_size, seed=seed)
    return Onset(step, step / 1.1, step * 1.1, "no", "tau_val", key)


@pytest.mark.parametrize("n_train", [16, 32, 64, 128])
def test_the_width_with_a_new_pilot_is_that_of_fits_with_its_onset_added(n_train):
    clock = clock_of((16, 32, 64))
    law = clock.forecasting()
    planned = planned_pilot(law, n_train, 256)
    guess = law.predict(n_train, confidence=2 / 3)
    refits = [
        replace(clock, fitted=(*clock.fitted, onset(n_train, step, seed=9))).forecasting()
        for step in (guess.low, guess.value, guess.high)
    ]
    widths = [width_of(refit.predict(256)) for refit in refits]
    assert planned.width_then == pytest.approx(sum(widths) / 3, rel=0.05)
    assert planned.steps == pytest.approx(TO_LOCATE * guess.value)
    assert planned.cost_share == pytest.approx(TO_LOCATE * guess.value / law.predict(256).value)


def test_where_the_slope_is_what_is_unknown_a_larger_pilot_is_the_one_to_make():
    asked = next_pilot(clock_of((16, 17), repeats=4), 4096, spent=0)
    assert asked.best.n_train >= 32
    assert asked.best.width_then < 0.7 * asked.width_now
    law = clock_of((16, 17), repeats=4).forecasting()
    widths = [planned_pilot(law, n_train, 4096).width_then for n_train in (16, 32, 128, 1024)]
    assert widths == sorted(widths, reverse=True)


def test_one_size_asks_for_another_and_not_for_the_same_again():
    asked = next_pilot(clock_of((32,)), 4096, spent=0)
    assert asked.best.n_train != 32


def test_a_pilot_beyond_the_budget_is_not_chosen_but_named():
    clock = clock_of((16, 32, 64), repeats=1)
    dear = next_pilot(clock, 256, spent=0, budget=0.01)
    assert dear.best is None
    assert dear.reason == "every one costs more than 1 % of the forecast run"
    assert dear.beyond.cost_share > 0.01
    assert f"The best of the dearer ones: P = {dear.beyond.n_train}" in " ".join(dear.sentences)
    rich = next_pilot(clock, 256, spent=0, budget=1.0)
    assert rich.best == dear.beyond
    assert (rich.beyond, rich.reason) == (None, "")


def test_what_was_spent_is_a_share_of_the_forecast_run_in_examples():
    clock = clock_of((16, 32, 64))
    run = clock.forecasting().predict(1024).examples.value
    for spent, exceeded in ((0.09 * run, False), (0.11 * run, True), (3 * run, True)):
        found = next_pilot(clock, 1024, spent=spent)
        assert found.spent_share == pytest.approx(spent / run)
        assert found.has_overspent is any("so far cost" in line for line in found.sentences) is exceeded
    assert "cost 3.00 times the forecast run, more than 10 % of it" in " ".join(found.sentences)


def test_with_full_batches_a_step_of_a_larger_pilot_costs_more():
    law = clock_of((16, 32, 64), batch_size=None).forecasting()
    planned = planned_pilot(law, 32, 256)
    assert planned.cost_share == pytest.approx(planned.steps * 32 / (law.predict(256).value * 256))


def test_pilots_must_be_larger_than_the_batch():
    small = next_pilot(clock_of((4, 8, 16), batch_size=16), 256, spent=0)
    assert (small.best, small.beyond) == (None, None)
    assert small.reason == "those so far are no larger than the batch (16), and make no law of larger ones"
    mixed = next_pilot(clock_of((8, 16, 32), batch_size=16), 4096, spent=0, budget=9)
    assert mixed.best.n_train >= 32


@pytest.mark.parametrize("n_train", [4, 16, 64])
def test_a_target_among_the_pilots_is_to_be_measured_itself(n_train):
    found = next_pilot(clock_of((16, 32, 64)), n_train, spent=0)
    assert found.best is None
    assert "its own run is the one to make" in " ".join(found.sentences)


@pytest.mark.parametrize("budget", [0, -1, math.nan, math.inf, "a tenth", None])
def test_what_is_no_budget_is_refused(budget):
    with pytest.raises(ConfigError, match="a budget is a share of the forecast run above 0"):
        next_pilot(clock_of((16, 32, 64)), 256, spent=0, budget=budget)


def test_one_run_makes_no_law_and_no_next_pilot():
    with pytest.raises(ConfigError, match="needs 2 located onsets"):
        next_pilot(clock_of((16,), repeats=1), 256, spent=0)


def test_it_takes_no_fit_for_each_size_and_no_warning():
    clock = clock_of((16, 32, 64))
    clock.forecasting()
    with warnings.catch_warnings():
        warnings.simplefilter("error", TaumemWarning)
        start = time.process_time()
        next_pilot(clock, 1_000_000, spent=0)
    assert time.process_time() - start < 4


def test_a_forecast_that_is_earlier_without_the_smallest_pilots_is_told_with_it():
    steps = {16: 300.0, 32: 600.0, 64: 900.0, 128: 1200.0}  # bends down: the smallest make it late
    onsets = tuple(Onset(s, s / 1.1, s * 1.1, "no", "tau_val", RunKey(p, 8)) for p, s in steps.items())
    clock = ClockLaw("tau_val", onsets, onsets)
    told = next_pilot(clock, 256, spent=1.0)
    without = ClockLaw("tau_val", onsets[1:], onsets[1:]).forecasting().predict(256)
    assert told.without_smallest == without
    assert without.value < 0.97 * clock.forecasting().predict(256).value
    assert any(sentence.startswith("Without the smallest pilots it is") for sentence in told.sentences)
    assert next_pilot(ClockLaw("tau_val", onsets[2:], onsets[2:]), 256, spent=1.0).without_smallest is None
