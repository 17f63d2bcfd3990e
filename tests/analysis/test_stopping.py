import json
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from planted import curve, header, heldout, items_of, share_curve, written
from scipy.stats import fisher_exact

from taumem.analysis import Interval
from taumem.analysis.stopping import (
    RULES,
    AnyOf,
    Checkpoint,
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
from taumem.analysis.stopping.shares import ATTACKS
from taumem.errors import ConfigError
from taumem.record import Estimate, Measurement, RunRecord

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


# --- the guard's rules ------------------------------------------------------------------------------------------------


STEPS = np.unique(np.round(np.geomspace(8, 4096, 37)))


def losses(folder, gap, *, n_train=32, n_heldout=128, difficulty=0.0, jitter=0.003, seed=0, falling=True):
    """A run whose training loss is a share lower than the held-out one, look by look."""
    rng = np.random.default_rng(seed)
    course = heldout(STEPS, 1e6) if falling else np.ones(len(STEPS))
    shared = course * np.exp(jitter * rng.standard_normal(len(STEPS)))
    train = items_of(shared * (1 - gap) * (1 + difficulty), n_train, rng, noise=0.02)
    curves = [
        curve("train_loss", STEPS, train),
        curve("heldout_loss", STEPS, items_of(shared, n_heldout, rng, noise=0.02)),
    ]
    return written(folder, header(), curves)


def with_errors(quantity, values, se):
    """A run that holds one number with its error at each look."""
    estimates = [Estimate(quantity=quantity, value=float(v), se=se) for v in values]
    rows = [
        Measurement.of(estimate, step=int(step), examples=0, seconds=0.0)
        for estimate, step in zip(estimates, STEPS, strict=True)
    ]
    return RunRecord.of(header(), rows)


def first_stop(rule, record):
    return next((int(s) for s in STEPS if rule.judge(record, int(s)).stop), None)


@pytest.mark.parametrize("opens", [60, 250, 1000])
def test_a_gap_is_seen_to_open_soon_after_it_has_passed_its_share(tmp_path, opens):
    gap = np.clip(0.1 + 0.15 * np.log(STEPS / opens), 0, 0.9)
    record = losses(tmp_path, gap)
    stop = first_stop(GapOpened(), record)
    assert opens < stop < 3 * opens
    verdict = GapOpened().judge(record, stop)
    assert verdict.reason is Reason.GAP_OPENED
    assert verdict.interval[0] / 1.5 < opens < 1.5 * verdict.interval[1]
    assert verdict.keep <= stop
    assert "%" in verdict.message


@pytest.mark.parametrize("difficulty", [-0.4, -0.1, 0.0, 0.3])
def test_sets_that_differ_in_difficulty_only_open_no_gap(tmp_path, difficulty):
    for falling in (True, False):
        record = losses(tmp_path / str(falling), 0 * STEPS, difficulty=difficulty, jitter=0.02, falling=falling)
        assert first_stop(GapOpened(), record) is None
        verdict = GapOpened().judge(record)
        assert "would have been seen" in verdict.power
        assert verdict.keep is not None


def test_what_gap_could_have_been_seen_is_told_and_shrinks_with_the_number_of_items(tmp_path):
    def seen(n):
        power = GapOpened().judge(losses(tmp_path / str(n), 0 * STEPS, n_train=n, n_heldout=n)).power
        return float(power.split(" by ")[1].split(" %")[0])

    assert 10 <= seen(512) < seen(8) < 50


def test_the_gap_of_two_models_serves_where_nothing_is_held_out():
    gap = np.clip(0.1 + 0.15 * np.log(STEPS / 250), 0, 0.9)
    record = with_errors("gap_sym", gap, 0.01)
    assert 250 < first_stop(GapOpened(), record) < 750


def copies(folder, counted, n=64, chance=0, n_chance=512):
    steps = STEPS[::4][: len(counted)]
    curves = [
        share_curve("copy_fraction", steps, list(counted), n),
        share_curve("copy_fraction_chance", steps, [chance] * len(counted), n_chance),
    ]
    return written(folder, header(), curves)


def test_copies_are_found_where_fishers_test_passes_what_the_look_may_spend(tmp_path):
    counted = [0, 0, 1, 2, 3, 4, 5, 9]
    record = copies(tmp_path, counted)
    for k, step in enumerate(record.steps, start=1):
        p = [fisher_exact([[c, 64 - c], [0, 512]], "greater").pvalue for c in counted[:k]]
        passed = [p[j] < 0.05 / ((j + 1) * (j + 2)) for j in range(k)]
        verdict = CopiesFound().judge(record, step)
        assert verdict.stop == any(passed)
        if verdict.stop:
            assert verdict.since == record.steps[passed.index(True)]
            assert verdict.interval == (record.steps[passed.index(True) - 1], verdict.since)
            assert verdict.reason is Reason.COPIES
    assert CopiesFound().judge(record).stop


def test_as_many_copies_as_chance_gives_are_none_and_the_power_is_told(tmp_path):
    verdict = CopiesFound().judge(copies(tmp_path, [6, 7, 5, 8, 6], chance=51))
    assert not verdict.stop
    least = int(verdict.power.split("from ")[1].split(" of")[0])
    p = fisher_exact([[least, 64 - least], [51, 512 - 51]], "greater").pvalue
    assert p < 0.05 / (5 * 6)
    assert fisher_exact([[least - 1, 65 - least], [51, 512 - 51]], "greater").pvalue >= 0.05 / (5 * 6)


@pytest.mark.slow
def test_false_alarms_of_copies_are_as_rare_as_is_stated_over_whole_runs(tmp_path):
    rng = np.random.default_rng(3)
    alarms = 0
    for run in range(150):
        counted = rng.binomial(64, 0.1, 10)
        record = copies(tmp_path / str(run), counted, chance=int(rng.binomial(512, 0.1)))
        alarms += CopiesFound(alpha=0.2).judge(record).stop
    assert alarms / 150 < 0.2


def test_membership_stops_once_it_is_certainly_above_its_level():
    auc = np.clip(0.5 + 0.1 * np.log(np.maximum(STEPS / 100, 1)), 0, 1)
    record = with_errors("membership_auc", auc, 0.02)
    stop = first_stop(MembersFound(0.6), record)
    k = list(STEPS).index(stop) + 1
    z = NormalDist().inv_cdf(1 - 0.05 / (k * (k + 1)))
    assert auc[k - 1] - 0.02 * z > 0.6
    verdict = MembersFound(0.6).judge(record, stop)
    assert (verdict.since, verdict.reason) == (stop, Reason.MEMBERS)
    assert "would have been seen" in MembersFound(0.6).judge(record, 50).power


def test_membership_is_judged_by_an_attack_where_one_was_made():
    record = with_errors("membership_auc[pia]", np.full(len(STEPS), 0.8), 0.02)
    verdict = MembersFound(attack="pia").judge(record)
    assert verdict.stop
    assert "lower error of pia than" in verdict.message
    (why,) = MembersFound(attack="secmi").judge(record).not_checked
    assert why == "Membership: the attack secmi was not made."


def test_an_attack_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"no attack is called 'nope'; Known: averaged, exact, pia, secmi\."):
        MembersFound(attack="nope")
    assert [MembersFound(attack=name).attack for name in ATTACKS] == list(ATTACKS)


def test_members_that_are_told_at_the_first_look_may_have_been_known_before_and_the_verdict_says_so():
    verdict = MembersFound().judge(with_errors("membership_auc", np.full(len(STEPS), 0.8), 0.02))
    assert verdict.stop
    assert "it was so at the first look" in verdict.not_checked[0]
    later = MembersFound().judge(with_errors("membership_auc", np.where(STEPS > 100, 0.8, 0.5), 0.02))
    assert later.stop
    assert not later.not_checked


def test_a_forecast_stops_at_the_lower_end_of_its_interval(tmp_path):
    rule = ForecastReached(Interval(500.0, 400.2, 700.0, confidence=0.5))
    record = losses(tmp_path, 0 * STEPS)
    assert not rule.judge(record, 400).stop
    verdict = rule.judge(record, 401)
    assert (verdict.stop, verdict.since, verdict.interval) == (True, 401, (401, 700))
    with pytest.raises(ConfigError, match="above 0"):
        ForecastReached(Interval(1.0, 0.0, 2.0, confidence=0.9))


def test_a_pilot_stops_once_its_clock_is_located_or_at_its_limit(tmp_path):
    rng = np.random.default_rng(0)
    record = written(
        tmp_path, header(), [curve("heldout_loss", STEPS, items_of(heldout(STEPS, 200), 64, rng, noise=0.01))]
    )
    stop = first_stop(Located("tau_val"), record)
    assert 200 < stop < 1200
    assert Located("tau_val").judge(record, stop).since == pytest.approx(200, rel=0.4)
    assert first_stop(Located("tau_val", at_most=100), record) == next(int(s) for s in STEPS if s >= 100)
    with pytest.raises(ConfigError, match="tau_val"):
        Located("tau_vall")


def test_any_of_several_rules_lets_the_first_onset_speak_and_joins_what_is_not_known(tmp_path):
    gap = np.clip(0.1 + 0.15 * np.log(STEPS / 250), 0, 0.9)
    record = losses(tmp_path, gap)
    rule = AnyOf((LossTurned(), GapOpened(), CopiesFound()))
    before, after = rule.judge(record, 60), rule.judge(record)
    assert not before.stop
    assert "no samples were drawn" in " ".join(before.not_checked)
    assert before.power.count("would have been seen") == 2
    assert (after.stop, after.reason) == (True, Reason.GAP_OPENED)
    assert rule.name == "quality or balanced or no_copies"
    with pytest.raises(ConfigError, match="at least one"):
        AnyOf(())


@pytest.mark.parametrize("rule", [*RULES.values(), AnyOf(tuple(RULES.values()))], ids=lambda rule: rule.name)
def test_a_rule_is_a_function_of_what_was_recorded_up_to_a_step(tmp_path, rule):
    gap = np.clip(0.1 + 0.15 * np.log(STEPS / 250), 0, 0.9)
    whole = losses(tmp_path / "whole", gap)
    for step in STEPS[5::6]:
        cut = RunRecord.of(whole.header, [m for m in whole.measurements if m.step <= step])
        assert rule.judge(whole, int(step)) == rule.judge(cut) == rule.judge(cut, int(step))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_record_that_lacks_what_a_rule_needs_is_told_and_never_stops(tmp_path, rule):
    verdict = rule.judge(written(tmp_path, header(), []))
    assert not verdict.stop
    assert verdict.not_checked


def test_a_verdict_can_be_printed_and_written_as_json(tmp_path):
    record = losses(tmp_path, np.clip(0.1 + 0.15 * np.log(STEPS / 250), 0, 0.9))
    verdict = replace(
        GapOpened().judge(record), step=4096, examples=65536, passes=2048.0, checkpoint=Checkpoint(512, "a.pt")
    )
    text = str(verdict)
    for part in ("Stop.", "Since step", "Keep the weights", "that of step 512 (a.pt)", "65,536 examples", "Rule:"):
        assert part in text
    assert json.loads(json.dumps(verdict.to_json()))["reason"] == "gap_opened"
    assert str(GapOpened().judge(record, 100)).startswith("Go on")


def test_rules_have_names_and_unknown_ones_are_refused_with_the_nearest():
    assert rule_named("no_copies") == CopiesFound()
    with pytest.raises(ConfigError, match="did you mean 'balanced'"):
        rule_named("balance")
    for wrong in (
        lambda: GapOpened(1.0),
        lambda: CopiesFound(0),
        lambda: MembersFound(0.3),
        lambda: GapOpened(0.1, -1),
    ):
        with pytest.raises(ConfigError, match="got"):
            wrong()


def test_two_looks_that_spike_are_no_turn(tmp_path):
    rng = np.random.default_rng(0)
    loss = heldout(STEPS, 1e6) * np.exp(0.002 * rng.standard_normal(len(STEPS)))
    loss[-2:] *= 2
    record = written(tmp_path, header(), [curve("heldout_loss", STEPS, items_of(loss, 64, rng, noise=0.02))])
    assert not LossTurned().judge(record).stop
