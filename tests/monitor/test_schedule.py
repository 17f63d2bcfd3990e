import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.monitor import LogCadence
from taumem.monitor.budget import Budget
from taumem.monitor.schedule import Schedule


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def followed(schedule, clock, steps, *, pace=1.0, costs=(0.0, 0.0), each=1):
    """The steps at which a loop that obeys a schedule looks, and draws samples."""
    looks, samples, wake = [], [], 0
    schedule.budget.begin(0)
    for step in range(each, steps + 1, each):
        clock.now += pace * each
        if step < wake:
            continue
        plan = schedule.plan(step)
        assert plan.again > step
        if plan.look:
            with schedule.budget.spending(*schedule.kinds(samples=plan.samples)):
                clock.now += costs[0] + (costs[1] if plan.samples else 0)
            schedule.done(step, samples=plan.samples)
            looks.append(step)
            samples += [step] if plan.samples else []
        wake = plan.again
    return looks, samples


@given(first=st.integers(1, 40), q=st.integers(1, 6), other=st.integers(1, 90), p=st.integers(1, 4))
def test_without_a_limit_looks_are_those_of_both_cadences(first, q, other, p):
    clock = Clock()
    cadence, of_samples = LogCadence(first, q), LogCadence(other, p)
    looks, samples = followed(Schedule(cadence, of_samples, Budget(None, clock)), clock, 600)
    assert samples == of_samples.steps(600)
    assert set(cadence.steps(600)) <= set(looks) | set(samples)
    assert set(looks) == set(cadence.steps(600)) | set(samples)


@given(each=st.integers(1, 30))
def test_a_loop_that_asks_every_k_steps_makes_as_many_looks_as_it_can_tell_apart(each):
    clock = Clock()
    looks, _ = followed(Schedule(LogCadence(), None, Budget(None, clock)), clock, 900, each=each)
    due = {each * -(-step // each) for step in LogCadence().steps(900)}
    assert looks == sorted(step for step in due if step <= 900)


@given(cost=st.floats(0.1, 30), dear=st.floats(0.1, 200), share=st.floats(0.01, 0.3))
def test_what_cannot_be_afforded_waits(cost, dear, share):
    clock = Clock()
    schedule = Schedule(LogCadence(), LogCadence(64, 2), Budget(share, clock))
    looks, samples = followed(schedule, clock, 20_000, costs=(cost, dear))
    assert schedule.budget.spent <= share * schedule.budget.elapsed + 2 * cost + dear
    assert len(looks) >= len(samples) >= 1


def test_losses_do_not_wait_for_samples_that_cannot_be_afforded():
    clock = Clock()
    schedule = Schedule(LogCadence(), LogCadence(64, 2), Budget(0.1, clock))
    looks, samples = followed(schedule, clock, 2000, costs=(0.1, 150.0))
    assert samples == [64]
    assert len([look for look in looks if look > 1700]) >= 1


def test_an_interrupted_schedule_goes_on_where_it_was():
    clock = Clock()
    first = Schedule(LogCadence(), LogCadence(64, 2), Budget(0.05, clock))
    followed(first, clock, 500, costs=(1.0, 3.0))
    second = Schedule(LogCadence(), LogCadence(64, 2), Budget(0.05, clock))
    second.load(first.state())
    assert (second.looked, second.sampled) == (first.looked, first.sampled)
    assert second.budget.spent == first.budget.spent
    second.back_to(20)
    assert (second.looked, second.sampled) == (20, min(first.sampled, 20))
    assert second.plan(40).look == first.budget.affords("losses")


def test_a_look_that_waits_is_told_when_to_come_again():
    clock = Clock()
    schedule = Schedule(LogCadence(first=10), None, Budget(0.1, clock))
    schedule.budget.begin(0)
    clock.now = 10
    assert schedule.plan(10).look
    with schedule.budget.spending("losses"):
        clock.now += 5
    schedule.done(10, samples=False)
    plan = schedule.plan(12)
    assert not plan.look
    assert plan.again == pytest.approx(12 + (100 - 5 - 15) / (15 / 12), abs=1)
