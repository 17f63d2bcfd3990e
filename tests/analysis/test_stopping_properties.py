"""What holds for every stopping rule and every record: verdicts never depend on what comes later, and power is true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import header, heldout
from scipy.stats import binom

from taumem.analysis import Interval
from taumem.analysis.stopping import (
    RULES,
    AnyOf,
    CopiesExceed,
    CopiesFound,
    ForecastReached,
    GapOpened,
    Located,
    LossTurned,
    MembersFound,
    Reason,
    rule_named,
)
from taumem.analysis.stopping.verdict import FEWEST_ITEMS
from taumem.errors import ConfigError
from taumem.record import Estimate, Measurement, RunRecord

STEPS = np.unique(np.round(np.geomspace(8, 2048, 33))).astype(int)
EVERY = (
    *RULES.values(),
    CopiesExceed(0.1),
    ForecastReached(Interval(300.0, 150.0, 600.0, confidence=0.5)),
    Located("tau_val", at_most=1000),
    AnyOf(tuple(RULES.values())),
)


def record_of(**looks):
    """A run in memory; of each quantity the looks at which it was measured, by step."""
    rows = [
        Measurement.of(Estimate(quantity=quantity, **facts), step=int(step), examples=16 * int(step), seconds=0.0)
        for quantity, measured in looks.items()
        for step, facts in measured.items()
    ]
    return RunRecord.of(header(), sorted(rows, key=lambda row: row.step))


def loss_of(items):
    return {"value": float(items.mean()), "items": tuple(items.tolist()), "count": len(items)}


def noisy(course, n, rng, jitter, own=0.02):
    """The loss of each item at each look, by step."""
    hardness = rng.gamma(4.0, 0.25, n)
    shared = course * np.exp(jitter * rng.standard_normal(len(course)))
    items = shared[:, None] * hardness * np.exp(own * rng.standard_normal((len(course), n)))
    return dict(zip(STEPS, map(loss_of, items), strict=True))


@st.composite
def records(draw):
    """Runs that memorize soon, late or never, of which not everything was asked at every look."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_train, n_heldout = (draw(st.sampled_from([4, 12, 40])) for _ in range(2))
    onset = draw(st.sampled_from([50, 300, 1e6]))
    course, jitter = heldout(STEPS.astype(float), onset), draw(st.sampled_from([0.0, 0.01, 0.05]))
    gap = np.clip(0.2 * np.log(STEPS / onset), 0, 0.9)
    looks = {
        "train_loss": noisy(course * (1 - gap), n_train, rng, jitter),
        "heldout_loss": noisy(course, n_heldout, rng, jitter),
        "membership_auc": {s: {"value": float(v), "se": 0.03} for s, v in zip(STEPS, 0.5 + gap / 2, strict=True)},
        "copy_fraction": {
            s: {"value": rng.binomial(64, v) / 64, "count": 64} for s, v in zip(STEPS, gap / 2, strict=True)
        },
        "copy_fraction_chance": {s: {"value": 2 / 128, "count": 128} for s in STEPS},
    }
    for quantity in list(looks):
        kept = rng.random(len(STEPS)) < draw(st.sampled_from([0.0, 0.5, 1.0, 1.0]))
        looks[quantity] = {s: facts for s, facts in looks[quantity].items() if kept[list(STEPS).index(s)]}
    if draw(st.booleans()):
        looks["heldout_loss"][0] = loss_of(rng.gamma(4.0, 0.5, n_heldout))
    return record_of(**looks)


@given(records(), st.sampled_from(EVERY))
def test_later_looks_never_change_the_verdict_of_an_earlier_step(record, rule):
    for step in record.steps[::3]:
        as_it_stood = RunRecord.of(record.header, [m for m in record.measurements if m.step <= step])
        verdict = rule.judge(record, step)
        assert verdict == rule.judge(as_it_stood) == rule.judge(as_it_stood, step)
        assert verdict.step == step
        assert verdict.keep is None or verdict.keep <= step or verdict.reason is Reason.FORECAST
        assert verdict.interval is None or verdict.interval[0] <= (verdict.since or 0) <= verdict.interval[1]
        assert str(verdict)


@given(records())
def test_of_several_rules_one_that_stops_is_enough(record):
    together = AnyOf(tuple(RULES.values())).judge(record)
    alone = [rule.judge(record) for rule in RULES.values()]
    assert together.stop == any(verdict.stop for verdict in alone)
    assert set(together.not_checked) == {why for verdict in alone for why in verdict.not_checked}
    if together.stop:
        assert together.since == min(verdict.since for verdict in alone if verdict.stop)


# --- what would have been seen ----------------------------------------------------------------------------------------


def told(power):
    """The percentage that a sentence names."""
    return float(power.split(" %")[0].split()[-1]) / 100


def test_a_gap_as_large_as_is_told_is_seen_nineteen_times_out_of_twenty():
    rng = np.random.default_rng(1)
    course, after = heldout(STEPS.astype(float), 1e6), STEPS > 300

    def run(grown):
        common = course * np.exp(0.01 * rng.standard_normal(len(STEPS)))
        return record_of(
            train_loss=noisy(common * (1 - grown * after), 32, rng, 0.0),
            heldout_loss=noisy(common, 64, rng, 0.0),
        )

    smallest = np.median([told(GapOpened().judge(run(0.0)).power) for _ in range(5)])
    assert 0.1 < smallest < 0.25
    assert sum(GapOpened().judge(run(1.1 * smallest)).stop for _ in range(20)) >= 18


@pytest.mark.parametrize("falling", [True, False])
def test_a_rise_as_large_as_is_told_is_seen_nineteen_times_out_of_twenty(falling):
    rng = np.random.default_rng(2)

    course = 1 + 50 / STEPS if falling else np.maximum(2 - STEPS / 100, 1.0)
    ramp = np.clip(np.log(STEPS / 500) / np.log(STEPS[-2:].mean() / 500), 0, None)

    def judged(course):
        return LossTurned().judge(record_of(heldout_loss=noisy(course, 64, rng, 0.01)))

    smallest = np.median([told(judged(course).power) for _ in range(5)])
    assert 0.05 < smallest < 0.2
    turning = np.where(STEPS <= 500, course, course[STEPS <= 500].min() * (1 + 1.2 * smallest * ramp))
    assert sum(judged(turning).stop for _ in range(20)) >= 18


def test_copies_as_many_as_is_told_are_counted_nineteen_times_out_of_twenty():
    looks = {step: {"value": 0.0, "count": 64} for step in STEPS[:6]}
    record = record_of(copy_fraction=looks, copy_fraction_chance={s: {"value": 0.0, "count": 512} for s in looks})
    power = CopiesFound().judge(record).power
    least = int(power.split("from ")[1].split(" of")[0])
    share = float(power.split("if ")[1].split(" %")[0]) / 100
    assert binom.sf(least - 1, 64, share + 0.005) >= 0.95 >= binom.sf(least - 1, 64, share - 0.006)


# --- what is not checked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_items", [2, FEWEST_ITEMS - 1])
def test_of_few_items_nothing_is_said(n_items):
    rng = np.random.default_rng(0)
    course = heldout(STEPS.astype(float), 100)
    few = {
        "train_loss": noisy(course / (1 + STEPS / 100), n_items, rng, 0.0),
        "heldout_loss": noisy(course, n_items, rng, 0.0),
    }
    record = record_of(**few, membership_auc={s: {"value": 1.0, "se": 0.0} for s in STEPS})
    for rule in (LossTurned(), GapOpened(), MembersFound()):
        verdict = rule.judge(record)
        assert not verdict.stop
        assert f"{FEWEST_ITEMS} items" in " ".join(verdict.not_checked)


def test_a_gap_that_is_there_from_the_first_look_is_named_if_items_do_not_explain_it():
    rng = np.random.default_rng(0)
    course = heldout(STEPS.astype(float), 1e6)
    held = noisy(course, 64, rng, 0.003)
    known = GapOpened().judge(record_of(train_loss=noisy(course * 0.3, 64, rng, 0.003), heldout_loss=held))
    alike = GapOpened().judge(record_of(train_loss=noisy(course, 64, rng, 0.003), heldout_loss=held))
    assert not known.stop
    assert "already" in " ".join(known.not_checked)
    assert not alike.not_checked


def test_the_interval_of_a_minimum_holds_it():
    rng = np.random.default_rng(3)
    verdicts = [
        LossTurned().judge(record_of(heldout_loss=noisy(heldout(STEPS.astype(float), 200), 64, rng, 0.01)))
        for _ in range(20)
    ]
    assert all(verdict.stop for verdict in verdicts)
    assert sum(verdict.interval[0] <= 200 <= verdict.interval[1] for verdict in verdicts) >= 16
    assert np.median([verdict.interval[1] / verdict.interval[0] for verdict in verdicts]) < 3


def test_the_rule_of_a_forecast_needs_more_than_its_name():
    with pytest.raises(ConfigError, match="ForecastReached"):
        rule_named("forecast")
