import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.errors import ConfigError
from taumem.monitor.budget import Budget


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@given(
    share=st.floats(0.005, 0.5),
    pace=st.floats(0.001, 1.0),
    cost=st.floats(0.001, 20.0),
    dearer=st.floats(1.0, 20.0),
    every=st.integers(1, 40),
)
def test_looks_keep_within_their_share_once_the_first_of_each_kind_is_paid_for(share, pace, cost, dearer, every):
    clock = Clock()
    budget = Budget(share, clock)
    budget.begin(0)
    looks, step = 0, 0
    while step < 4000:
        step += 1
        clock.now += pace
        kinds = ("losses", "samples") if step % (7 * every) == 0 else ("losses",)
        if step % every == 0 and budget.affords(*kinds):
            looks += 1
            with budget.spending(*kinds):
                clock.now += cost * (dearer if "samples" in kinds else 1)
    first_ones = cost * (1 + dearer)
    assert budget.spent <= share * budget.elapsed + first_ones + 1e-6
    assert looks >= 1


def test_it_says_how_many_steps_a_look_has_to_wait():
    clock = Clock()
    budget = Budget(0.1, clock)
    budget.begin(0)
    clock.now += 10  # ten steps of a second
    with budget.spending("losses"):
        clock.now += 2
    assert not budget.affords("losses")
    # 2 + 2 seconds of looks need 40 seconds in all, 2 of which are the look itself; 12 are over, at 1.2 a step
    assert budget.steps_to_wait(10, "losses") == 22
    clock.now += 26
    assert budget.affords("losses")
    assert budget.waits == 1


def test_without_a_limit_everything_can_be_afforded():
    budget = Budget(None)
    budget.begin(0)
    with budget.spending("losses"):
        pass
    assert budget.affords("losses", "samples")


def test_it_goes_on_where_another_process_was():
    clock = Clock()
    first = Budget(0.1, clock)
    first.begin(0)
    with first.spending("losses"):
        clock.now += 5
    second = Budget(0.1, clock)
    second.load(first.state())
    second.begin(0)
    assert (second.spent, second.elapsed) == (5, 5)
    assert not second.affords("losses")


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="budget"):
        Budget(share)
