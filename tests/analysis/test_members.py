"""Clocks of membership, on items whose logarithms of losses are normal, so that the AUC is known."""

import math

import numpy as np
import pytest
from planted import STEPS, curve, header, heldout, share_curve, written
from scipy.special import ndtri

from taumem.analysis import CLOCKS, find_onsets, tau_member, tau_tpr
from taumem.analysis.clocks.members import auc_resampled
from taumem.analysis.resampling import paired_shares
from taumem.errors import ConfigError

T = STEPS.astype(float)
WHEN = 400.0


def shift_of(auc):
    """By how many standard deviations of a log loss the sets are apart at an AUC."""
    return math.sqrt(2) * float(ndtri(auc))


def known(steps, x=0.1):
    """How far members are apart: nothing at first, at WHEN as far as makes an AUC of 1/2 + x."""
    return np.maximum(shift_of(0.5 + x) + 0.8 * np.log(steps / WHEN), 0)


def curves(members, *, n=64, m=128, easier=0.0, seed=0):
    """Losses of two sets, of which the training set is easier, or known better as training goes on."""
    rng = np.random.default_rng(seed)
    course = np.log(heldout(T, 150.0))[:, None]
    train, held = (
        np.exp(course + rng.standard_normal(k) + 0.1 * rng.standard_normal((len(T), k)) - np.reshape(off, (-1, 1)))
        for k, off in ((n, members + easier), (m, 0.0))
    )
    return curve("train_loss", T, train), curve("heldout_loss", T, held)


def test_the_auc_is_that_of_all_pairs_and_its_scatter_that_of_resampled_items():
    rng = np.random.default_rng(0)
    train, held = rng.integers(0, 9, (3, 20)).astype(float), rng.integers(1, 12, (3, 30)).astype(float)
    pairs = (train[:, :, None] < held[:, None]) + 0.5 * (train[:, :, None] == held[:, None])
    auc = auc_resampled(train, held)
    assert auc[0] == pytest.approx(pairs.mean((1, 2)))
    of_train, of_held = paired_shares(20, 30)
    brute = np.einsum("bn,lnm,bm->bl", of_train, pairs, of_held)
    assert auc[1:].std(0) == pytest.approx(brute.std(0), rel=0.1)
    assert np.corrcoef(auc[1:, 0], brute[:, 0])[0, 1] > 0.99


@pytest.mark.parametrize("x", [0.05, 0.1, 0.25])
def test_it_is_placed_where_members_are_told_and_its_interval_holds_the_truth(x):
    placed = [tau_member(*curves(known(T, x), seed=seed), threshold=x) for seed in range(30)]
    assert np.mean([each.censored == "no" for each in placed]) > 0.9
    assert np.mean([each.low <= WHEN <= each.high for each in placed]) >= 0.8
    assert abs(np.mean([math.log(each.step / WHEN) for each in placed])) < 0.25


@pytest.mark.parametrize("easier", [0.0, 0.5, -0.5])
def test_it_is_silent_where_one_set_is_easier_and_nothing_is_memorized(easier):
    struck = [tau_member(*curves(0 * T, easier=easier, seed=seed), threshold=0.05).usable for seed in range(40)]
    assert sum(struck) <= 2


def test_a_training_set_that_is_easier_moves_it_little():
    plain, easy = (
        [math.log(tau_member(*curves(known(T), easier=e, seed=s), threshold=0.1).step) for s in range(20)]
        for e in (0.0, 0.5)
    )
    assert abs(np.mean(plain) - np.mean(easy)) < 0.3


def test_a_model_that_knows_all_items_by_heart_passes_every_threshold():
    train, held = curves(6 * (T > WHEN))
    steps = [tau_member(train, held, threshold=x) for x in (0.05, 0.1, 0.25, 0.45)]
    assert all(each.usable and 399 < each.step < 466 for each in steps)


def test_what_it_cannot_be_read_off_is_refused_in_a_line():
    train, held = curves(known(T))
    with pytest.raises(ConfigError, match=r"threshold between 0 and 1/2, such as 0.1; got 0.6"):
        tau_member(train, held, threshold=0.6)
    with pytest.raises(ConfigError, match="8 items of a set or more; got 4"):
        tau_member(*curves(known(T), n=4), threshold=0.1)
    with pytest.raises(ConfigError, match="this clock needs 3"):
        tau_member(train.at_steps(STEPS[:2]), held, threshold=0.1)


def test_the_errors_of_an_attack_are_read_beside_the_losses_by_the_same_rule(tmp_path):
    train, held = curves(known(T))
    renamed = [curve(f"{name}_error[pia]", T, c.items) for name, c in (("train", train), ("heldout", held))]
    onsets = {o.clock: o for o in find_onsets([written(tmp_path, header(), [train, held, *renamed])])}
    assert onsets["tau_member[0.1]"].step == onsets["tau_member_pia[0.1]"].step
    assert "error of PIA" in CLOCKS["tau_member_pia[0.1]"].rule
    assert "tau_member_secmi[0.1]" not in onsets


def test_few_items_or_looks_leave_it_unread(tmp_path):
    few = written(tmp_path, header(), [*curves(known(T), n=6)])
    short = written(tmp_path, header(), [c.at_steps(STEPS[:2]) for c in curves(known(T))])
    assert not any(o.clock.startswith("tau_member") for o in find_onsets([few, short]))


# --- true positives ---------------------------------------------------------------------------------------------------


def found(shares, n=64):
    return share_curve("membership_tpr", T, [round(s * n) for s in shares], n)


def test_true_positives_are_timed_where_they_pass_chance_for_certain():
    growing = np.clip(0.2 + 0.3 * np.log(T / WHEN), 0, 1)
    placed = tau_tpr(found(growing), 512, threshold=0.2)
    assert placed.usable
    assert placed.low <= WHEN <= placed.high


def test_true_positives_as_many_as_chance_lets_through_are_none():
    # 2 of 256 held-out items may be mistaken: that lets 3 % of all through, now and then.
    assert not tau_tpr(found(np.full(len(T), 0.03)), 256, threshold=0.05).usable
    assert not tau_tpr(found(np.full(len(T), 0.12), 32), 24, threshold=0.05).usable  # chance is below 12 %, no more


def test_both_are_read_off_a_record(tmp_path):
    train, held = curves(known(T))
    growing = found(np.clip(0.3 + 0.3 * np.log(T / WHEN), 0, 1))
    onsets = {o.clock for o in find_onsets([written(tmp_path, header(), [train, held, growing])])}
    assert {"tau_tpr[0.05]", "tau_tpr[0.2]", "tau_member[0.05]"} <= onsets
