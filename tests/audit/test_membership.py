"""Membership in an audit: what is counted at few false positives, and the interval of the area."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest

from taumem.audit.membership import losses_of, membership_scores
from taumem.errors import ConfigError, DataError
from taumem.probes.membership_inference import members_found
from taumem.record import DataFacts, Measurement, RunHeader, RunRecord

losses = arrays.arrays(np.float64, st.integers(1, 60), elements=st.integers(0, 30).map(float))


@given(losses, losses, st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.29, 0.5]))
def test_members_are_those_that_the_best_allowed_threshold_finds(train, heldout, share):
    thresholds = np.concatenate([train, heldout, [np.inf]])
    allowed = [c for c in thresholds if (heldout < c).sum() <= share * len(heldout) + 1e-9]
    best = max(((train < c).sum() for c in allowed), default=0)
    assert members_found(torch.as_tensor(train), torch.as_tensor(heldout), share) == best


@pytest.mark.parametrize(("n_heldout", "mistakes"), [(999, 0), (1000, 1), (3000, 3), (29_000, 29)])
def test_one_in_a_thousand_may_be_mistaken_and_no_more(n_heldout, mistakes):
    heldout = np.arange(n_heldout, dtype=float)
    assert members_found(torch.as_tensor(heldout - 0.5), torch.as_tensor(heldout), 0.001) == mistakes + 1


def test_the_scores_are_area_and_true_positives_with_exact_intervals():
    rng = np.random.default_rng(0)
    train, heldout = rng.normal(-0.5, 1, 700), rng.normal(0, 1, 1100)
    (area, rare, few), not_run = membership_scores((train, heldout))
    assert not not_run
    assert area.value == pytest.approx((train[:, None] < heldout).mean())
    assert area.low < area.value < area.high
    for score, allowed in ((rare, 1), (few, 11)):
        count = int((train < np.sort(heldout)[allowed]).sum())
        interval = binomtest(count, 700).proportion_ci(method="exact")
        assert (score.value, score.low, score.high) == pytest.approx((count / 700, interval.low, interval.high))
    assert [score.name for score in (area, rare, few)] == [
        "auc",
        "tpr_1_in_1000",
        "tpr_1_in_100",
    ]


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_interval_of_the_area_holds_the_truth(shift):
    rng = np.random.default_rng(int(10 * shift))
    truth = float(np.mean(rng.normal(-shift, 1, 10**6) < rng.normal(0, 1, 10**6)))
    areas = [membership_scores((rng.normal(-shift, 1, 30), rng.normal(0, 1, 40)))[0][0] for _ in range(300)]
    assert np.mean([area.low <= truth <= area.high for area in areas]) >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 300)


def test_few_items_that_are_told_apart_are_not_certainty():
    area = membership_scores((np.zeros(5), np.ones(5)))[0][0]
    assert area.value == area.high == 1
    assert area.low < 0.8
    below = membership_scores((np.ones(5), np.zeros(5)))[0][0]
    assert below.value == below.low == 0
    assert below.high == pytest.approx(1 - area.low)


def test_without_losses_it_says_why_not():
    scores, not_run = membership_scores(None)
    assert not scores
    assert [what.what for what in not_run] == ["membership"]


def test_what_is_no_loss_of_each_item_is_refused():
    with pytest.raises(DataError, match="one finite loss"):
        membership_scores((np.array([0.1, np.nan]), np.ones(3)))
    with pytest.raises(ConfigError, match="share of held-out"):
        members_found(torch.ones(3), torch.ones(3), 1.0)


def test_losses_come_from_the_last_look_of_a_run(tmp_path):
    facts = DataFacts(name="x", fingerprint="f", n_train=3, n_heldout=4, item_shape=(2,))
    header = RunHeader(name="run", data=facts, seed=0, batch_size=2, steps=20, weights="raw")
    early, late = {"train": (3.0, 3.0, 3.0), "heldout": (3.0,) * 4}, {"train": (1.0, 2.0, 3.0), "heldout": (4.0,) * 4}
    with RunRecord.open(tmp_path / "run", header) as record:
        for step, sets in ((10, early), (20, late)):
            record.append(
                Measurement(
                    quantity=f"{name}_loss", value=1, items=items, step=step, examples=2 * step, seconds=float(step)
                )
                for name, items in sets.items()
            )
    assert losses_of(tmp_path / "run") == (late["train"], late["heldout"])
    assert losses_of(None) is None
    assert membership_scores(losses_of(tmp_path / "run"))[0][0].value == 1


def test_what_holds_no_losses_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="two arrays"):
        losses_of(3)
    facts = DataFacts(name="x", fingerprint="f", n_train=3, n_heldout=4, item_shape=(2,))
    header = RunHeader(name="run", data=facts, seed=0, batch_size=2, steps=20, weights="raw")
    with RunRecord.open(tmp_path / "run", header):
        pass
    with pytest.raises(ConfigError, match="holds no losses"):
        losses_of(tmp_path / "run")
