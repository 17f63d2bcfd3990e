"""Every probe flags total memorization and clears total generalization, whose denoisers are both known exactly."""

import pytest
from reference_problem import DIFFUSION, EXACT, by_name, draw, generator, items, memorized

from taumem.probes import Agreement, Copies, EmpiricalGap, LossGap, SymmetricGap
from taumem.probes.probe import draw_samples

P = 200
TRAIN, HELDOUT, TWIN = items(P, 1), items(400, 2), items(P, 3)
TIMES = (0.15, 0.35, 0.55)


@pytest.fixture(scope="module")
def loss_gap():
    return LossGap(DIFFUSION, {"train": TRAIN, "heldout": HELDOUT}, times=TIMES)


@pytest.mark.parametrize("t", [*TIMES, None])
def test_the_loss_gap_of_the_memorizer_is_large_and_the_exact_denoisers_is_zero_within_its_error(loss_gap, t):
    flagged = by_name(loss_gap.measure(memorized(TRAIN)))["gap", t]
    cleared = by_name(loss_gap.measure(EXACT))["gap", t]
    assert flagged.value > max(0.2, 6 * flagged.se)
    assert abs(cleared.value) < 3 * cleared.se < 0.3


def test_membership_is_certain_for_the_memorizer_and_a_coin_toss_for_the_exact_denoiser(loss_gap):
    flagged = by_name(loss_gap.measure(memorized(TRAIN)))
    cleared = by_name(loss_gap.measure(EXACT))
    assert flagged["membership_auc", None].value > 0.99
    assert flagged["membership_tpr", None].low > 0.9
    auc, tpr = cleared["membership_auc", None], cleared["membership_tpr", None]
    assert abs(auc.value - 0.5) < 3 * auc.se < 0.15
    assert tpr.low < 0.01 < tpr.high


def test_the_symmetric_gap_is_large_for_two_memorizers_and_zero_for_two_exact_denoisers():
    for denoiser, twin, flagged in ((memorized(TRAIN), memorized(TWIN), True), (EXACT, EXACT, False)):
        (gap,) = SymmetricGap(DIFFUSION, TRAIN, twin, TWIN).measure(denoiser).estimates
        assert gap.count == 2 * P
        if flagged:
            assert gap.value > 0.5
            assert gap.value > 20 * gap.se
        else:  # one and the same model on both sides: own and cross losses are the same numbers
            assert gap.value == 0
            assert gap.se == 0


def test_the_symmetric_gap_of_a_generalizing_pair_lies_within_its_error_of_zero():
    pair = [memorized(items(20_000, seed)) for seed in (4, 5)]  # so many items that none of them stands out
    (gap,) = SymmetricGap(DIFFUSION, TRAIN, pair[1], TWIN, times=(0.5, 0.7)).measure(pair[0]).estimates
    assert abs(gap.value) < 3 * gap.se


def test_all_samples_of_the_memorizer_are_copies_and_those_of_the_exact_denoiser_as_many_as_by_chance():
    probe = Copies(TRAIN, items(20_000, 6))
    flagged, chance = probe.measure(draw(memorized(TRAIN), generator())).estimates
    assert flagged.value == 1
    assert flagged.low > 0.98
    cleared, same = probe.measure(draw(EXACT, generator())).estimates
    assert same == chance
    assert chance.value < 0.02
    assert cleared.low <= chance.high
    assert chance.low <= cleared.high


def test_two_exact_denoisers_agree_and_two_memorizers_do_not():
    def agreement(denoiser, twin):
        return by_name(Agreement(twin, draw, seed=7).measure(draw_samples(draw, denoiser, seed=7)))

    cleared, flagged = agreement(EXACT, EXACT), agreement(memorized(TRAIN), memorized(TWIN))
    assert cleared["agreement", None].value == pytest.approx(1)
    assert flagged["agreement", None].value + 10 * flagged["agreement", None].se < 0.9
    assert abs(cleared["agreement_chance", None].value) < 0.2


@pytest.mark.slow
def test_denoisers_of_large_disjoint_sets_agree_more_than_those_of_small_ones():
    values = []
    for n in (20, 200, 5000):
        pair = [memorized(items(n, seed)) for seed in (8, 9)]
        reading = Agreement(pair[1], draw).measure(draw_samples(draw, pair[0], seed=0))
        values.append(by_name(reading)["agreement", None].value)
    assert values == sorted(values)


def test_the_empirical_gap_is_zero_for_the_memorizer_alone():
    probe = EmpiricalGap(DIFFUSION, TRAIN, HELDOUT, times=(0.3, 0.55))
    for t in (0.3, 0.55):
        assert by_name(probe.measure(memorized(TRAIN)))["empirical_gap", t].value == 0
        other = by_name(probe.measure(memorized(TWIN)))["empirical_gap", t]
        exact = by_name(probe.measure(EXACT))["empirical_gap", t]
        assert exact.value > 20 * exact.se > 0
        assert other.value > exact.value  # two memorizers err independently
