"""The cadence, against brute force."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.errors import ConfigError
from taumem.monitor import LogCadence

cadences = st.builds(LogCadence, first=st.integers(1, 300), per_doubling=st.integers(1, 40))


def brute_force(cadence: LogCadence, until: int) -> set[int]:
    every = (round(cadence.first * 2 ** (k / cadence.per_doubling)) for k in range(12 * cadence.per_doubling + 1))
    return {step for step in every if step <= until}


@given(cadences, st.integers(0, 1000))
def test_the_steps_are_those_of_the_formula_ascending_and_each_once(cadence, until):
    assert cadence.steps(until) == sorted(brute_force(cadence, until))


@given(cadences)
def test_due_says_of_every_step_what_the_formula_says(cadence):
    assert {step for step in range(-2, 600) if cadence.due(step)} == brute_force(cadence, 599)


@given(cadences, st.integers(0, 400))
def test_due_and_steps_agree_far_out(cadence, k):
    far = round(cadence.first * 2 ** (k / 10))
    later = cadence.steps(until=far)
    assert cadence.due(far) == (far in later)
    for step in later[-3:]:
        assert cadence.due(step)
        assert cadence.due(step + 1) == (step + 1 in cadence.steps(until=step + 1))


@given(cadences, st.integers(0, 1000), st.integers(0, 1000))
def test_a_look_is_due_if_a_step_of_the_formula_has_come_since(cadence, step, since):
    assert cadence.due(step, since) == any(since < look <= step for look in brute_force(cadence, step))


@given(cadences)
def test_two_looks_lie_a_constant_factor_apart_but_for_rounding(cadence):
    steps = cadence.steps(until=10_000)
    factor = 2 ** (1 / cadence.per_doubling)
    for a, b in pairwise(steps):
        assert b <= factor * (a + 0.5) + 0.5


def test_asking_costs_the_same_at_any_step():
    cadence = LogCadence(first=1, per_doubling=1000)
    began = time.process_time()
    for step in range(10**9, 10**9 + 1000):
        cadence.due(step)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("arguments", [{"first": 0}, {"per_doubling": 0}, {"first": -3}])
def test_a_cadence_that_never_begins_is_refused(arguments):
    with pytest.raises(ConfigError, match="at least 1; got"):
        LogCadence(**arguments)


@given(first=st.integers(1, 50), per_doubling=st.integers(1, 8), step=st.integers(0, 10_000))
def test_the_next_look_is_the_first_of_all_that_comes_after(first, per_doubling, step):
    cadence = LogCadence(first=first, per_doubling=per_doubling)
    assert cadence.after(step) == next(look for look in cadence.steps(4 * step + 4 * first + 4) if look > step)
