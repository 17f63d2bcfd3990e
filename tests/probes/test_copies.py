"""Copies: known ratios, duplicates, chance."""

import numpy as np
import pytest
import torch
from reference_problem import DIFFUSION, items

from taumem.errors import ConfigError
from taumem.neighbors import near_duplicates
from taumem.probes import Copies, EmpiricalGap
from taumem.probes.probe import share

LINE = torch.tensor([[0.0], [1.0], [10.0]])


@pytest.mark.parametrize(
    ("place", "ratio"), [(0.0, 0.0), (0.2, 0.25), (0.25, 1 / 3), (0.3, 3 / 7), (0.5, 1.0), (9.0, 1 / 8)]
)
def test_a_copy_is_nearer_to_its_item_than_a_third_of_the_way_to_the_next(place, ratio):
    reading = Copies(LINE, LINE[:0]).measure(torch.tensor([[place]]))
    assert reading.arrays["gap_ratio"].tolist() == pytest.approx([ratio])
    assert reading.estimates == (share("copy_fraction", int(ratio < 1 / 3), 1),)


def test_the_threshold_may_be_another():
    samples = torch.tensor([[0.2], [0.3], [0.4]])  # ratios 1/4, 3/7, 2/3
    counts = [Copies(LINE, LINE[:0], threshold=c).measure(samples).estimates[0].value * 3 for c in (0.2, 0.3, 0.5, 0.7)]
    assert counts == pytest.approx([0, 1, 2, 3])


def test_duplicates_in_the_training_set_hide_no_copy():
    train = items(50, 0)
    probe = Copies(torch.cat([train, train, train[:5]]), items(200, 1))
    plain = Copies(train, items(200, 1))
    assert probe.measure(train).estimates[0].value == 1
    samples = items(64, 2)
    assert probe.measure(samples).estimates == plain.measure(samples).estimates


def test_chance_is_the_rate_of_held_out_data_under_the_same_rule():
    train, heldout = items(400, 0)[:, :2], items(3000, 1)[:, :2]  # in two dimensions chance copies are common
    _, chance = Copies(train, heldout).measure(heldout[:10]).estimates
    distances = torch.cdist(heldout.double(), train.double())
    groups = near_duplicates(train)
    is_other = groups != groups[distances.argmin(dim=1)][:, None]
    second = torch.where(is_other, distances, torch.inf).amin(dim=1)
    count = int((distances.amin(dim=1) / second < 1 / 3).sum())
    assert count > 100
    assert chance == share("copy_fraction_chance", count, 3000)
    fresh, _ = Copies(train, heldout).measure(items(3000, 2)[:, :2]).estimates
    assert chance.low < fresh.high
    assert fresh.low < chance.high


def test_without_held_out_data_there_is_no_chance_level():
    assert [e.quantity for e in Copies(LINE, LINE[:0]).measure(LINE).estimates] == ["copy_fraction"]


def test_kept_samples_stand_beside_their_nearest_training_items():
    train, samples = items(30, 0), items(20, 1)
    arrays = Copies(train, train[:0], keep=8).measure(samples).arrays
    places = torch.cdist(samples.double(), train.double()).argmin(dim=1)[:8]
    np.testing.assert_allclose(arrays["samples"], samples[:8], rtol=1e-3)
    np.testing.assert_allclose(arrays["nearest"], train[places], rtol=1e-3, atol=1e-4)
    assert {len(array) for array in arrays.values()} == {8}


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_that_is_no_ratio_is_refused(threshold):
    with pytest.raises(ConfigError, match="gap ratio of a copy lies between 0 and 1; got"):
        Copies(LINE, LINE, threshold=threshold)


@pytest.mark.parametrize(("train", "n"), [(LINE[:0], 0), (LINE[:1], 1), (LINE[[0, 0, 0]], 1)])
def test_fewer_than_two_distinct_training_items_are_refused(train, n):
    with pytest.raises(ConfigError, match=f"at least 2 distinct training items; got {n}"):
        Copies(train, LINE)


@pytest.mark.parametrize(
    ("train", "heldout"), [(LINE[:0], LINE), (LINE, LINE[:0]), (LINE, LINE[:1]), (LINE, LINE[[1, 1]])]
)
def test_the_empirical_gap_needs_items_with_a_spread(train, heldout):
    with pytest.raises(ConfigError, match="held-out items that differ from one another"):
        EmpiricalGap(DIFFUSION, train, heldout)


@pytest.mark.parametrize("times", [(), (0.0,), (1.5,)])
def test_the_empirical_gap_refuses_times_outside_the_open_interval(times):
    with pytest.raises(ConfigError, match="asks at diffusion times"):
        EmpiricalGap(DIFFUSION, LINE, LINE, times=times)
