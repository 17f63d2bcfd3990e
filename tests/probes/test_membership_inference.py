"""Membership, against brute force over all pairs and all thresholds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from taumem.probes import membership
from taumem.probes.membership_inference import _ranks
from taumem.probes.probe import share

losses = arrays.arrays(np.float64, st.integers(1, 250), elements=st.integers(0, 30).map(float))


def ask(train, heldout):
    return membership(torch.as_tensor(train), torch.as_tensor(heldout))


@given(losses, losses)
def test_the_auc_is_the_share_of_pairs_in_which_the_training_item_has_the_lower_loss(train, heldout):
    pairs = (train[:, None] < heldout) + 0.5 * (train[:, None] == heldout)
    auc, _ = ask(train, heldout)
    assert auc.value == pytest.approx(pairs.mean())
    assert auc.count == len(train) + len(heldout)


@pytest.mark.slow
@given(losses, losses)
def test_the_tpr_is_the_best_that_any_threshold_reaches_at_one_per_cent_false_positives(train, heldout):
    thresholds = np.concatenate([train, heldout, [np.inf]])
    allowed = [c for c in thresholds if (heldout < c).sum() * 100 <= len(heldout)]
    best = max(((train < c).sum() for c in allowed), default=0)
    _, tpr = ask(train, heldout)
    assert tpr == share("membership_tpr", int(best), len(train))


@pytest.mark.slow
@given(losses, losses)
def test_the_error_of_the_auc_is_delongs_by_its_placements(train, heldout):
    pairs = (train[:, None] < heldout) + 0.5 * (train[:, None] == heldout)
    found, spared = pairs.mean(axis=1), pairs.mean(axis=0)
    auc, _ = ask(train, heldout)
    if (k := min(len(train), len(heldout))) < 2:
        assert auc.se is None
        return
    shared = np.cov(found[:k], spared[:k])[0, 1]
    n, m = pairs.shape
    variance = found.var(ddof=1) / n + spared.var(ddof=1) / m + 2 * k * shared / (n * m)
    assert auc.se == pytest.approx(max(variance, 0) ** 0.5, abs=1e-7)


def test_ties_everywhere_are_chance():
    auc, tpr = ask(np.ones(50), np.ones(70))
    assert (auc.value, auc.se, tpr.value) == (0.5, 0, 0)


def test_separate_losses_are_certainty():
    auc, tpr = ask(np.zeros(50), np.ones(70))
    assert (auc.value, tpr.value) == (1, 1)


@pytest.mark.parametrize(("n_heldout", "mistakes"), [(99, 0), (100, 1), (199, 1), (200, 2), (700, 7), (2900, 29)])
def test_one_per_cent_of_the_held_out_items_may_be_mistaken_and_no_more(n_heldout, mistakes):
    heldout = np.arange(n_heldout, dtype=float)
    train = np.arange(n_heldout) - 0.5  # just below each held-out item
    _, tpr = ask(train, heldout)
    assert tpr.value * n_heldout == pytest.approx(mistakes + 1)


def test_losses_in_single_precision_do_not_lose_ties():
    train = torch.tensor([1.0, 1.0 + 1e-7, 2.0])
    auc, _ = membership(train, train.clone())
    assert auc.value == pytest.approx(0.5, abs=1e-15)


@given(st.lists(st.integers(-3, 3) | st.floats(width=32, allow_nan=True), min_size=1, max_size=20))
def test_ranks_are_scipys(values):
    values = torch.tensor([float(value) for value in values], dtype=torch.float64)
    assert _ranks(values).tolist() == pytest.approx(stats.rankdata(values.numpy()).tolist(), nan_ok=True)
